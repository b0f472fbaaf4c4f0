"""One run in its folder: locked, compared with what it was, its output and its failure kept."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from experiments.running import compare
from experiments.running.launch import occupied
from experiments.running.record import recorded
from experiments.running.train import train
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder


def attend(config: DictConfig, folder: Path) -> float | None:
    """Train in `folder`; what is refused leaves the folder as it was.

    Raises:
        InputError: another run is at work in the folder, or it was begun otherwise.
    """
    place = Folder(folder)
    with occupied(folder):
        if getattr(rank_zero_only, "rank", 0):
            return train(config, folder, [])
        accepted = compare.check(config, folder)
        place.traceback.unlink(missing_ok=True)
        keep_asked(config, place)
        with failures_kept(config, place):
            return train(config, folder, accepted)


def keep_asked(config: DictConfig, place: Folder) -> None:
    """Write .hydra/, which Hydra would write before anybody could refuse the run."""
    job = HydraConfig.get()
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    place.asked.mkdir(parents=True, exist_ok=True)
    for path, content in (
        (place.config, own),
        (place.overrides, list(job.overrides.task)),
        (place.hydra, OmegaConf.create({"hydra": {"overrides": {"hydra": job.overrides.hydra}}})),
    ):
        path.write_text(OmegaConf.to_yaml(content), encoding="utf-8")


@contextlib.contextmanager
def failures_kept(config: DictConfig, place: Folder) -> Iterator[None]:
    """Keep the output in run.log; of an error its traceback, and a summary if there is none."""
    with recorded(place.log) as log:
        try:
            yield
        except Exception as error:
            keep_failure(error, config, place, log)
            raise


def keep_failure(error: Exception, config: DictConfig, place: Folder, log: IO[str]) -> None:
    text = "".join(traceback.format_exception(error))
    place.traceback.write_text(text, encoding="utf-8")
    log.write(f"error: {error}\n" if isinstance(error, InputError) else text)
    if not place.summary.exists():  # it failed before it could train: for the report of its sweep
        place.write(
            {
                "name": config.name,
                "status": "failed",
                "error": described(error),
                "traceback": place.traceback.name,
            }
        )


def described(error: BaseException) -> str:
    """The error in a line or two: what the innermost cause says, and its kind if that is a bug."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
