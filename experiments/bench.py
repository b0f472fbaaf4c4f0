"""python -m experiments.bench [+exp=NAME] [overrides]: what a training step costs here.

The bench's own settings are overrides too: bench.steps, bench.warmup, bench.threads, bench.json,
bench.overwrite.
Without +exp every experiment is measured in turn, each in a process of its own.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from experiments.measuring import table
from experiments.running.explain import explain
from experiments.running.settings import check
from experiments.running.words import CONF, mend
from experiments.shared.errors import InputError, printable, speak_plainly
from experiments.shared.writing import check_file, write_text

MOST = 1_000_000  # of anything that is counted


@dataclass
class Settings:
    """Timed steps, steps before them, CPU threads, and a file for the result (`-`: stdout)."""

    steps: int = 20
    warmup: int = 3
    threads: int = 1
    json: str | None = None
    overwrite: bool = False  # replace that file where it is there already

    def check(self) -> None:
        for name, least in (("steps", 1), ("warmup", 0), ("threads", 1)):
            if not least <= getattr(self, name) <= MOST:
                raise InputError(
                    f"bench.{name}={getattr(self, name)}: expected at least {least}, at most "
                    f"{MOST:,}"
                )


def split(arguments: list[str]) -> tuple[Settings, list[str]]:
    """The bench's own settings, and what is left for the configuration."""
    own = [
        a.lstrip("+").removeprefix("bench.")
        for a in arguments
        if a.lstrip("+").startswith("bench.")
    ]
    rest = [a for a in arguments if not a.lstrip("+").startswith("bench.")]
    places = [a.removeprefix("json=") for a in own if a.startswith("json=")]  # "-" is no YAML
    own = [a for a in own if not a.startswith("json=")]
    for word in own:
        if word.partition("=")[0] not in Settings.__annotations__:
            there = ", ".join(f"bench.{name}" for name in Settings.__annotations__)
            raise InputError(f"bench.{word}: there is no such setting; there are: {there}")
    settings: Any = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(own))
    )
    settings.json = places[-1] if places else None
    settings.check()
    if settings.json not in (None, "-"):
        check_file(Path(settings.json), option="bench.json=", overwrite=settings.overwrite)
    return settings, rest


def composed(overrides: list[str]) -> DictConfig:
    """The configuration that experiments.run would have for the same overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", overrides=overrides)


def experiments() -> list[str]:
    """What to measure when nothing is named: the demo of each experiment."""
    return sorted(f"demo/{path.stem}" for path in (CONF / "exp" / "demo").glob("*.yaml"))


def measure_all(settings: Settings, overrides: list[str]) -> list[dict]:
    """Each experiment in a fresh process, so that neither memory nor threads are inherited."""
    results = []
    for name in experiments():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.json"
            own = [f"bench.{k}={getattr(settings, k)}" for k in ("steps", "warmup", "threads")]
            command = [sys.executable, "-m", "experiments.bench", f"+exp={name}", *overrides]
            stdout = sys.stderr if settings.json == "-" else None
            done = subprocess.run([*command, *own, f"bench.json={file}"], stdout=stdout)
            if done.returncode:
                print(f"{name} failed (exit status {done.returncode}); going on", file=sys.stderr)
                continue
            results.append(json.loads(file.read_text()) | {"name": name})
    return results


def save(result: dict | list, place: str | None) -> None:
    if place is None:
        return
    text = json.dumps(result, indent=1)
    if place == "-":
        print(text)
        return
    write_text(Path(place), text + "\n")


def main(arguments: list[str]) -> None:
    settings, overrides = split(arguments)
    alone = settings.json == "-"  # stdout is then the result's
    with contextlib.redirect_stdout(sys.stderr if alone else sys.stdout):
        result = measured(settings, mend(overrides)[0])
    if result is None:
        return
    save(result, settings.json)
    if isinstance(result, list) and len(result) < len(experiments()):
        raise InputError("not every experiment could be measured: see above")


def measured(settings: Settings, overrides: list[str]) -> dict | list | None:
    """What was found, shown as a table too; None on all ranks but the first."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    if any(a.lstrip("+").startswith("exp=") for a in overrides):
        config = composed(overrides)
        check(config)
        from experiments.measuring.measure import measure  # torch: seconds, not for a typing error

        cost = {"steps": settings.steps, "warmup": settings.warmup, "threads": settings.threads}
        result = measure(config, **cost)
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return None
        console.print(table.one(result))
        return result
    results = measure_all(settings, overrides)
    console.print(table.several(results))
    return results


def entry(arguments: list[str]) -> None:
    """The command: what a user can mend ends with a message and status 2, without a stack trace."""
    speak_plainly()
    try:
        main(arguments)
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            traceback.print_exc()
            raise SystemExit(1) from None
        print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    entry(sys.argv[1:])
