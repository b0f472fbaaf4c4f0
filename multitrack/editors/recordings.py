"""A recording before its edit: a stack of cameras, a microphone a speaker, and how they sound.

Voices are made of harmonics under a syllable's envelope, heard by every microphone: what is near
loud, what is far as bleed. Ticks are 0.1 s.
"""

import json
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import soundfile
from scipy.signal import butter, lfilter, sosfilt

from multitrack.edit.drivers import World, world
from multitrack.edit.timeline import Clip, Media, Rate, Timeline, Track
from multitrack.editors.scenes import choose_rate

HZ = 16_000
BLEED = (-18.0, -12.0)  # dB of another's voice
ROOM = -62.0  # dB of the room's noise
NAMES = ("ANN", "BOB", "CLEO", "DAN")
OUT_OF_STEP = (0, 13, 47, 5, 29)  # frames by which each camera began before the edit


def stack(rng: np.random.Generator, ticks: int, speakers: int) -> tuple[Timeline, World, list[str]]:
    """Cameras of each speaker and a wide one, all in sync, microphones below; the recording."""
    rate, recording = choose_rate(rng), world(rng, ticks, speakers)
    frames = int(ticks * rate.fps / 10)
    timeline = Timeline("recording", rate, 1920, 1080, duration=frames)
    names = list(NAMES[:speakers])
    for number, name in enumerate([*names, "WIDE"]):
        first = OUT_OF_STEP[number]
        media = Media(
            f"file-{number + 1}", f"{name}.mov", 1920, 1080, frames + 200, rate,
            f"file://localhost/media/{name}.mov",
        )  # fmt: skip
        clip = Clip(f"clipitem-v{number + 1}", name, 0, frames, first, first + frames, rate, media)
        timeline.tracks.append(Track([clip]))
    timeline.audio = Element("audio")
    for number, name in enumerate(names, 1):
        track = SubElement(timeline.audio, "track")
        track.append(_sound(f"clipitem-a{number}", name.lower(), f"file-a{number}", frames, rate))
    scratch = SubElement(timeline.audio, "track")  # the wide camera's own, linked to it
    wide = timeline.tracks[-1].clips[0]
    item = _sound("clipitem-scratch", "WIDE", wide.media.id, frames, rate, wide.first)
    ends = ((wide.id, "video", speakers + 1), ("clipitem-scratch", "audio", speakers + 1))
    for holder in (wide.kept, item):
        for key, medium, track_number in ends:
            holder.append(_leaves("link", linkclipref=key, mediatype=medium,
                                  trackindex=track_number, clipindex=1))  # fmt: skip
    scratch.append(item)
    return timeline, recording, names


def _leaves(tag: str, **texts: object) -> Element:
    element = Element(tag)
    for key, text in texts.items():
        SubElement(element, key.rstrip("_")).text = str(text)
    return element


def _sound(key: str, name: str, file: str, frames: int, rate: Rate, first: int = 0) -> Element:
    item = _leaves("clipitem", name=name, enabled="TRUE", duration=frames)
    item.set("id", key)
    item.append(_leaves("rate", timebase=rate.timebase, ntsc=str(rate.ntsc).upper()))
    for tag, frame in (("start", 0), ("end", frames), ("in", first), ("out", first + frames)):
        SubElement(item, tag).text = str(frame)
    source = SubElement(item, "file", id=file)
    if not file[5:].isdigit():  # a camera's file is defined with its picture
        for part in _leaves("x", name=f"{name}.wav", pathurl=f"file://localhost/{name}.wav",
                            duration=frames):  # fmt: skip
            source.append(part)
        source.append(_leaves("media", audio=""))
    return item


def voices(rng: np.random.Generator, speech: np.ndarray, speakers: int) -> np.ndarray:
    """What each microphone hears: (samples, M) float32 at HZ, from speech (T, >= M) of 0/1."""
    said = np.stack([_voice(rng, speech[:, m]) for m in range(speakers)], 1)
    mixed = np.empty_like(said)
    for mic in range(speakers):
        gains = 10 ** (rng.uniform(*BLEED, speakers) / 20)
        gains[mic] = 1
        noise = 10 ** (ROOM / 20) * rng.standard_normal(len(said))
        mixed[:, mic] = 10 ** (rng.uniform(-8, 0) / 20) * (said @ gains) + noise
    return mixed.astype(np.float32)


def _voice(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    """One voice, heard where `speech` (T,) is 1."""
    count = len(speech) * HZ // 10
    seconds = np.arange(count) / HZ
    pitch = rng.uniform(95, 210) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 0.7) * seconds))
    phase = 2 * np.pi * np.cumsum(pitch) / HZ
    source = sum(np.sin(k * phase) / k for k in range(1, 16))
    tone = sum(
        sosfilt(butter(2, (f * 0.85, f * 1.15), "bandpass", fs=HZ, output="sos"), source)
        for f in (rng.uniform(400, 700), rng.uniform(1100, 1700), rng.uniform(2300, 2800))
    )
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(3, 5) * seconds)
    on = lfilter([0.002], [1, -0.998], np.repeat(speech > 0.5, HZ // 10).astype(float))
    made = tone * syllables * on
    return 0.25 * made / max(1e-9, float(np.abs(made).max()))


def rttm(recording: World, names: list[str]) -> str:
    """The turns as diarisation."""
    return "".join(
        f"SPEAKER recording 1 {t.start / 10:.2f} {(t.end - t.start) / 10:.2f} <NA> <NA> "
        f"{names[t.speaker]} <NA> <NA>\n"
        for t in recording.turns
    )


def settings(names: list[str]) -> str:
    """Who is on which camera, as `multitrack.cut --settings` takes it."""
    people = {name: {"camera": f"V{n}", "mic": f"{name.lower()}.wav"}
              for n, name in enumerate(names, 1)}  # fmt: skip
    return f"speakers: {json.dumps(people)}\nwide: [WIDE]\n"


def save_sounds(folder: Path, sounds: np.ndarray, names: list[str]) -> None:
    """A WAV a microphone."""
    for name, column in zip(names, sounds.T, strict=True):
        soundfile.write(folder / f"{name.lower()}.wav", column, HZ, subtype="PCM_16")
