"""Shows edits: `python -m multitrack.show IN.xml ...` prints tracks, and draws them as lanes."""

import argparse
from pathlib import Path

from experiments.shared import arguments, writing
from experiments.shared.errors import InputError, cli
from multitrack import figures
from multitrack.answer.output import save_picture, summary
from multitrack.edit.timeline import ASSETS, PARAMETERS, Clip, Timeline, asset_classes, sample
from multitrack.xmeml import files


def table(timeline: Timeline) -> str:
    """The timeline as text: one line a track, then the notes by kind."""
    rate = timeline.rate
    lines = [
        f"{timeline.name}: {timeline.width}x{timeline.height}, {timeline.seconds:.1f} s, "
        f"{float(rate.fps):.3f} fps (timebase {rate.timebase}{', NTSC' if rate.ntsc else ''})",
        f"{'track':>5} {'clips':>6} {'cover':>6} {'moving':>6} {'cropped':>7} {'off':>4}  assets",
    ]
    classes = asset_classes(timeline)
    for number, track in enumerate(timeline.tracks, 1):
        clips = track.clips
        cover = sum(c.end - c.start for c in clips if c.enabled) / max(1, timeline.duration)
        moving = sum(any(v.moves for v in (*c.motion.values(), *c.crop.values())) for c in clips)
        cropped = sum(_cropped(c) for c in clips)
        off = "all" if not track.enabled else sum(not c.enabled for c in clips)
        names = ", ".join(dict.fromkeys(ASSETS[classes[id(c)]] for c in clips))
        lines.append(
            f"{f'V{number}':>5} {len(clips):>6} {cover:>6.0%} {moving:>6} {cropped:>7} {off:>4}"
            f"  {names}"
        )
    return "\n".join(lines + [f"note: {note}" for note in summary(timeline.notes)])


def _cropped(clip: Clip) -> bool:
    curves = [clip.curve(side) for side in PARAMETERS[5:]] + list(clip.crop.values())
    return any(c.value > 0 or any(v > 0 for _, v in c.keys) for c in curves)


def show(xml: Path, png: Path, options: argparse.Namespace) -> None:
    """Print one file and draw its lanes."""
    writing.check_file(png, inputs=options.xml, overwrite=options.overwrite)
    timeline = files.read(xml, sequence=options.sequence)
    frames = sample(timeline, rule=options.rule)
    timeline.notes += frames.notes
    print(table(timeline))
    save_picture(figures.lanes({"edit": frames.values}, title=timeline.name), png)
    print(f"lanes: {png}")


def main() -> None:
    parser = arguments.Parser(description="Print FCP7 XMLs as tables and draw their lanes.")
    parser.add_argument("xml", type=Path, nargs="+")
    parser.add_argument("--sequence", help="name of the sequence, where a file holds several")
    parser.add_argument("--rule", choices=("source", "sequence"), default="source",
                        help="what Basic Motion's centre is in units of")  # fmt: skip
    parser.add_argument("--png", type=Path, help="default: IN.lanes.png in the current folder")
    parser.overwrite()
    options = parser.parse_args()
    if options.png and len(options.xml) > 1:
        raise InputError(f"--png {options.png}: expected one XML with it, got {len(options.xml)}")
    failed = 0
    for xml in options.xml:
        try:
            show(xml, options.png or Path(f"{xml.stem}.lanes.png"), options)
        except InputError as error:
            if len(options.xml) == 1:
                raise
            failed += 1
            print(f"skipped: {error}")
    if failed:
        raise InputError(f"{failed} of {len(options.xml)} files could not be shown, see above")


if __name__ == "__main__":
    cli(main)
