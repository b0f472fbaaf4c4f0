"""Switches cameras while a recording runs: `python -m multitrack.live --settings SETTINGS.yaml`.

Reads a line for each 0.1 s from standard input: who speaks, as JSON ({"ANN": 0.9, "BOB": 0}; a
speaker left out is silent) or as numbers in the order of the settings' speakers (0.9 0). A key
"off": ["V2"] names cameras without a usable picture at that moment. Writes a line of JSON for each:
{"time": seconds, "camera": name, "cut": whether it has just been cut to}.
"""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from experiments.shared import arguments, checkpoints
from experiments.shared.errors import InputError, cli
from multitrack.cutting.ear import Ear
from multitrack.cutting.latency import Head, compared
from multitrack.cutting.model import REACH, Director, Editor, paced, read_earlier
from multitrack.cutting.roles import constants
from multitrack.cutting.settings import Settings, load
from multitrack.cutting.switch import TICKS, Cast
from multitrack.edit.floor import noisy
from multitrack.edit.pace import SPEAKERS
from multitrack.module import Multitrack
from multitrack.networks.hazard import CutHead

ENDLESS = 10**9  # ticks


@dataclass(frozen=True)
class Decision:
    """At `time` seconds `camera` shows; cut: since now."""

    time: float
    camera: str
    cut: bool


class Live:
    """A switcher that decides tick by tick (0.1 s) from what was heard so far.

    Args:
        settings: participants with their cameras, wide cameras, lag and lengths in seconds.
        head: a trained model's cut head, or `cutting.latency.exported`; None: the rule.
        like: the editor of an earlier edit, whose pace and habits are kept.
        said: which of "lag" and "shortest" the settings decide all the same.

    Raises:
        InputError: the settings name no speaker, more than SPEAKERS, or fewer than two cameras.
    """

    def __init__(
        self,
        settings: Settings,
        head: Head | None = None,
        like: Editor | None = None,
        said: Collection[str] = (),
    ):
        self.speakers = list(settings.speakers)
        if not 0 < len(self.speakers) <= SPEAKERS:
            raise InputError(
                f"settings: speakers: expected 1 to {SPEAKERS}, got {len(self.speakers)}"
            )
        own = [of.get("camera", "") for of in settings.speakers.values()]
        self.cameras = list(dict.fromkeys([*filter(None, own), *settings.wide]))
        if len(self.cameras) < 2:
            raise InputError(f"settings: expected two cameras at least, got {self.cameras}")
        number = self.cameras.index
        self._usable = np.ones(len(self.cameras), bool)  # seen through `everywhere`
        everywhere = np.broadcast_to(self._usable, (ENDLESS, len(self.cameras)))
        cast = Cast(
            [number(name) if name else -1 for name in own],
            [number(name) for name in settings.wide], everywhere,
        )  # fmt: skip
        plain = Settings(**{**vars(settings), "cutaways": []})
        self.constants = constants(plain, [])
        if like is not None:
            paced(self.constants, like, said)
        self.director = Director(head, cast, self.constants, like)
        self.ear, self._lull = Ear(len(self.speakers), REACH + 1), np.zeros(2, int)

    def step(self, activity: dict[str, float], off: Iterable[str] = ()) -> Decision:
        """What shows from now on, by who speaks (0..1) and which cameras have no picture.

        Raises:
            InputError: a name that the settings do not know, or a number that is none.
        """
        unknown = [n for n in (*activity, *off) if n not in (*self.speakers, *self.cameras)]
        if unknown:
            known = ", ".join((*self.speakers, *self.cameras))
            raise InputError(f"{unknown[0]!r}: expected one of {known}")
        levels = np.array([float(activity.get(name, 0)) for name in self.speakers])
        if not np.isfinite(levels).all():
            raise InputError(f"expected numbers from 0 to 1, got {activity}")
        self._usable[:] = [camera not in off for camera in self.cameras]
        tick, before = self.ear.ticks, self.director.current
        self.ear.push(levels)
        heard = self.ear.heard
        wide = self._wide(heard.more[tick], tick)
        if wide is not None:
            self.director.began, self.director.current = tick, wide
        elif not self._held() and self.director.next_cut(heard, tick, tick + 1) == tick:
            self.director.cut(tick, heard)
        shown = self.director.show(tick, heard)
        return Decision(tick / TICKS, self.cameras[shown] if shown >= 0 else "", shown != before)

    def _wide(self, more: np.ndarray, tick: int) -> int | None:
        """The wide camera that is to interrupt what shows: too long, several speak, nobody does."""
        self._lull = np.where(more, self._lull + 1, 0)
        director, fixed = self.director, self.constants
        age, wide = tick - director.began, director.cast.wide_at(tick)
        if wide is None or director.current in (-1, *director.cast.wide) or age < fixed.shortest:
            return None
        long = fixed.longest is not None and age >= fixed.longest
        return wide if long or self._lulls() else None

    def _lulls(self) -> bool:
        limits = (self.constants.together, self.constants.silence)
        return any(
            limit is not None and run >= limit
            for run, limit in zip(self._lull, limits, strict=True)
        )

    def _held(self) -> bool:
        """Whether the wide camera stays, for the reason for which it came."""
        return self.director.current in self.director.cast.wide and self._lulls()


def read(line: str, speakers: list[str]) -> tuple[dict[str, float], list[str]]:
    """Activities and cameras without a picture, of one line.

    Raises:
        InputError: neither JSON nor numbers.
    """
    try:
        if line.lstrip().startswith("{"):
            said = json.loads(line)
            off = said.pop("off", [])
            if not isinstance(off, list):
                raise TypeError("off is a list")
            return {str(name): float(value) for name, value in said.items()}, off
        numbers = [float(word) for word in line.replace(",", " ").split()]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f'{line.strip()[:60]!r}: expected {{"{speakers[0]}": 0.9}} or numbers ({error})'
        ) from None
    if len(numbers) != len(speakers):
        raise InputError(
            f"{line.strip()[:60]!r}: expected {len(speakers)} numbers ({', '.join(speakers)}), "
            f"got {len(numbers)}"
        )
    return dict(zip(speakers, numbers, strict=True)), []


def listener(live: Live) -> Callable[[str], Decision | None]:
    """What answers one line after another; an empty one with None, a bad one with its number."""
    number = 0

    def answer(line: str) -> Decision | None:
        nonlocal number
        number += 1
        if not line.strip():
            return None
        try:
            return live.step(*read(line, live.speakers))
        except InputError as error:
            raise InputError(f"line {number}: {error}") from None

    return answer


def decisions(live: Live, lines: Iterable[str]) -> Iterator[Decision]:
    """One for each line that is not empty."""
    return filter(None, map(listener(live), lines))


def said(decision: Decision) -> str:
    """A decision as its line of JSON."""
    return json.dumps(vars(decision))


def _benchmark(settings: Settings, head: CutHead, frames: int) -> None:
    """Prints what a frame costs, of talk whose turns are 2 to 8 s long."""
    speakers = list(Live(settings).speakers)
    rng = np.random.default_rng(0)
    turns = np.repeat(rng.integers(len(speakers), size=frames), rng.integers(20, 80, frames))
    talk = noisy(np.eye(len(speakers), dtype=np.float32)[turns[:frames]], rng)

    def step(engine: Head | None) -> Callable[[np.ndarray], Decision]:
        live = Live(settings, engine)
        return lambda frame: live.step(dict(zip(speakers, frame.tolist(), strict=True)))

    for line in compared(head, talk, step):
        print(line, flush=True)


def main() -> None:
    parser = arguments.Parser(
        prog="python -m multitrack.live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    seconds = arguments.real(0, 1e5)
    parser.add_argument("--settings", type=arguments.file("a YAML of settings"), required=True,
                        metavar="YAML",
                        help="as `python -m multitrack.cut --help` shows")  # fmt: skip
    parser.add_argument("--checkpoint", help="a run's folder or a .ckpt; without: the rule")
    earlier = arguments.file("an earlier edit, an XML")
    parser.add_argument("--like", type=earlier, metavar="EDIT.xml",
                        help="an earlier edit whose pace is to be kept")  # fmt: skip
    parser.add_argument("--lag", type=seconds, metavar="SECONDS")
    parser.add_argument("--shortest", type=seconds, metavar="SECONDS")
    parser.add_argument("--longest", type=seconds, metavar="SECONDS")
    parser.add_argument("--benchmark", type=arguments.whole(100), metavar="FRAMES",
                        help="measure so many frames of made-up talk instead")  # fmt: skip
    parser.add_argument("--cuts", action="store_true", help="write a line only where it is cut")
    options = parser.parse_args()
    asked = {name: getattr(options, name) for name in ("lag", "shortest", "longest")}
    head = None
    if options.checkpoint is not None:
        head = checkpoints.load(Multitrack, options.checkpoint).eval().hazard
        if head is None:
            raise InputError(
                f"--checkpoint {options.checkpoint}: expected a run of exp/multitrack, "
                "which tells cuts"
            )
    settings = load(options.settings, asked)
    if options.benchmark is not None:
        _benchmark(settings, head or CutHead().eval(), options.benchmark)
        return
    like = None if options.like is None else read_earlier(options.like)
    live = Live(settings, head, like, [name for name, value in asked.items() if value is not None])
    for decision in decisions(live, sys.stdin):
        if decision.cut or not options.cuts:
            print(said(decision), flush=True)


if __name__ == "__main__":
    cli(main)
