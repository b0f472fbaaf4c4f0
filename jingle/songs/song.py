"""Composes and renders one song from parts (drums, bass, chords, lead), with its truth."""

import numpy as np

from jingle.songs.synth import DRUMS, RATE, filtered, note, place, room, timbre

MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
# Four chords a loop, as degrees of the scale.
LOOPS = {
    "major": [(0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4), (1, 4, 0, 0), (0, 2, 3, 4)],
    "minor": [(0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 2, 5, 6), (0, 3, 5, 4), (5, 6, 0, 0)],
}
# Hits as sixteenths of a bar.
KICKS = [(0, 8), (0, 6, 8), (0, 4, 8, 12), (0, 7, 10), (0, 3, 8, 11), (0, 10), (0, 6, 10, 14)]
SNARES = [(4, 12), (4, 12), (8,), (4, 12, 15), (4, 7, 12), (4, 10, 12)]
HATS = [range(0, 16, 2), range(16), range(0, 16, 4), (2, 6, 10, 14), (0, 3, 4, 7, 8, 11, 12, 15)]
RHYTHMS = [(0,), (0, 8), (0, 6, 12), (2, 6, 10, 14), (0, 3, 6, 10, 12), (0, 4, 8, 12)]
BASSES = [(0, 8), (0, 2, 4, 6, 8, 10, 12, 14), (0, 6, 8, 14), (0, 3, 6, 8, 11), (0, 4, 8, 12)]
PARTS = ("drums", "bass", "chords", "lead")


def render_song(
    seed: int | tuple[int, ...],
    seconds: float = 16.0,
    tempo: float | None = None,
    parts: tuple[str, ...] = PARTS,
) -> dict:
    """Compose and render a song; the same arguments give the same samples.

    Args:
        seed: any numpy seed, a tuple as well.
        seconds: length; the first sample is a downbeat.
        tempo: beats a minute; None draws it.
        parts: what plays, of drums, bass, chords, lead.

    Returns:
        `audio`, `percussive`, `harmonic`: float32 (samples,), the last two adding up to the first,
        peak of each below 1; `onsets`: drum name -> sorted seconds; `chords`: one a bar, with
        `start` and `end` in seconds, `root` and `pitch_classes` (0 is C), `quality`; `tempo`;
        `key`: `tonic` and `mode`; `bar`: seconds a bar.
    """
    rng = np.random.default_rng(seed)
    plan = compose(rng, seconds, tempo)
    length = round(seconds * RATE)
    # each part has its own stream, so that leaving one out leaves the others as they are
    streams = dict(zip(PARTS, rng.spawn(len(PARTS)), strict=True))
    silence = np.zeros(length, np.float32)
    drums, onsets = silence, {}
    if "drums" in parts:
        drums, onsets = render_drums(plan, length, streams["drums"])
    harmonic = silence.copy()
    for part, render in (("bass", bass), ("chords", chords), ("lead", lead)):
        if part in parts:
            track = render(plan, length, streams[part])
            level = plan["levels"][part] / max(1e-6, float(np.sqrt(np.mean(track**2))))
            harmonic += track * np.float32(level)
    drums = np.tanh(drums * np.float32(plan["levels"]["drums"]))
    harmonic = np.tanh(room(harmonic, streams["chords"]))
    loudest = max(float(np.abs(x).max()) for x in (drums, harmonic, drums + harmonic))
    gain = np.float32(plan["peak"] / max(loudest, 1e-3))
    drums, harmonic = drums * gain, harmonic * gain
    return {
        "audio": drums + harmonic,
        "percussive": drums,
        "harmonic": harmonic,
        "onsets": onsets,
        "chords": [{k: v for k, v in c.items() if k != "notes"} for c in plan["chords"]],
        "tempo": plan["tempo"],
        "key": plan["key"],
        "bar": plan["bar"],
    }


def compose(rng: np.random.Generator, seconds: float, tempo: float | None) -> dict:
    """The plan of a song: tempo, key, swing, chords a bar, levels and peak."""
    drawn = float(rng.uniform(72, 148))
    tempo = drawn if tempo is None else float(tempo)
    bar = 4 * 60 / tempo
    mode = str(rng.choice(["major", "minor"]))
    tonic, seventh = int(rng.integers(12)), bool(rng.random() < 0.4)
    first, second = rng.integers(len(LOOPS[mode]), size=2)
    loop = LOOPS[mode][first] + LOOPS[mode][second if rng.random() < 0.5 else first]
    count = int(np.ceil(seconds / bar))
    listed, previous = [], None
    for index in range(count):
        chord = build_chord(tonic, mode, loop[index % len(loop)], seventh, previous)
        previous = chord["notes"]
        span = {"start": index * bar, "end": min((index + 1) * bar, seconds)}
        listed.append({**span, **chord})
    low, high = 0.06, 0.14
    return {
        "tempo": tempo,
        "bar": bar,
        "swing": float(rng.choice([0.0, rng.uniform(0.05, 0.33)])),
        "key": {"tonic": tonic, "mode": mode},
        "scale": [(tonic + step) % 12 for step in (MAJOR if mode == "major" else MINOR)],
        "chords": listed,
        "levels": {
            "drums": float(rng.uniform(0.35, 0.9)),
            "bass": float(rng.uniform(low, high)),
            "chords": float(rng.uniform(low, high)),
            "lead": float(rng.uniform(0.6 * low, high)),
        },
        "peak": float(rng.uniform(0.5, 0.95)),
    }


def build_chord(
    tonic: int, mode: str, degree: int, seventh: bool, previous: list[int] | None
) -> dict:
    """The chord on a degree of the scale, its notes (MIDI) voiced close to the `previous` ones."""
    scale = MAJOR if mode == "major" else MINOR
    steps = [degree + 2 * k for k in range(4 if seventh else 3)]
    pitches = [tonic + scale[s % 7] + 12 * (s // 7) for s in steps]
    third, fifth = pitches[1] - pitches[0], pitches[2] - pitches[0]
    quality = {(4, 7): "major", (3, 7): "minor", (3, 6): "diminished"}[(third, fifth)]
    centre = 60 if previous is None else float(np.mean(previous))
    notes = [p % 12 + 12 * round((centre - p % 12) / 12) for p in pitches]
    return {
        "root": pitches[0] % 12,
        "quality": quality + ("_seventh" if seventh else ""),
        "pitch_classes": sorted({p % 12 for p in pitches}),
        "notes": sorted(n if 48 <= n <= 74 else 60 + n % 12 for n in notes),
    }


def clock(plan: dict, bar: int, sixteenth: float) -> float:
    """Seconds of a sixteenth in a bar; swing delays every second one."""
    late = plan["swing"] if int(sixteenth) % 2 else 0.0
    return (bar + (sixteenth + late) / 16) * plan["bar"]


def pick(rng: np.random.Generator, patterns: list) -> tuple[int, ...]:
    """One of the patterns."""
    return tuple(patterns[rng.integers(len(patterns))])


def render_drums(
    plan: dict, length: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, list[float]]]:
    """The drum track, and the seconds at which each drum was hit."""
    pattern = {
        "kick": pick(rng, KICKS),
        str(rng.choice(["snare", "clap"])): pick(rng, SNARES),
        str(rng.choice(["hat", "hat", "shaker"])): pick(rng, HATS),
    }
    if rng.random() < 0.4:
        pattern["open_hat"] = (14,) if rng.random() < 0.5 else (6, 14)
    if rng.random() < 0.3:
        pattern["tom"] = pick(rng, [(10, 13), (3, 7), (14, 15)])
    gains = {"kick": (0.8, 1.2), "snare": (0.4, 0.8), "clap": (0.4, 0.7), "tom": (0.4, 0.7)}
    sounds = {name: DRUMS[name](rng) for name in pattern}
    level = {name: rng.uniform(*gains.get(name, (0.08, 0.28))) for name in pattern}
    track, onsets = np.zeros(length, np.float32), {name: [] for name in pattern}
    entry = 1 if len(plan["chords"]) > 4 and rng.random() < 0.2 else 0
    for bar in range(entry, len(plan["chords"])):
        fill = bar % 4 == 3 and rng.random() < 0.6
        for name, hits in pattern.items():
            extra = tuple(rng.choice(16, 2)) if fill and name in ("snare", "clap", "tom") else ()
            for hit in sorted({*hits, *(int(e) for e in extra)}):
                if rng.random() < 0.04:
                    continue
                start = clock(plan, bar, hit) + max(0.0, rng.normal(0, 0.002))
                if start * RATE < length - 240:
                    accent = 1.0 if hit % 4 == 0 else rng.uniform(0.55, 0.95)
                    place(track, sounds[name], start, level[name] * accent)
                    onsets[name].append(round(start, 5))
    return track, {name: sorted(times) for name, times in onsets.items() if times}


def hertz(midi: float) -> float:
    """Frequency of a MIDI note number."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def bass(plan: dict, length: int, rng: np.random.Generator) -> np.ndarray:
    """Roots, with fifths and octaves now and then."""
    voice, pattern, track = timbre(rng, "bass"), pick(rng, BASSES), np.zeros(length, np.float32)
    busy = rng.uniform(0, 0.5)
    for bar, chord in enumerate(plan["chords"]):
        low = 28 + (chord["root"] - 28) % 12
        ends = [*pattern[1:], 16]
        for hit, end in zip(pattern, ends, strict=True):
            step = rng.choice([7, 12]) if hit and rng.random() < busy else 0
            start = clock(plan, bar, hit)
            held = 0.85 * (clock(plan, bar, end) - start)
            sound = note(voice, hertz(low + step), held, rng)
            place(track, sound, start, rng.uniform(0.8, 1.0))
    return filtered(track, 30, voice["cutoff"])


def chords(plan: dict, length: int, rng: np.random.Generator) -> np.ndarray:
    """The chords as pads, stabs or arpeggios."""
    voice, track = timbre(rng, "chords"), np.zeros(length, np.float32)
    style, pattern = str(rng.choice(["pad", "stab", "arpeggio"])), pick(rng, RHYTHMS)
    for bar, chord in enumerate(plan["chords"]):
        notes, sixteenth = chord["notes"], plan["bar"] / 16
        if style == "pad":
            events = [(0, n, plan["bar"]) for n in notes]
        elif style == "stab":
            events = [(hit, n, 2.2 * sixteenth) for hit in pattern for n in notes]
        else:
            order = [*notes, *notes[-2:0:-1]]
            events = [(2 * k, order[k % len(order)], 3.5 * sixteenth) for k in range(8)]
        for hit, midi, held in events:
            sound = note(voice, hertz(midi), held, rng)
            place(track, sound, clock(plan, bar, hit), rng.uniform(0.7, 1.0))
    return filtered(track, 120, voice["cutoff"])


def lead(plan: dict, length: int, rng: np.random.Generator) -> np.ndarray:
    """A melody that walks the scale and meets the chord on strong beats, with rests."""
    voice, track = timbre(rng, "lead"), np.zeros(length, np.float32)
    density, step = rng.uniform(0.35, 0.8), int(rng.choice([2, 2, 4]))
    ladder = [m for m in range(64, 86) if m % 12 in plan["scale"]]
    place_on, rests = int(rng.integers(len(ladder))), rng.random(len(plan["chords"])) < 0.2
    for bar, chord in enumerate(plan["chords"]):
        if rests[bar]:
            continue
        for hit in range(0, 16, step):
            if rng.random() > density:
                continue
            place_on = int(np.clip(place_on + rng.integers(-2, 3), 0, len(ladder) - 1))
            midi = ladder[place_on]
            if hit % 8 == 0:
                tones = [m for m in ladder if m % 12 in chord["pitch_classes"]]
                midi = min(tones, key=lambda m: abs(m - ladder[place_on]))
            held = plan["bar"] / 16 * step * rng.choice([0.8, 0.95, 1.8])
            sound = note(voice, hertz(midi), held, rng)
            place(track, sound, clock(plan, bar, hit), rng.uniform(0.6, 1.0))
    return filtered(track, 200, voice["cutoff"])
