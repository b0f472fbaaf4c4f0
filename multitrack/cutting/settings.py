"""How a first cut is to be made: participants, cameras, shot lengths; read from a small YAML.

All times in it are seconds. Cameras are called V1, V2, ... (the lowest track first) or by a clip's
or a file's name, microphones A1, A2, ... or by name.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

from experiments.shared.errors import InputError
from experiments.shared.reading import read_yaml

LOSING = ("disable", "delete")


@dataclass
class Cutaway:
    """A camera that is to show from second `at` for `length` seconds, whoever speaks."""

    camera: str
    at: float
    length: float


@dataclass
class Settings:
    """speakers: name -> {"camera": ..., "mic": ...}, either may be missing. Times in seconds.

    lag: from the change of the floor to the cut. shortest, longest: length of a shot; after
    `longest` a wide shot (else a listener) shows for `wide_length`. together, silence: after so
    long of several speaking at once, or of nobody, a wide shot shows. reaction_after: so far into a
    turn a listener shows for `reaction_length`; null: never. open_wide: how long the cut begins on
    a wide shot. losing: what becomes of the angles that do not show.
    """

    speakers: dict[str, dict[str, str]] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)
    lag: float = 0.5
    shortest: float = 1.5
    longest: float | None = 30.0
    wide_length: float = 3.0
    together: float | None = 2.0
    silence: float | None = 4.0
    reaction_after: float | None = None
    reaction_length: float = 2.0
    open_wide: float = 0.0
    cutaways: list[Cutaway] = field(default_factory=list)
    losing: str = "disable"


def load(path: Path | None, given: dict[str, object]) -> Settings:
    """The settings of a YAML file; what stands in `given` and is not None counts before it.

    Raises:
        InputError: not to be read, an unknown key, or a value of the wrong kind or range.
    """
    return made_of({} if path is None else read_yaml(path, "a YAML of settings"), given, path)


def made_of(stored: object, given: dict[str, object], path: Path | None = None) -> Settings:
    """As `load`, of what such a file holds, wherever it came from."""
    where = str(path or "settings")
    names = [f.name for f in fields(Settings)]
    if not isinstance(stored, dict) or set(stored) - set(names):
        wrong = sorted(map(str, set(stored) - set(names))) if isinstance(stored, dict) else stored
        raise InputError(f"{where}: expected keys among {', '.join(names)}, got {wrong}")
    stored = {**stored, **{key: value for key, value in given.items() if value is not None}}
    try:
        made = Settings(**stored)
        made.cutaways = [Cutaway(**cutaway) for cutaway in made.cutaways]
        made.speakers = {
            str(name): {str(k): str(v) for k, v in ({} if of is None else of).items()}
            for name, of in made.speakers.items()
        }
        made.wide = [made.wide] if isinstance(made.wide, str) else [str(w) for w in made.wide]
    except (TypeError, AttributeError) as error:
        raise InputError(f"{where}: expected the form that --help shows ({error})") from None
    _check(made, where)
    return made


def _check(made: Settings, where: str) -> None:
    times = ("lag", "shortest", "wide_length", "reaction_length", "open_wide")
    optional = ("longest", "together", "silence", "reaction_after")
    for name in (*times, *optional):
        value = getattr(made, name)
        if value is None and name in optional:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
            raise InputError(f"{where}: {name}: expected seconds from 0, got {value!r}")
    if made.longest is not None and made.longest < made.shortest:
        raise InputError(
            f"{where}: longest: expected at least shortest ({made.shortest:g} s), "
            f"got {made.longest:g}"
        )
    if made.losing not in LOSING:
        raise InputError(f"{where}: losing: expected one of {LOSING}, got {made.losing!r}")
    for name, of in made.speakers.items():
        if set(of) - {"camera", "mic"}:
            raise InputError(
                f"{where}: speakers: {name}: expected camera and mic, got {sorted(of)}"
            )
