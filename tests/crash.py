"""Runs that are killed at their N-th operation on files; each a fork, since imports take seconds.

Counted are files opened for writing, folders made, and what is renamed or removed, below the run's
folder. `python -m tests.crash MODULE...` imports the modules and then takes a run a line.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

from omegaconf import OmegaConf

from tests.suite import CONF, EXAMPLE, REPOSITORY

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate")
NEEDED = (
    "torch", "lightning.pytorch", "matplotlib.pyplot", "torch.utils.tensorboard", "experiments.run",
    "experiments.report", "experiments.running.job",
)  # fmt: skip
DONE = "operations: "
ROOM_S = 600  # for one run


class Crashes:
    """`with Crashes(experiment) as crash: crash(at, folder, words)` runs it, killed at `at`.

    `crash` returns the run's exit status (-9: killed) and how many operations there were, if it
    was not; at 0 it is not killed. What it prints is in FOLDER.log.
    """

    def __init__(self, experiment: str):
        self.experiment = experiment

    def __enter__(self) -> "Crashes":
        own = EXAMPLE / "conf" if self.experiment == "waves" else CONF
        named = [
            OmegaConf.load(own / f"{part}/{self.experiment}.yaml") for part in ("model", "data")
        ]
        modules = [str(config["_target_"]).rpartition(".")[0] for config in named]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash", *modules],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(ROOM_S)
        self.process.stdout.close()

    def __call__(self, at: int, folder: Path, *words: str) -> tuple[int, int]:
        log = Path(f"{folder}.log")
        asked = [f"+exp=smoke/{self.experiment}", *words, f"hydra.run.dir={folder}"]
        order = {"at": at, "folder": str(folder), "words": asked, "log": str(log)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        last = log.read_text().splitlines()[-1:]
        return status, int(last[0].removeprefix(DONE)) if last and DONE in last[0] else 0


def run(at: int, folder: str, words: list[str]) -> None:
    """One run in this process, killed at its `at`-th operation in `folder`."""
    count = 0

    def watch(event: str, values: tuple) -> None:
        nonlocal count
        write = event == "open" and isinstance(values[2], int) and values[2] & WRITES
        if not (write or event in CHANGES) or not isinstance(values[0], str):
            return
        if values[0].startswith(folder):
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    sys.argv = ["experiments.run", *words]
    from experiments.run import entry

    entry()
    print(f"{DONE}{count}")


def child(order: dict) -> None:
    """Never returns."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    status = 1
    signal.alarm(ROOM_S)
    try:
        run(order["at"], order["folder"], order["words"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    for name in (*NEEDED, *sys.argv[1:]):
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            child(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    main()
