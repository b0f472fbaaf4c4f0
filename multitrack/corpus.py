"""Makes realistic edits as real FCP7 XML: `python -m multitrack.corpus OUT --timelines 200`.

OUT/<split>/<name>.xml with <name>.drivers.npz (signals at 10 Hz) and <name>.truth.json (every clip,
its keyframes and when its edges could be known), and OUT/manifest.json. Splits are by world
(recording) and by style: `heldout` holds editors that training never sees. (seed, split, number)
decides every byte. With --stacks: synchronised cameras and microphones, not yet cut.
"""

import json
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from experiments.shared import arguments, writing
from experiments.shared.errors import cli
from experiments.shared.progress import progress
from multitrack.edit.drivers import DRIVERS, world
from multitrack.edit.timeline import Clip, Media, Timeline, Track, Transition
from multitrack.editors import recordings, scenes
from multitrack.editors.draft import Draft
from multitrack.editors.styles import style
from multitrack.xmeml import files

LEAST = 4096  # bytes of a timeline with its signals, at least
SPLITS = {"train": 0, "val": 1, "test": 2, "heldout": 3}


def make_edit(
    seed: int, split: str, number: int, *, styles: int, seconds: tuple[int, int]
) -> tuple[Timeline, np.ndarray, dict]:
    """One edit: the timeline, the recording's signals (T, D), and what is known about the edit."""
    rng = np.random.default_rng((seed, 2, SPLITS[split], number))
    # Held-out editors have numbers that no other split draws.
    editor = int(rng.integers(styles)) + (10_000 if split == "heldout" else 0)
    scene = list(scenes.SCENES)[number % len(scenes.SCENES)]
    ticks = int(rng.integers(seconds[0], seconds[1] + 1)) * 10
    tall = scene == "vertical" or (scene == "montage" and rng.random() < 0.3)
    size = (1080, 1920) if tall else (1920, 1080)
    rate = scenes.choose_rate(rng)
    speakers = 1 if scene in ("vertical", "screencast") else int(rng.integers(2, 5))
    recording = world(rng, ticks, speakers)
    edit = Draft(rate, *size, ticks, rng, style(seed, editor))
    for rule in scenes.SCENES[scene]:
        if rule is scenes.cameras:
            rule(edit, recording, speakers)
        else:
            rule(edit, recording)
    _garnish(edit)
    timeline = edit.timeline(f"{scene} {number} · Schnitt {editor}")
    about = {
        "scene": scene, "style": editor, "ticks": ticks, "rules": edit.truth,
        "clips": [_described(clip, n) for n, t in enumerate(timeline.tracks) for clip in t.clips],
    }  # fmt: skip
    return timeline, recording.signals, about


def _described(clip: Clip, track: int) -> dict:
    curves = {**clip.motion, **{f"crop_{k}": v for k, v in clip.crop.items()}}
    return {
        "track": track, "name": clip.name, "start": clip.start, "end": clip.end,
        "first": clip.first, "kind": clip.kind, "enabled": clip.enabled,
        "curves": {k: {"value": c.value, "keys": c.keys} for k, c in curves.items()},
    }  # fmt: skip


def _garnish(edit: Draft) -> None:
    """What real files also hold: dissolves, a nested title, generators, off and empty tracks."""
    rng, rate = edit.rng, edit.rate
    for track in edit.tracks[:2]:
        track.clips.sort(key=lambda clip: clip.start)
        for one, two in zip(track.clips, track.clips[1:], strict=False):
            half = int(min(one.end - one.start, two.end - two.start, rate.fps // 2) // 3)
            if one.end == two.start and one.enabled == two.enabled and rng.random() < 0.1 and half:
                one.tail, two.lead = half, half
                track.transitions.append(Transition(one.end - half, one.end + half))
    if rng.random() < 0.4:
        text = Clip("clipitem-t", "Titel", 0, edit.frame(20), 0, edit.frame(20), rate, kind="text")
        text.kept = [_text_effect("Titel · 題")]
        inner = Timeline(
            "Title", rate, edit.width, edit.height, [Track([text])], edit.frame(20), "sequence-2"
        )
        media = Media("sequence-2", "Title", edit.width, edit.height, inner.duration, rate)
        media.sequence = inner
        known = (None, None, 0, 0)
        edit.put(12, 0, 20, media, "nested", {"scale": 90.0, "anchor_y": 0.1}, known, "R7")
    if rng.random() < 0.3:
        edit.put(11, edit.ticks - 15, edit.ticks, None, "text", {"scale": 100.0})
        clip = edit.tracks[11].clips[-1] if edit.tracks[11].clips else None
        if clip is not None and clip.media is None:
            clip.kept = [_text_effect("Ende & Aus")]
    off = Track(enabled=False)
    off.clips = [Clip("clipitem-off", "old take", 0, edit.frame(30), 0, edit.frame(30), rate)]
    off.clips[0].media = edit.source("old take")
    edit.tracks.append(off if rng.random() < 0.3 else Track(locked=True))


def _text_effect(text: str) -> Element:
    effect = Element("effect")
    for tag, value in (
        ("name", "Text"),
        ("effectid", "Text"),
        ("effectcategory", "Text"),
        ("effecttype", "generator"),
        ("mediatype", "video"),
    ):
        SubElement(effect, tag).text = value
    parameter = SubElement(effect, "parameter")
    SubElement(parameter, "parameterid").text = "str"
    SubElement(parameter, "name").text = "Text"
    SubElement(parameter, "value").text = text
    return effect


def make_corpus(
    out: Path,
    counts: dict[str, int],
    *,
    seed: int = 0,
    styles: int = 24,
    seconds: tuple[int, int] = (30, 120),
) -> None:
    """Write a corpus of `counts` timelines a split into `out`, with a progress bar."""
    timelines = sum(counts.values())
    writing.foresee(out, timelines * LEAST, f"timelines={counts}: give fewer")
    manifest = {"drivers": list(DRIVERS), "seed": seed, "files": {}}
    jobs = [(split, number) for split, count in counts.items() for number in range(count)]
    for split, number in progress(jobs, "timelines", "file"):
        folder = out / split
        folder.mkdir(parents=True, exist_ok=True)
        timeline, signals, about = make_edit(seed, split, number, styles=styles, seconds=seconds)
        name = f"{about['scene']}_{number:04d}"
        files.write(timeline, folder / f"{name}.xml", ("none", "project", "bin")[number % 3])
        with (folder / f"{name}.drivers.npz").open("wb") as stream:
            np.savez(stream, drivers=signals.astype(np.float16))
        (folder / f"{name}.truth.json").write_text(json.dumps(about))
        manifest["files"][f"{split}/{name}.xml"] = {
            key: about[key] for key in ("scene", "style", "ticks")
        }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1))


def make_stacks(
    out: Path, count: int, *, seed: int = 0, seconds: tuple[int, int] = (60, 120)
) -> None:
    """Write `count` recordings before their edit, each a folder for `multitrack.cut`.

    stack.xml (cameras and microphones), a WAV a microphone, speakers.rttm, settings.yaml.
    """
    for number in progress(range(count), "stacks", "stack"):
        rng = np.random.default_rng((seed, 5, number))
        ticks, speakers = (
            int(rng.integers(seconds[0], seconds[1] + 1)) * 10,
            int(rng.integers(2, 4)),
        )
        timeline, recording, names = recordings.stack(rng, ticks, speakers)
        folder = out / f"stack_{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        files.write(timeline, folder / "stack.xml")
        sounds = recordings.voices(rng, recording.signals, speakers)
        recordings.save_sounds(folder, sounds, names)
        (folder / "speakers.rttm").write_text(recordings.rttm(recording, names))
        (folder / "settings.yaml").write_text(recordings.settings(names))


def main() -> None:
    parser = arguments.Parser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--stacks",
        type=arguments.whole(1),
        help="write so many stacks of cameras with WAVs instead",
    )
    parser.add_argument(
        "--timelines", type=arguments.whole(5), default=200, help="in all; 60 %% are for training"
    )
    parser.add_argument(
        "--styles", type=arguments.whole(1, 10_000), default=24, help="editors to draw from"
    )
    seconds = arguments.whole(5, 36_000)
    parser.add_argument(
        "--seconds", type=seconds, nargs=2, default=(30, 120), metavar=("MIN", "MAX")
    )
    parser.add_argument("--seed", type=arguments.seed, default=0)
    parser.overwrite()
    options = parser.parse_args()
    if options.seconds[0] > options.seconds[1]:
        parser.error("argument --seconds: expected MIN MAX, the smaller first")
    writing.check_folder(options.out, overwrite=options.overwrite)
    if options.stacks:
        with writing.new_folder(options.out) as scratch:
            make_stacks(scratch, options.stacks, seed=options.seed, seconds=options.seconds)
        print(f"{options.stacks} stacks in {options.out}, for multitrack.cut")
        return
    part = options.timelines // 5
    counts = {"val": part // 2 or 1, "test": part - part // 2, "heldout": part}
    counts = {"train": options.timelines - sum(counts.values()), **counts}
    with writing.new_folder(options.out) as scratch:
        make_corpus(scratch, counts, seed=options.seed, styles=options.styles,
              seconds=tuple(options.seconds))  # fmt: skip
    print(f"{options.timelines} timelines in {options.out}: {counts}")


if __name__ == "__main__":
    cli(main)
