"""The creative agent put to use: two songs, or folders of them, become a new piece."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import arguments, checkpoints, writing
from experiments.shared.errors import InputError, cli
from jingle.codec.model import Codec, load_codec
from jingle.module import CreativeAgent
from jingle.pairs import align, blend
from jingle.pieces import space
from jingle.pieces.page import page
from jingle.pieces.piece import RATE, make_piece, picture
from jingle.pieces.requests import Request, find_requests
from jingle.sound import audio

UNFAMILIAR = 0.5  # share below which a song is remarked on
TITLES = {
    "input": "A, the input: its rhythm is kept",
    "target": "B, the target: its harmony is used",
    "drums": "drums of A, by separation",
    "chords": "harmony of B, by separation",
    "hpss_mix": "HPSS mix: these two added up",
    "output": "ours",
}


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


def main() -> None:
    """Make a new piece with the rhythm of one song and the harmony of another."""
    parser = arguments.Parser(prog="python -m jingle.infer", description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="run folder or .ckpt file")
    parser.add_argument(
        "--input", type=arguments.source("a song"), help="song (or folder) whose rhythm is kept"
    )
    parser.add_argument(
        "--target", type=arguments.source("a song"), help="song (or folder) whose harmony is used"
    )
    parser.add_argument(
        "--data",
        type=arguments.folder("a data root"),
        help="a data root instead: its test or val pairs",
    )
    parser.add_argument("--output", type=Path, required=True, help="OUT.wav; a folder for folders")
    parser.add_argument("--codec", help="auto, pretrained, embedded or a file (the run's own)")
    parser.add_argument(
        "--align",
        choices=align.CHOICES,
        default="none",
        help="stretch the target to the input's tempo, or also lay its beats on the input's (none)",
    )
    parser.add_argument("--key", action="store_true", help="shift it by up to 3 semitones likewise")
    parser.add_argument(
        "--stereo", action="store_true", help="two channels: places of A's drums, of B's harmony"
    )
    parser.add_argument(
        "--rate",
        choices=("input", "codec"),
        default="input",
        help="of the output: the input's, with the songs' own sound above 12 kHz, or the codec's "
        "24 kHz (input)",
    )
    parser.add_argument(
        "--takes",
        type=arguments.whole(1, 1000),
        default=1,
        help="so many pieces of a pair, in other balances (1)",
    )
    parser.add_argument(
        "--seed", type=arguments.seed, default=0, help="of the takes after the first (0)"
    )
    positive = arguments.real(0, 3600, above=True)
    parser.add_argument("--window", type=positive, help="seconds at once (those of training)")
    parser.add_argument(
        "--overlap", type=arguments.real(0, 3600), help="seconds of cross-fade (an eighth of that)"
    )
    parser.add_argument(
        "--seconds",
        type=arguments.real(0, 86_400, above=True),
        help="use only so much of each song",
    )
    parser.add_argument("--limit", type=arguments.whole(1), help="make only so many pieces")
    parser.add_argument(
        "--batch", type=arguments.whole(1, 4096), default=4, help="windows at once (4)"
    )
    parser.add_argument("--device", type=arguments.device, help="cpu, cuda, ... (cuda if any)")
    parser.overwrite()
    given = parser.parse_args()
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    requests = find_requests(given.input, given.target, given.data, given.output, given.takes)
    for request in requests[: given.limit]:
        for file in request.written:
            writing.check_file(
                file, inputs=(request.input, request.target), overwrite=given.overwrite
            )
    module = checkpoints.load(CreativeAgent, given.checkpoint).to(device)
    codec, options, about = prepare(given, device)
    print("\n".join([codec.note, *about["warnings"]]), flush=True)
    failures = 0
    for request in requests[: given.limit]:
        try:
            make(request, module, codec, given, options, about)
        except InputError as error:
            if len(requests) == 1:
                raise
            failures += 1
            print(f"skipped {request.output.name}: {error}")
    if failures:
        raise InputError(f"{failures} of {len(requests[: given.limit])} pieces failed, see above")


def prepare(given: argparse.Namespace, device: torch.device) -> tuple[Codec, dict, dict]:
    """The codec, `make_piece`'s options, and what a report says of the run: as was asked.

    Raises:
        InputError: no such codec, or an overlap as long as the window.
    """
    codec, known, warnings = codec_of(given.checkpoint, given.codec, device)
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
    options = {"window": window, "overlap": overlap, "batch": given.batch}
    options |= {"count": given.takes, "seed": given.seed}
    return codec, options, about


def make(
    request: Request,
    module: CreativeAgent,
    codec: Codec,
    given: argparse.Namespace,
    options: dict,
    about: dict,
) -> tuple[dict, dict[str, Tensor]]:
    """Read two songs, make a piece of them, write it, say how it went; the report, the masks."""
    notes: list[str] = []
    files = (request.input, request.target)
    (a, rate), (b, b_rate) = (audio.load(f, 0.0, given.seconds, notes) for f in files)
    b, b_rate = space.resampled(b, b_rate, rate), rate
    songs = [mono_of(x, rate, f, notes) for x, f in zip((a, b), files, strict=True)]
    report: dict = {"input": str(request.input), "target": str(request.target)}
    if given.align != "none" or given.key:
        warp, report["align"] = align.fit(*songs, how=given.align, key=given.key)
        b = align.hear(b, warp, rate)
        songs[1] = mono_of(b, rate, request.target, [])
    waves, masks, found = make_piece(module, codec, *songs, **options)
    pieces = {n: w for n, w in waves.items() if n == "output" or n.startswith("take_")}
    out_rate = audio.RATE
    if given.stereo or (given.rate == "input" and rate > audio.RATE):
        out_rate = max(rate, audio.RATE) if given.rate == "input" else audio.RATE
        a, b = (space.resampled(x, rate, out_rate) for x in (a, b))
        length = min(len(a), len(b), round(len(waves["output"]) * out_rate / audio.RATE))
        gains = space.gains_of(waves["input"], waves["target"])
        for name, piece in pieces.items():
            finished = space.finish(
                piece, a[:length], b[:length], out_rate, gains=gains, stereo=given.stereo
            )
            pieces[name] = audio.peak_safe(finished)
    if (raised := found["drums_raised_db"]) >= blend.DRUMLESS_DB:
        notes.append(
            f"{request.input.name} has no drums to keep: what separation leaves of it is raised by "
            f"{raised:.1f} dB; take another song as input"
        )
    for side, share in found["familiarity"].items():
        if share is not None and share < UNFAMILIAR:
            notes.append(
                f"{report[side]} sounds unlike the songs that the agent was trained on: of what it "
                f"would change in what HPSS finds, {100 * share:.0f} % is done; train on such songs"
            )
    for note in notes:
        print(f"note: {note}")
    report |= about | found | {"notes": notes, "rate_hz": out_rate}
    write_piece(request, waves, pieces, out_rate, masks, report)
    print(summary(request.output, report), flush=True)
    return report, masks


def mono_of(song: np.ndarray, rate: int, file: Path, notes: list[str]) -> np.ndarray:
    """A song (samples, channels) as the model hears it: mono at 24 kHz."""
    return audio.resample(audio.mix_down(song, file, notes), rate)


def write_piece(
    request: Request,
    waves: dict[str, np.ndarray],
    pieces: dict[str, np.ndarray],
    rate: int,
    masks: dict[str, Tensor],
    report: dict,
) -> None:
    """OUT.wav, OUT_input.wav, OUT_target.wav, OUT_take_2.wav, ..., OUT.png, OUT.html, OUT.json."""
    for name, piece in pieces.items():
        audio.write(request.output if name == "output" else request.beside(name), piece, rate)
    for name in ("input", "target"):
        audio.write(request.beside(name), waves[name])
    sounds = {name: (wave, audio.RATE) for name, wave in waves.items()}
    sounds |= {name: (piece, rate) for name, piece in pieces.items()}
    sounds = {TITLES.get(name, name.replace("_", " ")): sound for name, sound in sounds.items()}
    others = {n: values for n, values in report.get("takes", {}).items() if n != "output"}
    tables = {"ours": report["metrics"]} | {
        name.replace("_", " "): values for name, values in (others | report["baselines"]).items()
    }
    title = f"The rhythm of {request.input.stem} with the harmony of {request.target.stem}"
    text = page(
        title, about_of(report), sounds, masks, tables, report["warnings"] + report["notes"]
    )
    with writing.replacing(request.output.with_suffix(".png")) as scratch:
        picture(waves, masks).savefig(scratch)
    writing.write_text(request.output.with_suffix(".html"), text)
    found = json.dumps(report, indent=1, allow_nan=False)
    writing.write_text(request.output.with_suffix(".json"), found)


def about_of(report: dict) -> str:
    """What the page says below its heading."""
    line = f"{report['seconds']:.1f} s at {report['rate_hz']} Hz by {report['checkpoint']}"
    if found := report.get("align"):
        line += (
            f"; target at {found['rate']:.3f} times its speed, {found['semitones']:+d} semitones"
        )
    return line


def summary(output: Path, report: dict) -> str:
    """One line on a piece that was made, with the numbers of the HPSS mix in brackets."""
    ours, mix = report["metrics"], report["baselines"]["hpss_mix"]
    rhythm, harmony = (f"{ours[n]:.2f} ({mix[n]:.2f})" for n in ("rhythm_correlation", "harmony"))
    line = f"{output}: {report['seconds']:.1f} s, rhythm kept {rhythm}, harmony used {harmony}; "
    if takes := report.get("takes"):
        apart = [d for values in takes.values() for d in values["mel_distance_to"].values()]
        line += f"{len(takes)} takes, {min(apart):.3f} apart at least (mel distance); "
    return f"{line}brackets: the HPSS mix. Listen: {output.with_suffix('.html')}"


if __name__ == "__main__":
    cli(main)
