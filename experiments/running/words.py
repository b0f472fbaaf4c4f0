"""The command line before Hydra sees it: what is plainly meant is put as Hydra wants it."""

import os
import re
from pathlib import Path

from experiments.shared.errors import InputError

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
ADDED = ("exp", "sweep", "debug", "hpo")  # groups without a default: Hydra wants a plus before them


typed: list[str] = []  # the words of this process' command line, as they were typed


def mend(words: list[str]) -> tuple[list[str], list[str]]:
    """The words for Hydra, and a line for each that was not taken as it stood."""
    notes: list[str] = []
    words = with_plus(searched(words, notes), notes)
    words = smoked(words, notes)
    words = [loggers(word, notes) for word in words]
    return at_home(debug_last(words)), notes


def searched(words: list[str], notes: list[str]) -> list[str]:
    """`--config-dir DIR` is a place to look for configuration, which a sweep's jobs need, too."""
    found, rest, places = [], list(words), list[str]()
    while rest:
        flag, sign, value = rest.pop(0).partition("=")
        if flag not in ("--config-dir", "-cd") or not (sign or rest):
            found.append(f"{flag}{sign}{value}")
            continue
        place = Path(value if sign else rest.pop(0)).expanduser().absolute()
        if not place.is_dir():
            raise InputError(f"{flag} {place}: no such folder")
        places.append(f"file://{place}")
    if not places:
        return words
    places.append(os.environ.get("SUITE_CONF") or "pkg://experiments")
    quoted = ",".join(f"'{place}'" for place in places)
    word = f"hydra.searchpath=[{quoted}]"
    notes.append(f"--config-dir is understood as {word}")
    return [*found, word]


def with_plus(words: list[str], notes: list[str]) -> list[str]:
    """`exp=NAME`, `--exp=NAME` and `--exp NAME` become `+exp=NAME`; likewise sweep and debug."""
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        group, sign, value = word.removeprefix("--").partition("=")
        if group in ADDED and (sign or (word.startswith("--") and rest)):
            value = value if sign else rest.pop(0)
            typed = word if sign else f"{word} {value}"
            word = f"+{group}={value}"
            notes.append(f"{typed} is understood as {word}")
        found.append(word)
    return found


def smoked(words: list[str], notes: list[str]) -> list[str]:
    """`+debug=smoke` beside an experiment is that experiment's smoke run."""
    names = [word for word in words if word.startswith("+exp=")]
    if "+debug=smoke" not in words or not names:
        return words
    found = [word for word in words if word != "+debug=smoke"]
    for word in names:
        name = word.removeprefix("+exp=")
        smoke = re.sub(r"(^|,)(demo/|smoke/)?", r"\1smoke/", name)
        found[found.index(word)] = f"+exp={smoke}"
        notes.append(f"{word} +debug=smoke is understood as +exp={smoke}")
    return found


def loggers(word: str, notes: list[str]) -> str:
    """`logger=null` and the like are Hydra's `logger=[]`; `logger=A,B` is the list of both."""
    value = word.removeprefix("logger=")
    if value == word:
        return word
    if value in ("null", "{}", "none", "false"):
        return "logger=[]"
    if "," in value and value[0] not in "['\"":
        notes.append(f"{word} is understood as logger=[{value}]")
        return f"logger=[{value}]"
    return word


def debug_last(words: list[str]) -> list[str]:
    """What `+debug` says holds over the experiment's values, hence stands behind `+exp`."""
    last = max((i for i, word in enumerate(words) if word.startswith("+exp=")), default=0)
    early = [word for word in words[:last] if word.startswith("+debug=")]
    behind = [word for word in words[: last + 1] if word not in early]
    return [*behind, *early, *words[last + 1 :]]


def at_home(words: list[str]) -> list[str]:
    """`KEY=~/FOLDER` with the home folder in its place: the shell does so for `~` alone."""
    found = []
    for word in words:
        key, sign, value = word.partition("=")
        if sign and re.match(r"['\"]?~(/|$)", value):
            quote = value[0] if value[0] in "'\"" else ""
            value = f"{quote}{os.path.expanduser(value[len(quote) :])}"
        found.append(f"{key}{sign}{value}")
    return found


def quoting(word: str) -> str:
    """What to do about a word that Hydra cannot read."""
    key, sign, value = word.partition("=")
    if not sign:
        return f"{word}: expected KEY=VALUE (see --help)"
    plain = value.strip("'\"").replace("'", r"\'")
    return (
        f"{word} cannot be read: a value with letters beyond a-z, or with signs like = , ( ) ' "
        f"stands in quotes within quotes: \"{key}='{plain}'\""
    )
