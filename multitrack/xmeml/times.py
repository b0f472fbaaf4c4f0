"""Times in FCP7 XML: frame numbers, rates, Premiere's ticks, edges inside transitions."""

import math
from fractions import Fraction
from xml.etree.ElementTree import Element

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Rate, Transition
from multitrack.xmeml.safe import number_of, text_of

MAX_FRAME = 1 << 40
TICKS = 254_016_000_000  # a second, as Premiere counts


def integer(element: Element, path: str, where: str, default: int | None = None) -> int:
    """The frame number at `path`; `default` where nothing stands.

    Raises:
        InputError: it is no frame number.
    """
    text = text_of(element, path)
    if not text and default is not None:
        return default
    number = number_of(text)
    if number is None or abs(number) > MAX_FRAME:
        raise InputError(f"{where}: expected a frame number in <{path}>, got {text[:40]!r}")
    return math.floor(number)


def rate_of(element: Element | None, where: str, default: Rate | None = None) -> Rate:
    """What a <rate> says; `default` where it says nothing.

    A decimal timebase marked NTSC is the rate itself, rounded: 29.97 is 30 x 1000/1001, and is
    written again as 30, which every program reads alike.

    Raises:
        InputError: not above 0, or no number.
    """
    text = text_of(element, "timebase")
    if not text and default is not None:
        return default
    try:
        timebase = Fraction(text)
    except (ValueError, ZeroDivisionError):
        timebase = Fraction(0)
    if not 0 < timebase <= 100_000:
        raise InputError(
            f"{where}: expected a frame rate above 0 in <rate><timebase>, got {text[:40]!r}: "
            "export the sequence anew"
        )
    ntsc = text_of(element, "ntsc").upper() == "TRUE"
    whole = Rate(Fraction(math.ceil(timebase)), ntsc)
    if ntsc and timebase.denominator > 1 and abs(whole.fps - timebase) < Fraction(1, 100):
        return whole
    return Rate(timebase, ntsc)


def counted_at(item: Element, own: Rate, sequence: Rate) -> Rate:
    """The rate at which a clip's `in` and `out` count.

    Premiere gives some graphics another rate than that of their frame numbers; its ticks tell.
    """
    if own == sequence:
        return own
    for side in ("In", "Out"):
        at, frame = (number_of(text_of(item, t)) for t in (f"pproTicks{side}", side.lower()))
        if at is None or frame is None:
            return own
        seconds = Fraction(at) / TICKS
        if abs(seconds * own.fps - frame) <= 1 or abs(seconds * sequence.fps - frame) > 1:
            return own
    return sequence


def transition_of(item: Element, where: str) -> Transition:
    """A <transitionitem>.

    Raises:
        InputError: one of its edges is no frame number.
    """
    return Transition(
        integer(item, "start", where),
        integer(item, "end", where),
        text_of(item, "alignment", "center").lower(),
        text_of(item, "effect/name", "Cross Dissolve"),
        item,
    )


def edges(
    before: Transition | None, after: Transition | None, start: int, end: int, length: Fraction
) -> tuple[int, int, int, int]:
    """Start, end, and the frames hidden in the transition `before` and in the one `after`.

    An edge of -1 lies inside the neighbouring transition: its cut point counts.
    """
    lead = tail = 0
    if start == -1:
        if before is not None:
            start, lead = before.cut, before.cut - before.start
        elif end != -1:
            start = end - round(length)
    if end == -1:
        if after is not None:
            end, tail = after.cut, after.end - after.cut
        elif start != -1:
            end = start + round(length) - lead
    return start, end, lead, tail
