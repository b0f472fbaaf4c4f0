"""python -m experiments.run +exp=NAME: compose, seed, instantiate, fit, test, report."""

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.running.again import file_name, rewritten
from experiments.running.explain import explain, usage
from experiments.running.launch import follow, keep_reason
from experiments.running.settings import check
from experiments.running.studies import sweep
from experiments.running.words import CONF, mend, typed
from experiments.shared.errors import InputError, printable, speak_plainly

# A job's folder is named by its overrides, which may hold paths.
OmegaConf.register_new_resolver("file_name", file_name, replace=True)
# Two runs started in the same second have folders of their own.
OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


failed: list[Exception] = []  # why it ended; Hydra would print the whole command line before that


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="run")
def main(config: DictConfig) -> float | None:
    """One run; in a multirun one job, which gets a process of its own. Returns the objective."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if job.mode == RunMode.MULTIRUN:
        return sweep.take(config, folder, named(config, folder))
    try:
        if "hpo" in config:
            searched(config, folder)
            return None
        return run(config, folder)
    except Exception as error:
        failed.append(error)
        return None


def searched(config: DictConfig, folder: Path) -> None:
    """Check what was asked, then search in `folder`."""
    check(config, HydraConfig.get().runtime.choices)
    try:
        from experiments.running.studies.search import search
    except ModuleNotFoundError as error:
        raise InputError(f"+hpo needs {error.name}: pip install optuna") from error
    search(config, folder)


def run(config: DictConfig, folder: Path) -> float | None:
    """Check what was asked, then train in `folder`."""
    try:
        check(config, HydraConfig.get().runtime.choices)
    except InputError as error:
        keep_reason(folder, named(config, folder), str(error))
        clear(folder, Path(str(OmegaConf.select(config, "paths.outputs") or "")))
        raise
    from experiments.callbacks.interrupt import leave_on_signals

    leave_on_signals()
    follow()
    from experiments.running.job import attend

    return attend(config, folder)


def clear(folder: Path, outputs: Path) -> None:
    """Remove the empty folder that Hydra has made of what is refused, and those below `outputs`.

    No other is: an empty folder may be somebody's, or be the one that one stands in.
    """
    folder, above = folder.absolute(), outputs.absolute()
    below = [place for place in folder.parents if above in place.parents]
    if not outputs.is_absolute() and above != Path.cwd():
        below.append(above)
    for place in (folder, *below):
        try:
            place.rmdir()
        except OSError:  # something is in it
            return


def named(config: DictConfig, folder: Path) -> str:
    return folder.name if OmegaConf.is_missing(config, "name") else config.name


def check_flags(words: list[str]) -> None:
    """Say of a flag that Hydra does not know what Hydra says below eight lines of usage.

    Raises:
        InputError: there is one, or it lacks its value.
    """
    if not any(word.startswith("-") for word in words):
        return
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}: expected a flag of Hydra (see --help)")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    if not {"-h", "--help"} & set(words):
        parser.parse_args(words)


def entry() -> None:
    """The command: what a user can mend ends with a message and status 2, without a stack trace."""
    speak_plainly()
    typed.extend(word for word in sys.argv[1:] if not word.startswith("hydra.run.dir="))
    try:
        words, notes = mend(sys.argv[1:])
        for note in notes:
            print(note, file=sys.stderr)
        sys.argv[1:] = words = rewritten(words)  # in place: the ranks of a run repeat it
        check_flags(words)
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--help" in words or "-h" in words:
        print(usage(CONF))
        return
    flags = [word for word in words if word.startswith("-") and word not in ("-m", "--multirun")]
    if not flags and not any(word.startswith(("+exp=", "model=")) for word in words):
        names = ", ".join(sorted(path.stem for path in (CONF / "exp").glob("*.yaml")))
        print(f"error: say which experiment: +exp=NAME, one of {names}; --help", file=sys.stderr)
        raise SystemExit(2)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    try:
        main()
        if failed:
            raise failed[0]
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            traceback.print_exc()
            raise SystemExit(1) from None
        print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    entry()
