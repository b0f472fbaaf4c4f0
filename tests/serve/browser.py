"""Debian's chromium, driven over the W3C WebDriver protocol of its chromedriver: plain HTTP."""

import base64
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's number, by the standard
MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """One headless window."""

    def __init__(self, driver: httpx.Client, session: str):
        self.driver, self.session = driver, session

    def call(self, method: str, path: str, body: dict | None = None) -> Any:
        response = self.driver.request(method, f"/session/{self.session}{path}", json=body)
        value = response.json()["value"]
        assert response.status_code == 200, value
        return value

    def open(self, address: str) -> None:
        self.call("POST", "/url", {"url": address})

    def script(self, text: str, *values: Any) -> Any:
        return self.call("POST", "/execute/sync", {"script": text, "args": list(values)})

    def find(self, selector: str) -> str:
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return found[ELEMENT]

    def click(self, selector: str) -> None:
        self.call("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type text, or pick the file of that path."""
        self.call("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def wait(self, condition: str, seconds: float = 60.0) -> Any:
        """The value of a JavaScript expression, once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.script(f"return {condition}")):
            seen = self.script("return document.body.innerText")
            assert time.monotonic() < end, f"{condition}: {seen}"
            time.sleep(0.1)
        return value

    def shot(self, file: Path) -> None:
        """The whole page as PNG."""
        height = self.script("return document.documentElement.scrollHeight")
        width = self.script("return window.innerWidth")
        self.call("POST", "/window/rect", {"width": width, "height": min(height + 120, 6000)})
        file.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))


@contextlib.contextmanager
def browser(width: int = 1000, height: int = 900, phone: bool = False) -> Iterator[Browser]:
    """A window of that size, or that of a phone; ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    words = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage"
    words += f" --autoplay-policy=no-user-gesture-required --window-size={width},{height}"
    options: dict[str, Any] = {"args": words.split(), "binary": shutil.which("chromium")}
    if phone:
        screen = {"width": 390, "height": 800, "pixelRatio": 2.0, "touch": True, "mobile": True}
        options["mobileEmulation"] = {"deviceMetrics": screen}
    always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    wanted = {"capabilities": {"alwaysMatch": always}}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as driver:
        try:
            for _ in range(100):
                with contextlib.suppress(httpx.TransportError):
                    driver.get("/status")
                    break
                time.sleep(0.1)
            session = driver.post("/session", json=wanted).json()["value"]["sessionId"]
            yield Browser(driver, session)
            driver.delete(f"/session/{session}")
        finally:
            process.terminate()
            process.wait()
