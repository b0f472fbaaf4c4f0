"""The page in a real browser: a file is dropped, a result is seen; by keyboard, by phone."""

import os
from pathlib import Path

import pytest

from tests.serve import browser
from tests.serve.browser import Browser
from tests.serve.server import Server

pytestmark = pytest.mark.skipif(
    bool(browser.MISSING or os.environ.get("CI")),
    reason="needs Debian's chromium and chromium-driver, and is not run in CI",
)
NAMES = ("codec", "creative_agent", "molecular_flow", "multitrack", "radio_map", "radiodiff_vae")


@pytest.fixture(scope="module")
def window():
    with browser.browser() as found:
        yield found


def opened(window: Browser, server: Server, name: str) -> None:
    window.open(f"{server.address}/{name}_smoke/")
    window.wait("document.querySelectorAll('#examples button').length > 0")


def complaints(window: Browser) -> list:
    log = window.call("POST", "/se/log", {"type": "browser"})
    return [entry for entry in log if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_one_click_away(name, window, server):
    opened(window, server, name)
    window.click("#examples button")
    window.wait("!document.getElementById('result').hidden", 120)
    assert window.script("return document.querySelectorAll('#answer img').length") >= 1
    assert window.script(
        "return [...document.querySelectorAll('#answer img')].every(i => i.complete && "
        "i.naturalWidth > 0 && i.alt)"
    )
    assert window.script("return document.querySelectorAll('#answer a[download]').length") >= 2
    assert window.script("return document.activeElement.id") == "result"
    assert "the rival" in window.script("return document.getElementById('summary').innerText")
    if name == "creative_agent":
        assert window.script("return document.querySelectorAll('#answer audio').length") == 3
    assert not complaints(window)


def test_a_dropped_file_and_a_click_on_it(window, server, client, tmp_path: Path):
    opened(window, server, "radio_map")
    plan = tmp_path / "plan.png"
    plan.write_bytes(client.get("/radio_map_smoke/examples/city_0.png").content)
    # A drop can be made by script alone: the file comes through the input, then as an event.
    window.type("#field-plan", str(plan))
    window.script(
        "const file = document.getElementById('field-plan').files[0], held = new DataTransfer();"
        "held.items.add(file); document.getElementById('field-plan').value = '';"
        "document.querySelector('.field.drop').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: held, bubbles: true, cancelable: true}))"
    )
    window.wait("document.querySelector('.map img')?.naturalWidth === 256")
    # A click is at the middle of what is seen of the picture: that is to be all of it.
    window.script("document.querySelector('.map').scrollIntoView({block: 'center'})")
    window.click(".map")
    window.wait("document.querySelector('.map i')")
    row = int(window.script("return document.getElementById('field-row').value"))
    assert abs(row - 128) <= 1
    window.click("#go")
    said = window.wait("document.getElementById('status').innerText.match(/Done|building/)?.[0]")
    assert said in ("Done", "building")  # the middle of this plan may be built on, and is told


def test_what_is_wrong_is_said_in_the_words_of_the_command_line(window, server, tmp_path: Path):
    opened(window, server, "multitrack")
    file = tmp_path / "edit.xml"
    file.write_text("<fcpxml/>")
    window.type("#field-xml", str(file))
    window.click("#go")
    window.wait("document.getElementById('status').className === 'bad'")
    assert "expected an <xmeml> document" in window.script(
        "return document.getElementById('status').innerText"
    )
    assert not [c for c in complaints(window) if "422" not in c["message"]]


def test_every_field_has_a_name_and_nothing_is_wider_than_a_phone(server):
    with browser.browser(phone=True) as phone:
        for name in NAMES:
            opened(phone, server, name)
            wider = (
                "return [...document.querySelectorAll('body *')].filter(one => "
                "one.getBoundingClientRect().right > 391).map(one => one.outerHTML.slice(0, 99))"
            )
            assert phone.script("return window.innerWidth") == 390
            assert phone.script(wider) == []
            assert phone.script(
                "return [...document.querySelectorAll('#form input, #form select')].every("
                "one => one.labels.length === 1 && document.getElementById("
                "one.getAttribute('aria-describedby')))"
            )


def test_it_works_by_keyboard_alone(window, server):
    opened(window, server, "radiodiff_vae")
    window.script("document.querySelector('#examples button').focus()")
    keys = [{"type": "keyDown", "value": "\ue007"}, {"type": "keyUp", "value": "\ue007"}]
    window.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": keys}]})
    window.wait("!document.getElementById('result').hidden")


def test_one_talks_to_the_run_that_switches_cameras(window, server):
    opened(window, server, "multitrack")
    window.click("#live-go")
    window.wait("document.querySelectorAll('#conversation [role=group] button').length === 2")
    for number, camera in ((1, "V1"), (2, "V2")):
        if number == 2:
            window.click("#conversation [role=group] button:nth-child(1)")
        window.click(f"#conversation [role=group] button:nth-child({number})")
        window.wait(f"document.getElementById('live-shown').innerText === '{camera} shows'")
    assert window.script("return document.querySelectorAll('#live-cuts li').length") >= 2
    window.click("#live-go")
    assert window.script("return document.getElementById('live-shown').innerText") == "Ended."
    assert not complaints(window)
