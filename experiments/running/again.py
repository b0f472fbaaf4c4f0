"""The command line as Hydra is to see it: `resume=FOLDER` spelt out, a sweep's folders named."""

import hashlib
import re
from datetime import datetime
from pathlib import Path

from experiments.shared.errors import InputError
from experiments.shared.folder import SEARCH, Folder
from experiments.shared.reading import read_yaml

LONGEST = 120
WORD = re.compile(r"(?P<sign>[~+]*)(?P<key>[\w@/.]+)=(?P<value>.*)", re.DOTALL)


def rewritten(words: list[str]) -> list[str]:
    """`words` for Hydra.

    Raises:
        InputError: `resume=` names no run.
    """
    words = resumed(words)
    if any(word.startswith("+hpo=") for word in words):
        return placed(words)
    return named(words) if is_sweep(words) else words


def placed(words: list[str]) -> list[str]:
    """A search's words: its folder is named as a sweep's is.

    Raises:
        InputError: a search of a sweep.
    """
    if is_sweep(words):
        raise InputError("+hpo=NAME is a search by itself: leave -m and +sweep out")
    words = [re.sub(r"^hydra\.sweep\.dir=", "hydra.run.dir=", word) for word in words]
    if any(word.startswith("hydra.run.dir=") for word in words):
        return words
    began = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return [*words, f"hydra.run.dir=${{paths.outputs}}/${{name}}/search-{began}"]


def resumed(words: list[str]) -> list[str]:
    """The run's own words, then those that are new, where there is a `resume=FOLDER`."""
    places = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]
    if not places or places == ["null"]:
        return words
    if len(places) > 1 or is_sweep(words):
        raise InputError(
            "resume=FOLDER goes on with one run; a sweep is its own command again, with "
            "hydra.sweep.dir=FOLDER"
        )
    place = Folder(Path(places[0].strip("'\"")).expanduser().absolute())
    new = [word for word in words if not word.startswith("resume=")]
    own = own_words(place)
    from experiments.running import foreign  # not needed to refuse a typing error

    foreign.check_words(own, place.path)
    return [*merged(own, new), f"hydra.run.dir={quoted(place.path)}"]


def listed(words: object, source: Path) -> list:
    if not isinstance(words, list):
        raise InputError(f"{source}: expected a list of a command's words; restore it")
    return words


def own_words(place: Folder) -> list[str]:
    """What was typed for the run in `place`, its search path included."""
    from omegaconf import OmegaConf  # not needed to refuse a typing error

    if not place.overrides.is_file():
        of_many = any((place.path / mark).is_file() for mark in ("multirun.yaml", SEARCH))
        what = "is a sweep's folder" if of_many else "holds no run"
        raise InputError(
            f"resume={place.path}: it {what}; expected a run's folder, with .hydra/ in it "
            "(a sweep goes on by its own command with hydra.sweep.dir=FOLDER)"
        )
    words = [str(word) for word in listed(read_yaml(place.overrides), place.overrides)]
    if place.hydra.is_file():
        own = OmegaConf.select(OmegaConf.create(read_yaml(place.hydra)), "hydra.overrides.hydra")
        words += [str(word) for word in own or [] if "hydra.searchpath=" in str(word)]
    return [word for word in words if key_of(word) != "accept_changes"]


def merged(own: list[str], new: list[str]) -> list[str]:
    """`own` less what `new` says otherwise, then `new`; a key that was added with + is so again."""
    added = {key_of(word) for word in own if word.startswith("+")}
    said = {key_of(word) for word in new}
    kept = [word for word in own if key_of(word) not in said]
    return kept + [f"+{w}" if key_of(w) in added and w[0] not in "+~" else w for w in new]


def key_of(word: str) -> str:
    found = WORD.match(word)
    return found["key"] if found else word.lstrip("~+")


def quoted(path: Path) -> str:
    """A path as the value of an override, whatever is in it."""
    text = str(path)
    if re.fullmatch(r"[\w./-]+", text, re.ASCII):
        return text
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def is_sweep(words: list[str]) -> bool:
    signs = ("-m", "--multirun", "hydra.mode=MULTIRUN")
    return any(word in signs or word.startswith("+sweep=") for word in words)


def named(words: list[str]) -> list[str]:
    """Leave out of the names of a sweep's job folders what is the same for all jobs."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    fixed, several, typed = [], [], [word for word in words if not word.startswith("-")]
    try:
        for override in OverridesParser.create().parse_overrides(typed):
            if not override.is_sweep_override():
                fixed.append(override.key_or_group)
            elif override.key_or_group == "exp":
                several = [str(name).split("/")[-1] for name in override.sweep_string_iterator()]
    except HydraException:  # Hydra itself will say what is wrong with the word
        return words
    if several:
        words = [later(word) for word in words]
    if several and "hydra.sweep.dir" not in fixed:  # of several experiments none gives its name
        began = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        words = [*words, f"hydra.sweep.dir=${{paths.outputs}}/{'-'.join(several)}/sweep-{began}"]
    keys = ",".join(dict.fromkeys(key for key in fixed if not key.startswith("hydra")))
    return [*words, f"hydra.job.config.override_dirname.exclude_keys=[{keys}]"]


def later(word: str) -> str:
    """An override that is applied to each job, not to what all share before them.

    Without one experiment there is no model yet whose values it could set.
    """
    found = WORD.match(word)
    early = ("hydra.", "paths.", "sweep", "exp")
    if found is None or "~" in found["sign"] or found["key"].startswith(early):
        return word
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides([word])[0]
    value = found["value"]
    return word if parsed.is_sweep_override() else f"{found['sign']}{found['key']}=choice({value})"


def file_name(text: str) -> str:
    """A job's overrides as the name of its folder: short, and the same for the same words only."""
    text = text.removeprefix("+")
    name = re.sub(r'[/\\:*?"<>|\s]', "-", text)
    if name != text or len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return name or "job"
