"""The creative agent put to use: two songs, or folders of them, become a new piece."""

import argparse
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import checkpoints
from experiments.shared.errors import InputError, cli
from jingle.codec.model import Codec, load_codec
from jingle.module import CreativeAgent
from jingle.pairs.scan import FileBook, scan
from jingle.pieces.piece import RATE, make_piece, picture
from jingle.sound import audio


@dataclass(frozen=True)
class Request:
    """One piece to make, and where to write it."""

    input: Path
    target: Path
    output: Path


def find_requests(
    source: Path | None, target: Path | None, data: Path | None, output: Path
) -> list[Request]:
    """What to make: of two files, of two folders (by equal names, else in order), of a data root.

    Raises:
        InputError: nothing there, folders that do not match, an output name without a format.
    """
    if data is not None:
        folder = next((data / n for n in ("test", "val") if (data / n).is_dir()), None)
        if folder is None:
            raise InputError(f"--data {data}: expected a folder with test/ or val/ in it")
        with tempfile.TemporaryDirectory() as scratch:
            pairs, skipped = scan(folder, FileBook(Path(scratch)), seconds=0.1)
        for line in skipped:
            print(line)
        return [Request(p.input.file, p.target.file, output / f"{p.name}.wav") for p in pairs]
    if source is None or target is None:
        raise InputError("expected --input and --target, or --data; give what to make a piece of")
    for path in (source, target):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if source.is_file() != target.is_file():
        raise InputError(f"{source} and {target}: expected two files or two folders")
    if source.is_file():
        if output.suffix.lower() not in audio.SUFFIXES:
            raise InputError(f"--output {output}: expected a file name, OUT.wav for instance")
        return [Request(source, target, output)]
    inputs, targets = ({f.stem: f for f in songs_in(path)} for path in (source, target))
    names = sorted(set(inputs) & set(targets))
    if names:
        return [Request(inputs[n], targets[n], output / f"{n}.wav") for n in names]
    if len(inputs) != len(targets):
        raise InputError(
            f"{source} has {len(inputs)} songs, {target} has {len(targets)}, no name in both: "
            "expected equal names or equal counts"
        )
    pairs = zip(inputs.values(), targets.values(), strict=True)
    return [Request(a, b, output / f"{a.stem}_with_{b.stem}.wav") for a, b in pairs]


def songs_in(folder: Path) -> list[Path]:
    songs = [f for f in sorted(folder.iterdir()) if f.suffix.lower() in audio.SUFFIXES]
    if not songs:
        raise InputError(f"{folder}: no audio in it, expected {', '.join(audio.SUFFIXES)} files")
    return songs


def write_piece(
    output: Path, waves: dict[str, np.ndarray], masks: dict[str, Tensor], report: dict
) -> None:
    """OUT.wav, OUT_input.wav, OUT_target.wav, OUT.png and OUT.json."""
    audio.write(output, waves["output"])
    for name in ("input", "target"):
        audio.write(output.with_name(f"{output.stem}_{name}{output.suffix}"), waves[name])
    try:
        picture(waves, masks).savefig(output.with_suffix(".png"))
        output.with_suffix(".json").write_text(json.dumps(report, indent=1, allow_nan=False))
    except OSError as error:
        raise InputError(f"{output.parent}: cannot be written to ({error})") from error


def codec_of(run: Path, choice: str | None, device: torch.device) -> tuple[Codec, dict, list[str]]:
    """The codec of a run unless `choice` names another; warns where it is not the run's own.

    Returns:
        The codec, what the checkpoint knows about its data ({} if nothing), warnings.
    """
    known = checkpoints.read(checkpoints.resolve(run)).get("JinglePairs", {})
    codec = load_codec(choice or known.get("codec", "auto"), device)
    warnings = []
    if known and codec.identity != known["identity"]:
        warnings.append(
            f"WARNING the agent was trained with codec {known['codec']} ({known['identity']}), not "
            f"with {codec.name} ({codec.identity}), whose latents it does not know"
        )
    if not codec.meaningful:
        warnings.append(f"WARNING the sound is not meaningful: {codec.note}")
    return codec, known, warnings


def check_numbers(given: argparse.Namespace) -> None:
    """Raises InputError at a number that makes no piece."""
    for name in ("window", "overlap", "seconds", "limit", "batch"):
        value = getattr(given, name)
        if value is None or 0 < value < math.inf or (name == "overlap" and value == 0):
            continue
        least = "0 or more" if name == "overlap" else "more than 0"
        raise InputError(f"--{name} {value:g}: expected {least}")


def device_of(name: str | None) -> torch.device:
    """The device of that name; without one, a GPU if there is one.

    Raises:
        InputError: there is no such device.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter: torch was built without it
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: cannot be used ({reason}); take cpu") from error


def main() -> None:
    """Make a new piece with the rhythm of one song and the harmony of another."""
    parser = argparse.ArgumentParser(prog="python -m jingle.infer", description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="run folder or .ckpt file")
    parser.add_argument("--input", type=Path, help="song (or folder) whose rhythm is kept")
    parser.add_argument("--target", type=Path, help="song (or folder) whose harmony is used")
    parser.add_argument("--data", type=Path, help="a data root instead: its test or val pairs")
    parser.add_argument("--output", type=Path, required=True, help="OUT.wav; a folder for folders")
    parser.add_argument("--codec", help="auto, pretrained, embedded or a file (the run's own)")
    parser.add_argument("--window", type=float, help="seconds at once (those of training)")
    parser.add_argument("--overlap", type=float, help="seconds of cross-fade (an eighth of that)")
    parser.add_argument("--seconds", type=float, help="use only so much of each song")
    parser.add_argument("--limit", type=int, help="make only so many pieces")
    parser.add_argument("--batch", type=int, default=4, help="windows at once (4)")
    parser.add_argument("--device", help="cpu, cuda, ... (cuda if there is one)")
    given = parser.parse_args()
    check_numbers(given)
    device = device_of(given.device)
    requests = find_requests(given.input, given.target, given.data, given.output)
    module = checkpoints.load(CreativeAgent, given.checkpoint).to(device)
    codec, known, warnings = codec_of(given.checkpoint, given.codec, device)
    print("\n".join([codec.note, *warnings]), flush=True)
    window = max(1, round((given.window or known.get("seconds", 16.0)) * RATE))
    overlap = round(window / 8 if given.overlap is None else given.overlap * RATE)
    if not 0 <= overlap < window:
        raise InputError(
            f"--overlap: {overlap / RATE:g} s, expected less than the window, {window / RATE:g} s"
        )
    about = {
        "checkpoint": str(given.checkpoint),
        "codec": {"name": codec.name, "identity": codec.identity, "meaningful": codec.meaningful},
        "window_s": window / RATE,
        "overlap_s": overlap / RATE,
        "warnings": warnings,
    }
    failures = 0
    for request in requests[: given.limit]:
        try:
            songs = [audio.read(f, 0.0, given.seconds) for f in (request.input, request.target)]
            options = {"window": window, "overlap": overlap, "batch": given.batch}
            waves, masks, report = make_piece(module, codec, *songs, **options)
        except InputError as error:
            if len(requests) == 1:
                raise
            failures += 1
            print(f"skipped {request.output.name}: {error}")
            continue
        sources = {"input": str(request.input), "target": str(request.target)}
        write_piece(request.output, waves, masks, about | sources | report)
        print(summary(request.output, report), flush=True)
    if failures:
        raise InputError(f"{failures} of {len(requests[: given.limit])} pieces failed, see above")


def summary(output: Path, report: dict) -> str:
    """One line on a piece that was made, with the plain average's numbers in brackets."""
    ours, plain = report["metrics"], report["baselines"]["plain_average"]
    rhythm, harmony = (f"{ours[n]:.2f} ({plain[n]:.2f})" for n in ("rhythm_correlation", "harmony"))
    return (
        f"{output}: {report['seconds']:.1f} s, rhythm kept {rhythm}, harmony used {harmony}, "
        f"complementarity {ours['complementarity']:.3f}; brackets: the plain average"
    )


if __name__ == "__main__":
    cli(main)
