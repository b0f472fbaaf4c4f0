"""Numbers as a reader wants them: four significant digits, no needless zeros."""

import math
from typing import Any


def number(value: Any, digits: int = 4) -> str:
    """`value` with `digits` significant digits; an em dash for what is not there."""
    if value is None or isinstance(value, str | bool):
        return "–" if value is None else str(value)
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("-Inf" if value < 0 else "Inf")
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10**digits and size < 1e7:
        return f"{value:,.0f}"
    if size >= 1e7 or size < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        trimmed = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{trimmed}e{int(exponent)}"
    text = f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def beside(value: float, error: float) -> str:
    """`value` to the decimal place at which `error` has its second digit: 0.116 for 0.0062."""
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0:
        return number(value)
    places = max(0, 1 - math.floor(math.log10(error)))
    return number(value) if abs(value) >= 1e7 or places > 12 else f"{value:,.{places}f}"


def count(value: int | None) -> str:
    """A whole number with its thousands set off."""
    return "–" if value is None else f"{int(value):,}"


def change(first: float | None, last: float | None) -> str:
    """The change from `first` to `last` in per cent of |first|; as a factor from ten times on."""
    if first is None or last is None or not (math.isfinite(first) and math.isfinite(last)):
        return "–"
    if first == 0:
        return "0 %" if last == 0 else "–"
    if last / first >= 10:
        return f"x {number(last / first, 2)}"
    percent = 100 * (last - first) / abs(first)
    if abs(percent) < 0.05:
        return "0 %"
    return f"{percent:+,.0f} %" if abs(percent) >= 10 else f"{percent:+.1f} %"


def percent(share: float | None) -> str:
    if share is None or not math.isfinite(share):
        return "–"
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else "< 0.1 %"


def clock(seconds: float) -> str:
    """Seconds as `3:07` or `1:03:07`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float | None) -> str:
    """Seconds as `42 s`, `5 min 12 s` or `3 h 07 min`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 3)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
