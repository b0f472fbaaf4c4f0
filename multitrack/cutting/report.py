"""What a first cut came to, as text. `T` ticks of 0.1 s."""

import itertools

import numpy as np

from multitrack.cutting.switch import TICKS


def shots(shown: np.ndarray) -> list[tuple[int, int, int]]:
    """(begin, end, camera) of each stretch of `shown` (T,) with a picture."""
    edges = [0, *(np.nonzero(np.diff(shown))[0] + 1), len(shown)]
    found = [(int(a), int(b), int(shown[a])) for a, b in itertools.pairwise(edges)]
    return [shot for shot in found if shot[2] >= 0]


def described(shown: np.ndarray, names: list[str]) -> str:
    """A table: of each camera its shots, seconds, share, and its shortest and longest shot."""
    found, width = shots(shown), max(len(name) for name in names)
    lines = [
        f"{'camera':<{width}} {'shots':>6} {'seconds':>8} {'share':>6} {'shortest':>9} longest"
    ]
    for number, name in enumerate(names):
        lengths = [(end - begin) / TICKS for begin, end, camera in found if camera == number]
        low, high = (min(lengths), max(lengths)) if lengths else (0, 0)
        share = sum(lengths) / max(1e-9, len(shown) / TICKS)
        lines.append(
            f"{name:<{width}} {len(lengths):>6} {sum(lengths):>8.1f} {share:>6.0%} "
            f"{low:>9.1f} {high:>7.1f}"
        )
    lengths = [(end - begin) / TICKS for begin, end, _ in found]
    middle = float(np.median(lengths)) if lengths else 0
    lines.append(f"{max(0, len(found) - 1)} cuts, the middle shot {middle:.1f} s")
    return "\n".join(lines)


def differences(
    shown: np.ndarray, ruled: np.ndarray, names: list[str], most: int = 10
) -> list[str]:
    """Where the model shows another camera than the rule; nothing where they agree."""
    edges = np.nonzero(np.diff(np.concatenate([[0], (shown != ruled).astype(np.int8), [0]])))[0]
    spans = edges.reshape(-1, 2)
    if not len(spans):
        return []
    longest = sorted(sorted(spans, key=lambda s: s[0] - s[1])[:most], key=lambda s: s[0])
    total = float((spans[:, 1] - spans[:, 0]).sum()) / TICKS
    lines = [f"model and rule differ in {len(spans)} places, {total:.1f} s; the longest:"]
    for begin, end in longest:
        one, two = (names[s[begin]] if s[begin] >= 0 else "nothing" for s in (shown, ruled))
        lines.append(f"  {begin / TICKS:8.1f} to {end / TICKS:.1f} s: {one}, by rule {two}")
    return lines
