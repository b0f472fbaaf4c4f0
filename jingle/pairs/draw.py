"""Crops of songs that are not silent, and pairs of them, aligned where that is asked for."""

import numpy as np

from jingle.pairs import align, match
from jingle.pairs.sources import SILENT_DB, Source
from jingle.sound import audio
from jingle.sound.features import level

TRIES = 20  # crops drawn before a song is given up as mostly silent
MARGIN = 1.0  # seconds read around what is stretched


def draw_crop(song: Source, seconds: float, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Start in seconds and samples (24 kHz) of a crop that is not silent; empty if none is found.

    Of `TRIES` draws the first good one counts.
    """
    length = round(seconds * audio.RATE)
    for _ in range(TRIES):
        start = rng.random() * (song.seconds - seconds)
        crop = audio.read(song.file, start, seconds)[:length]
        crop = np.pad(crop, (0, length - len(crop)))
        if level(crop) >= SILENT_DB:
            return start, crop
    return 0.0, np.zeros(0, np.float32)


def draw_pair(
    a: Source,
    others: list[Source],
    rng: np.random.Generator,
    *,
    seconds: float,
    how: str,
    key: bool,
) -> tuple[dict, np.ndarray, np.ndarray] | str:
    """A crop of `a` and one of another song under it: record and both, or why there is none.

    Args:
        a: the song that gives the rhythm.
        others: songs that may give the harmony.
        rng: draws the partner and both crops.
        seconds: length of the crops.
        how: "none", "tempo" or "beat", see `align.warp`.
        key: shift the other by up to 3 semitones, to where its pitch classes agree best.
    """
    if how == "none" and not key:
        b = others[rng.integers(len(others))]
    else:
        b = others[match.choose(a.study, [other.study for other in others], rng, key=key)]
    start_a, input_crop = draw_crop(a, seconds, rng)
    if not len(input_crop):
        return f"{TRIES} crops of {a.file} were silent"
    if how == "none" and not key:
        start_b, target_crop = draw_crop(b, seconds, rng)
        if not len(target_crop):
            return f"{TRIES} crops of {b.file} were silent"
        return record(a, b, start_a, start_b), input_crop, target_crop
    for _ in range(TRIES):
        start_b = rng.random() * max(0.0, b.seconds - seconds)
        times = {"start_a": start_a, "start_b": start_b, "seconds": seconds}
        warp = align.warp(a.study.pulse, b.study.pulse, how=how, **times)
        if warp is None:
            return f"no steady pulse in {a.file} or {b.file}, so that nothing can be aligned"
        if warp.source[0] < -0.01 or warp.source[-1] > b.seconds + 0.01:
            continue
        shift = align.key_shift(a.study.profile, b.study.profile)[0] if key else 0
        target_crop = heard(b, align.Warp(warp.heard, warp.source, shift))
        if level(target_crop) >= SILENT_DB:
            made = record(a, b, start_a, float(warp.source[0]))
            made["align"] = {"how": how, "rate": round(warp.rate, 4), "semitones": shift}
            made["match"] = match.compatibility(a.study, b.study, key=key)
            return made, input_crop, target_crop
    return f"no crop of {b.file} fits under {a.file}: it is too short or silent"


def heard(song: Source, warp: align.Warp) -> np.ndarray:
    """The song as `warp` says; only what is needed of its file is read."""
    first = max(0.0, float(warp.source[0]) - MARGIN)
    part = audio.read(song.file, first, float(warp.source[-1]) + MARGIN - first)
    return align.hear(part, align.Warp(warp.heard, warp.source - first, warp.semitones))


def record(a: Source, b: Source, start_a: float, start_b: float) -> dict:
    """What `songs.json` says of a pair."""
    return {
        side: {"song": str(song.file), "hash": song.hash, "start_s": round(start, 3)}
        for side, song, start in (("input", a, start_a), ("output", b, start_b))
    }
