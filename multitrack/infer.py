"""Continues or in-fills edits: `python -m multitrack.infer --checkpoint RUN IN.xml OUT.xml`.

IN and OUT may be folders: every XML in IN becomes one of the same name in OUT; what is already
there is left (--again makes it anew); what fails is named, the rest is made, and the status is 2.
Signals are read from NAME.drivers.npz beside the XML.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
import torch

from experiments.shared import arguments, checkpoints, writing
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress, say
from multitrack import figures
from multitrack.answer.compose import Composer
from multitrack.answer.decode import stitch
from multitrack.answer.output import save_picture, summary
from multitrack.edit.drivers import Hearing, listen, read_signals
from multitrack.edit.state import states
from multitrack.edit.timeline import SAMPLES_PER_SECOND, Timeline, sample
from multitrack.examples import tasks
from multitrack.examples.tasks import Task
from multitrack.module import Multitrack
from multitrack.xmeml import files

WINDOW = 100
LONGEST = 8  # seconds that are in-filled at once
REACH = 30  # frames that are forecast at once; farther ones from the forecast


def quantise(network: torch.nn.Module) -> torch.nn.Module:
    """A copy with int8 weights in its linear layers, activations quantised as they come (CPU).

    Not in the head: what it says is multiplied by distances, and eight bits are too coarse for it.
    """
    import warnings

    layers = {torch.nn.Linear: torch.ao.quantization.default_dynamic_qconfig, "head": None}
    with warnings.catch_warnings():
        # Announced to move to torchao; nothing in torch itself replaces it yet.
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(network, layers)


def weight_bytes(network: torch.nn.Module) -> int:
    """Size of the network as it would be stored."""
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return stream.tell()


@torch.inference_mode()
def forecast(
    network: torch.nn.Module, values: np.ndarray, hearing: Hearing | None, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """The next `horizon` samples: values (H, K, 9) and P(active) (H, K), from values (T, K, 9).

    Sample T - 1 + h is told from frame T - 1 in a window whose cells are all h frames old, as in
    training.
    """
    said, sure = [], []
    edit = values
    while len(said) < horizon:
        reach = min(REACH, horizon - len(said))
        known = states(edit, None if hearing is None else hearing.ago)
        made = [
            tasks.example(
                known, edit, hearing, Task("forecast", h, hearing is not None),
                max(0, len(edit) - 1 + h - (WINDOW - 1)), min(WINDOW, len(edit) + h),
            )
            for h in range(1, reach + 1)
        ]  # fmt: skip
        for example in made:
            batch = {k: torch.from_numpy(np.ascontiguousarray(v))[None] for k, v in example.items()}
            keep = torch.zeros(batch["past"].shape[:2], dtype=torch.bool)
            keep[0, -1] = True
            value, certain = stitch(network(batch), keep)
            said.append(value[0].numpy())
            sure.append(certain[0].numpy())
        edit = np.concatenate([values, np.stack(said)])
    return np.stack(said), np.stack(sure)


@torch.inference_mode()
def infill(
    network: torch.nn.Module,
    values: np.ndarray,
    hearing: Hearing | None,
    first: int,
    last: int,
    tracks: list[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Samples [first, last) of `tracks` (all: None) told from what surrounds them."""
    start = max(0, min(first - (WINDOW - (last - first)) // 2, len(values) - WINDOW))
    hidden = np.zeros((WINDOW, values.shape[1]), bool)
    hidden[first - start : last - start, slice(None) if tracks is None else tracks] = True
    task = Task("infill", 0, hearing is not None)
    example = tasks.example(states(values), values, hearing, task, start, WINDOW, hidden)
    batch = {k: torch.from_numpy(np.ascontiguousarray(v))[None] for k, v in example.items()}
    keep = torch.zeros((1, WINDOW), dtype=torch.bool)
    keep[0, first - start : last - start] = True
    said, sure = stitch(network(batch), keep)
    return said.numpy(), sure.numpy()


def hear(file: Path) -> Hearing | None:
    """The recording whose signals lie beside an XML, or None."""
    beside = file.with_name(f"{file.stem}.drivers.npz")
    return listen(read_signals(beside)) if beside.is_file() else None


def predict(network: torch.nn.Module, source: Path, options: argparse.Namespace) -> tuple:
    """The new timeline, the sampled edit before, and the samples [first, last) that are new."""
    timeline = files.read(source, sequence=options.sequence)
    frames = sample(timeline, rule=options.rule)
    timeline.notes += frames.notes
    values = frames.values
    hearing = None if options.no_drivers else hear(source)
    if options.infill is None:
        # Nothing shows after the last clip: the edit goes on from there.
        shown = np.nonzero(values[..., 0].any(1))[0]
        if not len(shown):
            raise InputError(f"{source}: expected video clips that show, got none")
        first = int(shown[-1]) + 1
        said, sure = forecast(network, values[:first], hearing, options.horizon)
        made = Composer(timeline, options.rule).lay(said, sure, first)
        return made, values, first, first + options.horizon
    begin, end = options.infill
    total = len(values) / SAMPLES_PER_SECOND
    if not 0 < begin < end <= total or end - begin > LONGEST:
        raise InputError(
            f"--infill {begin} {end}: expected seconds 0 < FROM < TO <= {total}, "
            f"at most {LONGEST} between them"
        )
    first, last = round(begin * SAMPLES_PER_SECOND), round(end * SAMPLES_PER_SECOND)
    said, sure = infill(network, values, hearing, first, last, options.tracks)
    made = Composer(timeline, options.rule).lay(said, sure, first, options.tracks)
    return made, values, first, last


def make(network: torch.nn.Module, source: Path, target: Path, options: argparse.Namespace):
    """Write `target` and its picture: the timeline, samples in all, new ones [first, last)."""
    timeline, before, first, last = predict(network, source, options)
    files.write(timeline, target)
    after = sample(timeline, rule=options.rule).values
    save_picture(picture(timeline, before, after, first, last), target.with_suffix(".png"))
    return timeline, len(after), first, last


def run(network: torch.nn.Module, source: Path, target: Path, options: argparse.Namespace) -> None:
    """One file."""
    started = time.perf_counter()
    timeline, length, first, last = make(network, source, target, options)
    for note in summary(timeline.notes):
        print(f"note: {source.name}: {note}")
    tenth = 1 / SAMPLES_PER_SECOND
    print(
        f"{target}: {length * tenth:.1f} s, new: {first * tenth:.1f} to {last * tenth:.1f} s"
        f" ({time.perf_counter() - started:.1f} s of work)"
    )


def picture(timeline: Timeline, before: np.ndarray, after: np.ndarray, first: int, last: int):
    """Lanes of the edit before and after, the new part marked."""
    longer = np.zeros_like(after)
    count = min(len(before), len(after))
    longer[:count] = before[:count]
    marks = {"from": first / SAMPLES_PER_SECOND, "to": last / SAMPLES_PER_SECOND}
    return figures.lanes({"given": longer, "predicted": after}, timeline.name, marks)


def _track_list(text: str) -> list[int]:
    try:
        numbers = [int(part.strip().lstrip("Vv")) - 1 for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if not all(0 <= number < 20 for number in numbers):
        raise InputError(f"--tracks {text}: expected numbers from 1 to 20 such as 2,4")
    return numbers


def _check_paths(source: Path, target: Path) -> None:
    """Refuse, before any work, a pair of paths that cannot be meant."""
    if not source.exists():
        raise InputError(f"{source}: expected an FCP7 XML or a folder of them, found nothing there")
    if source.is_dir() and target.exists() and not target.is_dir():
        raise InputError(f"{target}: expected a folder, as {source} is one, got a file")
    # The picture lies beside the XML, under the same name.
    if not source.is_dir() and (target.suffix.lower() != ".xml" or target.is_dir()):
        raise InputError(
            f"{target}: expected the new file's name, such as {target / source.name}"
            if target.is_dir()
            else f"{target}: expected a file name that ends in .xml, as {source} is a file"
        )


def main() -> None:
    parser = arguments.Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "source", type=arguments.source("an FCP7 XML"), help="an FCP7 XML, or a folder of them"
    )
    parser.add_argument("target", type=Path, help="the new XML, or a folder")
    parser.add_argument("--checkpoint", required=True, help="a run's folder or a .ckpt file")
    parser.add_argument(
        "--ahead", type=arguments.real(0.1, 600), default=3.0, help="seconds to add"
    )
    seconds = arguments.real(0)
    parser.add_argument("--infill", type=seconds, nargs=2, metavar=("FROM", "TO"), help="seconds")
    parser.add_argument("--tracks", help="for --infill: such as 2,4; all if not given")
    parser.add_argument("--sequence", help="name of the sequence, where a file holds several")
    parser.add_argument("--rule", choices=("source", "sequence"), default="source")
    parser.add_argument("--no-drivers", action="store_true", help="do not read NAME.drivers.npz")
    parser.add_argument("--int8", action="store_true", help="quantise the linear layers")
    parser.add_argument(
        "--again", "--overwrite", action="store_true", help="make what is already there anew"
    )
    options = parser.parse_args()
    if options.tracks is not None and options.infill is None:
        raise InputError(
            f"--tracks {options.tracks}: expected --infill FROM TO with it; a forecast continues "
            "every track"
        )
    options.tracks = None if options.tracks is None else _track_list(options.tracks)
    options.horizon = round(options.ahead * SAMPLES_PER_SECOND)
    _check_paths(options.source, options.target)
    alone = not options.source.is_dir()
    if alone:
        for file in (options.target, options.target.with_suffix(".png")):
            writing.check_file(file, inputs=(options.source,), overwrite=options.again)
    else:
        writing.check_below(options.target)
    network = checkpoints.load(Multitrack, options.checkpoint).network.eval()
    if options.int8:
        size = weight_bytes(network)
        network = quantise(network)
        print(f"int8: {weight_bytes(network) / size:.0%} of {size / 1e6:.1f} MB")
    if alone:
        run(network, options.source, options.target, options)
        return
    sources = sorted(options.source.glob("*.xml"))
    if not sources:
        raise InputError(f"{options.source}: expected XML files, got none")
    failed = 0
    for source in progress(sources, "edits", "file"):
        target = options.target / source.name
        if target.exists() and not options.again:
            say(f"{target}: already there (--again makes it anew)")
            continue
        try:
            writing.check_file(target, inputs=sources, overwrite=True)
            run(network, source, target, options)
        except InputError as error:
            failed += 1
            say(f"skipped: {error}")
    if failed:
        raise InputError(f"{options.source}: {failed} of {len(sources)} files failed, see above")


if __name__ == "__main__":
    cli(main)
