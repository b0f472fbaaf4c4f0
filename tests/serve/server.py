"""Servers for tests: runs that nobody trained, a server as a user starts it, and its client."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import torch
from omegaconf import OmegaConf

from experiments.running.build import make
from experiments.shared import checkpoints
from experiments.shared.folder import Folder
from tests.suite import REPOSITORY, configuration


def untrained(folder: Path, experiment: str, **changes) -> Path:
    """A run's folder with the weights that its model begins with: as good as any to be served."""
    torch.manual_seed(0)
    config = configuration(f"+exp=smoke/{experiment}", folder=folder)
    for key, value in changes.items():
        OmegaConf.update(config, key, value, force_add=True)
    module, _ = make(config)
    place = Folder(folder)
    checkpoint = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "class": checkpoints.class_name(module),
        "global_step": 0,
        "epoch": 0,
    }
    module.on_save_checkpoint(checkpoint)
    for path in (place.checkpoints, place.asked):
        path.mkdir(parents=True)
    torch.save(checkpoint, place.best)
    del config.hydra
    config.folder = str(folder)
    place.config.write_text(OmegaConf.to_yaml(config, resolve=True))
    place.write(
        {
            "name": config.name,
            "status": "completed",
            "objective": {
                "name": config.objective.name,
                "mode": config.objective.mode,
                "best": 0.5,
            },
            "metrics": {config.objective.name.replace("val/", "test/"): 0.6},
            "baselines": {"the rival": {config.objective.name.removeprefix("val/"): 0.7}},
        }
    )
    return folder


class Server:
    """A running `python -m experiments.serve`."""

    def __init__(self, process: subprocess.Popen, address: str, temporary: Path):
        self.process, self.address, self.temporary = process, address, temporary
        self.log = temporary / "server.log"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60, trust_env=False, **options)

    def left(self) -> list[Path]:
        """Folders of requests that are still there."""
        return list(self.temporary.glob("serve-*/request-*"))

    def workers(self) -> list[int]:
        """Processes that compute; none that was killed, though its parent has not buried it yet."""
        import psutil

        def computes(process: psutil.Process) -> bool:
            try:
                return "spawn_main" in " ".join(process.cmdline())
            except psutil.NoSuchProcess:  # ended between the listing and the question, or a zombie
                return False

        found = psutil.Process(self.process.pid).children(recursive=True)
        return [process.pid for process in found if computes(process)]


@contextlib.contextmanager
def serving(
    temporary: Path, *words: str | Path, environment: dict | None = None
) -> Iterator[Server]:
    """A server on a free port of this machine, which ends when it is told to and leaves nothing."""
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), **(environment or {})}
    command = [sys.executable, "-m", "experiments.serve", "--port", "0", "--devices", "cpu"]
    log = temporary / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, *map(str, words)], cwd=REPOSITORY, env=environment,
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        while not (found := re.search(r"ready: (http://[\d.]+:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield Server(process, found[1], temporary)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        assert not list(temporary.glob("serve-*"))
    finally:
        process.kill()
        process.wait()


def example(client: httpx.Client, name: str, label: str | None = None) -> tuple[dict, dict]:
    """An example of the page as a client sends it: its files, its other values."""
    about = client.get(f"/{name}/about").json()
    values = about["examples"][label or next(iter(about["examples"]))]
    files = [f["name"] for f in about["fields"] if f["kind"] == "file"]
    sent = {k: (v, client.get(f"/{name}/examples/{v}").content) for k, v in values.items()
            if k in files}  # fmt: skip
    return sent, {k: str(v) for k, v in values.items() if k not in files}
