"""Makes a first cut: `python -m multitrack.cut CAMERAS.xml OUT.xml --rttm SPEAKERS.rttm`.

CAMERAS.xml is a synchronised stack: cameras on video tracks, microphones on audio tracks. Without
it --camera NAME=FILE and --mic NAME=FILE give the media files themselves. All times are seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from experiments.shared import arguments, checkpoints, writing
from experiments.shared.errors import InputError, cli
from multitrack import figures
from multitrack.answer.output import save_picture, summary
from multitrack.cutting import model, stack
from multitrack.cutting.assemble import assemble
from multitrack.cutting.report import described, differences, shots
from multitrack.cutting.roles import cast, constants
from multitrack.cutting.settings import LOSING, Settings, load
from multitrack.cutting.signals import Signals, Sources, gather
from multitrack.cutting.switch import switch
from multitrack.edit.timeline import Timeline
from multitrack.examples.moments import listening
from multitrack.module import Multitrack
from multitrack.xmeml import files

SETTINGS = """settings, a YAML (all keys may be left out):
  speakers: {ANN: {camera: V1, mic: ann.wav}, BOB: {camera: V2}}
  wide: [V3]            cameras that see everybody
  lag: 0.5              from the change of the floor to the cut
  shortest: 1.5         length of a shot
  longest: 30           then a wide shot for wide_length; null: never
  wide_length: 3
  together: 2           several speak for so long: wide; null: never
  silence: 4            nobody speaks for so long: wide; null: never
  reaction_after: null  so far into a turn a listener shows for reaction_length
  reaction_length: 2
  open_wide: 0          begins on a wide shot for so long
  cutaways: [{camera: V4, at: 62.5, length: 4}]
  losing: disable       what becomes of the angles that do not show: disable, delete"""


def read_stack(options: argparse.Namespace) -> Timeline:
    """The stack from XML or from media files."""
    given = [stack.named_file(text, "--camera") for text in options.camera]
    mics = [stack.named_file(text, "--mic") for text in options.mic]
    if options.stack is None:
        if len(given) < 2:
            raise InputError("expected CAMERAS.xml, or --camera NAME=FILE twice at least")
        return stack.lay(given, mics, options.out.stem)
    if given:
        raise InputError("expected CAMERAS.xml or --camera, got both")
    return files.read(options.stack, sequence=options.sequence)


def sources(options: argparse.Namespace, settings: Settings) -> Sources:
    """The signals' files: those of the options, then the microphones of the settings."""
    named = [stack.named_file(text, "--wav") for text in options.wav]
    named += [stack.named_file(text, "--mic") for text in options.mic if not options.wav]
    wav = {file.name: file.path for file in named}
    beside = options.settings.parent if options.settings else Path()
    for name, of in settings.speakers.items():
        file = beside / of.get("mic", "")
        if of.get("mic") and file.is_file() and not named:
            wav[name] = file
    return Sources(options.rttm, options.srt or options.vtt, options.words, options.faces, wav)


def decide(
    timeline: Timeline,
    cameras: list[stack.Camera],
    signals: Signals,
    settings: Settings,
    options: argparse.Namespace,
) -> tuple[np.ndarray, np.ndarray]:
    """The camera at each tick by the engine that was asked for, and by the rule: (T,) each."""
    people, fixed = cast(timeline, cameras, signals, settings), constants(settings, cameras)
    like = None
    if options.like is not None:
        like = model.read_earlier(options.like)
        said = [name for name in ("shortest", "lag") if getattr(options, name) is not None]
        model.paced(fixed, like, said)
    heard = listening(signals.speech, len(people.usable))
    ruled = switch(heard.holder, signals.speech, people, fixed)
    if options.by == "rule":
        return ruled, ruled
    head = checkpoints.load(Multitrack, options.checkpoint).eval().hazard
    if head is None:
        raise InputError(
            f"--checkpoint {options.checkpoint}: expected a run of exp/multitrack, which tells cuts"
        )
    return model.switch(heard, model.Director(head, people, fixed, like)), ruled


def main() -> None:
    options = _options()
    started = time.perf_counter()
    asked = {
        name: getattr(options, name)
        for name in ("lag", "shortest", "longest", "wide_length", "losing", "wide")
    }
    settings = load(options.settings, asked)
    timeline = read_stack(options)
    cameras = stack.cameras(timeline)
    ticks = len(stack.seen(cameras, timeline))
    signals = gather(sources(options, settings), ticks)
    shown, ruled = decide(timeline, cameras, signals, settings, options)
    made = assemble(timeline, cameras, shown, delete=settings.losing == "delete")
    files.write(made, options.out)
    picture = options.out.with_suffix(".png")
    names = [camera.label for camera in cameras]
    save_picture(figures.first_cut(shown, names, signals.speech, signals.speakers), picture)
    print(described(shown, names))
    for line in differences(shown, ruled, names):
        print(line)
    for note in summary(made.notes + signals.notes):
        print(f"note: {note}")
    print(
        f"{options.out}: {made.seconds:.1f} s, {len(shots(shown))} shots, {picture.name} beside it "
        f"({time.perf_counter() - started:.1f} s of work)"
    )


def _options() -> argparse.Namespace:
    parser = arguments.Parser(
        description=__doc__, epilog=SETTINGS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="[CAMERAS.xml] OUT.xml")
    parser.add_argument("--sequence", help="name of the sequence, where the stack holds several")
    parser.add_argument("--camera", action="append", default=[], metavar="NAME=FILE[@OFFSET]")
    parser.add_argument("--mic", action="append", default=[], metavar="NAME=FILE[@OFFSET]")
    given, seconds = arguments.file("a signal", 1 << 30), arguments.real(0, 1e6)
    signals = parser.add_argument_group("signals: who speaks when, who is seen; any of them")
    signals.add_argument("--rttm", type=given, help="diarisation")
    signals.add_argument("--srt", type=given, help="subtitles that name their speakers")
    signals.add_argument("--vtt", type=given, help="likewise")
    signals.add_argument("--words", type=given, help="words with times and speakers, JSON")
    signals.add_argument("--wav", action="append", default=[], metavar="NAME=FILE",
                         help="a speaker's microphone; again for each")  # fmt: skip
    signals.add_argument("--faces", type=given, help="boxes of faces a frame, JSON")
    how = parser.add_argument_group("how")
    how.add_argument("--by", choices=("rule", "model"), default="rule",
                     help="the switcher, or a trained model that has it as its prior")  # fmt: skip
    how.add_argument("--checkpoint", help="for --by model: a run's folder or a .ckpt file")
    how.add_argument("--like", type=arguments.file("an earlier edit, an XML"), metavar="EDIT.xml",
                     help="an earlier edit whose pace is to be kept (EDIT.drivers.npz beside it "
                     "tells its lag)")  # fmt: skip
    how.add_argument("--settings", type=given, metavar="YAML", help="participants and lengths")
    how.add_argument("--wide", action="append", metavar="CAMERA", help="sees everybody")
    how.add_argument("--lag", type=seconds)
    how.add_argument("--shortest", type=seconds)
    how.add_argument("--longest", type=seconds)
    how.add_argument("--wide-length", type=seconds)
    how.add_argument("--losing", choices=LOSING)
    parser.overwrite()
    options = parser.parse_args()
    if len(options.paths) > 2:
        raise InputError(f"expected CAMERAS.xml OUT.xml, got {len(options.paths)} paths")
    options.stack = options.paths[0] if len(options.paths) == 2 else None
    options.out = options.paths[-1]
    if options.out.suffix.lower() != ".xml" or options.out.is_dir():
        raise InputError(f"{options.out}: expected a file name that ends in .xml")
    if (options.by == "model") != (options.checkpoint is not None):
        raise InputError("expected --by model and --checkpoint RUN together")
    if options.srt and options.vtt:
        raise InputError("expected --srt or --vtt, got both")
    own = (options.stack, options.like, options.settings)
    for file in (options.out, options.out.with_suffix(".png")):
        writing.check_file(file, inputs=own, overwrite=options.overwrite)
    return options


if __name__ == "__main__":
    cli(main)
