"""Turns an error that the user can mend into a message that says what there is."""

import os
import re
import sys
import traceback
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from experiments.running import words
from experiments.shared.errors import Diverged, InputError, mendable

NOISE = ("full_key:", "object_ty", "reference")  # what OmegaConf says to programmers


def usage(conf: Path) -> str:
    """What can be typed: every group of the configuration and its choices."""
    lines = ["usage: python -m experiments.run +exp=NAME [KEY=VALUE ...]", ""]
    places = [conf, *map(Path, filter(None, [os.environ.get("SUITE_CONF")]))]
    # published/ holds figures, of which nothing is chosen
    for group in sorted({path.name for path in conf.iterdir() if path.is_dir()} - {"published"}):
        files = [(p, place / group) for place in places for p in (place / group).rglob("*.yaml")]
        names = sorted({str(path.relative_to(top).with_suffix("")) for path, top in files})
        if len(names) > 1 or group in ("exp", "sweep"):
            lines.append(f"  {group + '=':<12} {', '.join(names)}")
    return "\n".join(
        [
            *lines,
            "",
            "  exp, sweep and debug take a leading +; -m before everything makes a sweep of a,b,c",
            "  python -m experiments.run +exp=NAME --cfg job     shows every key and its value",
            "  python -m experiments.run resume=OLD_RUN [KEY=VALUE ...]          goes on",
        ]
    )


def explain(error: BaseException, conf: Path) -> str | None:
    """A message for what the user can mend; None for everything else, which keeps its traceback.

    Args:
        error: what ended the run; its causes are looked through too.
        conf: the configuration folder, read again to list the keys beside a mistyped one.
    """
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, (InputError, Diverged)):
            return str(cause)
        if isinstance(cause, OverrideParseException):
            return words.quoting(cause.override)
    for cause in chain:
        if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
            return mistyped(cause.full_key, conf) or str(error)
    if isinstance(error, InstantiationException):
        return str(error) if is_a_call_that_fails(error) else None
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        because = "" if error.__cause__ is None else str(error.__cause__).partition("\n")[0]
        key = getattr(error, "full_key", None)
        told = (
            (f"{key}: " if key else "")
            + str(error).strip()
            + (f": {because}" if because not in str(error) else "")
        )
        lines = [line for line in told.splitlines() if line.strip()[:9] not in NOISE]
        return condensed("\n".join(lines)) + ("" if len(lines) > 1 else "; mend that key")
    if isinstance(error, OSError) and error.filename and not ran(error):
        return f"{error.filename}: {error.strerror}. Set paths.outputs (or hydra.run.dir)"
    found = [mendable(c) for c in chain if not isinstance(c, OSError)]
    return next((told for told in found if told), None)


def condensed(text: str) -> str:
    """At most four lines: what follows the first is listed behind it."""
    text = text.partition("Config search path:")[0]
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(lines) <= 4:
        return "\n".join(lines)
    said = [line for line in lines if not line.startswith("Set the environment variable")]
    return f"{said[0]}; {', '.join(said[1:])}".replace(":, ", ": ")


def causes(error: BaseException | None):
    """The error, and what it was raised from; not what was being handled when it came up."""
    while error is not None:
        yield error
        error = error.__cause__


def is_a_call_that_fails(error: InstantiationException) -> bool:
    """Whether a `_target_` cannot be found or called so, and nothing failed inside it."""
    inner = error.__cause__
    if inner is None:
        return True
    *_, (frame, _) = traceback.walk_tb(inner.__traceback__)
    return frame.f_globals.get("__name__", "").startswith(("hydra.", "importlib"))


def ran(error: BaseException) -> bool:
    """Whether the run had its folder already: before, an OSError is about that folder."""
    names = {f.f_globals.get("__name__") for f, _ in traceback.walk_tb(error.__traceback__)}
    return "experiments.running.job" in names


def mistyped(full_key: str, conf: Path) -> str | None:
    """One line that says that there is no such key, which there are beside it, and Hydra's hint."""
    parent = full_key.rpartition(".")[0]
    config = composed_without(full_key, conf)
    place = OmegaConf.select(config, parent) if parent and config else config
    if not isinstance(place, DictConfig):
        return None
    names = ", ".join(sorted(map(str, place)))
    line = f"there is no {full_key}; {parent or 'the configuration'} has: {names}"
    typed = [word for word in sys.argv[1:] if word.startswith(f"{full_key}=")]
    if typed and "_target_" in place:
        line += f". What {place._target_} takes besides is added with a plus: +{typed[-1]}"
    return line


def composed_without(full_key: str, conf: Path) -> DictConfig | None:
    """The configuration that the command line asks for, less every override of `full_key`."""
    wanted = [a for a in sys.argv[1:] if re.match(r"[~+]*[\w@/.]+=", a)]
    wanted = [a for a in wanted if not re.match(rf"[~+]*({re.escape(full_key)}|hydra)\b", a)]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            return compose("run", overrides=[a.split(",")[0] for a in wanted])
    except (HydraException, OmegaConfBaseException):
        return None
