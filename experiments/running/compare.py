"""Whether a run may go on with the configuration that is asked for now."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.shared.errors import InputError
from experiments.shared.folder import Folder

# What a resumed run may change without a word: how long, on what, watched how, lying where.
TRAINER = (
    "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "strategy", "accelerator",
    "devices", "num_nodes", "default_root_dir", "log_every_n_steps", "check_val_every_n_epoch",
    "val_check_interval", "limit_val_batches", "limit_test_batches", "num_sanity_val_steps",
    "inference_mode", "enable_model_summary", "detect_anomaly", "deterministic", "benchmark",
    "profiler", "plugins", "sync_batchnorm", "use_distributed_sampler",
)  # fmt: skip
MAY_CHANGE = {
    *(f"trainer.{name}" for name in TRAINER),
    *("callbacks", "logger", "paths", "folder", "data.cache", "threads", "test"),
    *("name", "watch", "charts", "targets", "published_as", "serve"),
    *("resume", "init_from", "init_parts", "accept_changes", "sweep"),
}
MISSING = "absent"


@dataclass(frozen=True)
class Change:
    """One key with another value: what it was, what it is now."""

    key: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key}: was {self.was}, is {self.now}"


def check(config: DictConfig, folder: Path) -> list[Change]:
    """The changes that the user has accepted; none for a run that has not begun.

    Raises:
        InputError: something differs from the run's own configuration that may not.
    """
    place = Folder(folder)
    if not place.last.is_file() or not place.config.is_file():
        return []
    try:
        own: Any = OmegaConf.load(place.config)
    except Exception as error:  # yaml and OmegaConf each have their own family of errors
        raise InputError(
            f"{place.config} cannot be read ({error}): the run cannot be compared with what it was"
        ) from error
    found = changes(own, config)
    if found and not config.get("accept_changes"):
        listed = "\n".join(f"  {change}" for change in found)
        raise InputError(
            f"{folder} was begun with another configuration:\n{listed}\n"
            "Give these keys the run's own values (resume=FOLDER does), take another folder, or "
            "go on all the same with accept_changes=true, which summary.json records"
        )
    for change in found:
        print(f"accepted: {change}", flush=True)
    for change in consequences(own, config):
        print(f"{change} (it follows another key)", flush=True)
    return found


def changes(own: DictConfig, asked: DictConfig) -> list[Change]:
    """Every key outside MAY_CHANGE whose value differs.

    An interpolation that is written alike on both sides is no difference: what it points to is
    compared at its own place.
    """
    before, now = leaves(own), leaves(asked)
    found = []
    for key in dict.fromkeys([*before, *now]):
        if may_change(key) or before.get(key, MISSING) == now.get(key, MISSING):
            continue
        was, value = resolved(own, key), resolved(asked, key)
        if was != value:
            found.append(Change(key, was, value))
    return found


def consequences(own: DictConfig, asked: DictConfig) -> list[Change]:
    """Keys that follow a key that may change: the length of a schedule, say."""
    before, now = leaves(own), leaves(asked)
    found = []
    for key, raw in before.items():
        if not may_change(key) and isinstance(raw, str) and "${" in raw and now.get(key) == raw:
            was, value = resolved(own, key), resolved(asked, key)
            if was != value:
                found.append(Change(key, was, value))
    return found


def may_change(key: str) -> bool:
    """Whether `key`, or something that holds it, may change; so may every number of workers."""
    if key.startswith("data.") and key.endswith("workers"):
        return True
    parts = key.split(".")
    return any(".".join(parts[:count]) in MAY_CHANGE for count in range(1, len(parts) + 1))


def leaves(config: DictConfig) -> dict[str, Any]:
    """Dotted key -> value as it is written; a list is one value."""

    def walk(node: Any, prefix: str):
        if isinstance(node, dict) and node:
            for key, value in node.items():
                yield from walk(value, f"{prefix}.{key}" if prefix else str(key))
        else:
            yield prefix, node

    raw = OmegaConf.to_container(config, resolve=False)
    return {key: value for key, value in walk(raw, "") if not key.startswith("hydra.")}


def resolved(config: DictConfig, key: str) -> Any:
    """The value of `key` with its interpolations; as it is written where they cannot be known."""
    try:
        value = OmegaConf.select(config, key, default=MISSING)
        if isinstance(value, DictConfig | ListConfig):
            return OmegaConf.to_container(value, resolve=True)
        return value
    except OmegaConfBaseException:
        return leaves(config).get(key, MISSING)
