"""An editor's habits: numbers drawn once a person, kept through all of that person's edits."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """Times in ticks of 0.1 s, sizes in percent, places in canvas widths and heights."""

    lag: int  # from a change of speaker to the cut
    min_shot: int
    cover: bool  # the first camera runs on under the others, or is cut (switched off)
    wide_share: float
    wide_length: int
    broll_delay: int
    broll_length: int
    zoom: float  # percent of the scale a second
    lower_length: int
    wipe: int
    lower_y: float
    pip_scale: float
    pip_x: float
    pip_y: float
    pip_crop: float
    slide_length: int
    sticker_length: int
    sticker_gap: int
    sticker_scale: float
    sticker_rate: float  # mean ticks between stacks
    chain: float  # that a sticker is followed by one more on the next track
    pop: int  # ticks in which a sticker grows
    beats_a_cut: int
    first_overlay: int  # track (0 = V1) of the lower third; stickers follow
    crop_in_motion: bool  # Premiere's newer way to store a crop
    smoothing: float  # of the reframing that follows a face


def style(seed: int, number: int) -> Style:
    """Editor `number`'s habits."""
    rng = np.random.default_rng((seed, 1, number))
    corner = rng.choice([-1, 1])
    return Style(
        lag=int(rng.integers(3, 8)),
        min_shot=int(rng.integers(12, 25)),
        cover=bool(rng.random() < 0.5),
        wide_share=float(rng.uniform(0.1, 0.35)),
        wide_length=int(rng.integers(15, 30)),
        broll_delay=int(rng.integers(25, 45)),
        broll_length=int(rng.integers(20, 41)),
        zoom=float(rng.uniform(2, 8)),
        lower_length=int(rng.integers(28, 56)),
        wipe=int(rng.integers(3, 7)),
        lower_y=float(rng.uniform(0.28, 0.4)),
        pip_scale=float(rng.uniform(25, 40)),
        pip_x=float(corner * rng.uniform(0.28, 0.36)),
        pip_y=float(rng.choice([-1, 1]) * rng.uniform(0.26, 0.34)),
        pip_crop=float(rng.uniform(12, 26)),
        slide_length=int(rng.integers(60, 130)),
        sticker_length=int(rng.integers(14, 28)),
        sticker_gap=int(rng.integers(4, 12)),
        sticker_scale=float(rng.uniform(60, 140)),
        sticker_rate=float(rng.uniform(70, 130)),
        chain=float(rng.uniform(0.65, 0.85)),
        pop=int(rng.integers(2, 5)),
        beats_a_cut=int(rng.integers(3, 7)),
        first_overlay=int(rng.integers(5, 7)),
        crop_in_motion=bool(rng.random() < 0.6),
        smoothing=float(rng.uniform(0.1, 0.25)),
    )
