"""python -m experiments.export RUN OUT [--format onnx|torch_export]: a run's networks as files.

Each network of the run is written into the folder OUT, opened again and compared with the one that
was trained, on a batch of the run's test data. With ONNX, one with int8 weights in its linear
layers stands beside it where that is smaller and no slower. OUT/export.md is the table that is
printed. What cannot be exported says why, and the status is 1 if nothing could.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from experiments.shared import arguments, writing
from experiments.shared.errors import cli

WORST = 0.1  # difference of a file with int8 weights that is still of use


def main(words: list[str] | None = None) -> None:
    """The command."""
    parser = arguments.Parser(
        prog="python -m experiments.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--format", choices=("onnx", "torch_export"), default="onnx")
    parser.add_argument("--threads", type=arguments.whole(1, 1024), default=1,
                        help="of the CPU, for the times (1)")  # fmt: skip
    parser.overwrite()
    given = parser.parse_args(words)
    writing.check_folder(given.out, overwrite=given.overwrite)
    import torch  # seconds

    import experiments
    from experiments.exporting.compare import table
    from experiments.exporting.formats import check_libraries
    from experiments.running.restore import service_of

    check_libraries(given.format)
    service = service_of(given.run)
    torch.set_num_threads(given.threads)
    module, data = experiments.load(given.run)
    service.open(given.run, module, data)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = [
        row
        for name, network in service.networks().items()
        for row in export(name, network, given.out, given.format)
    ]
    text = table(rows)
    (given.out / "export.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    if all(row.megabytes is None for row in rows if row.kind != "eager"):
        raise SystemExit(1)


def export(name: str, network, out: Path, kind: str) -> list:
    """Write one network; the rows of the table that tell how it went."""
    import torch

    from experiments.exporting import formats
    from experiments.exporting.compare import Row, difference, latency

    if isinstance(network, str):
        return [Row(name, kind, note=network)]
    path = out / f"{name}{formats.SUFFIXES[kind]}"
    run = formats.eager(network)
    with torch.inference_mode():
        wanted = tuple(x.clone() for x in run())
    size = sum(p.numel() * p.element_size() for p in network.module.state_dict().values()) / 1e6
    rows = [Row(name, "eager", size, latency(run))]
    note = ""
    try:
        try:
            formats.write(network, path, kind)
        except Exception:  # of exporters, each with its own family
            if not network.dynamic:
                raise
            formats.write(replace(network, dynamic={}), path, kind)
            sizes = ", ".join(f"{n} {list(t.shape)}" for n, t in network.inputs.items())
            note = f"of this size alone: {sizes}"
        opened = formats.opened(path, network)
        with torch.inference_mode():
            off = difference(opened(), wanted)
    except Exception as error:
        path.unlink(missing_ok=True)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return [*rows, Row(name, kind, note=f"cannot be exported: {reason}")]
    row = Row(name, kind, path.stat().st_size / 1e6, latency(opened), off, note)
    if not off <= network.tolerance:
        path.rename(path.with_suffix(path.suffix + ".wrong"))
        row.note = f"differs by more than {network.tolerance:g}: kept as .wrong"
        row.megabytes = None
    rows.append(row)
    if kind == "onnx" and row.megabytes is not None:
        rows.append(smaller(name, network, path, row, wanted))
    return rows


def smaller(name: str, network, path: Path, whole, wanted: tuple):
    """The row of the file with int8 weights, kept if it is smaller and no slower."""
    import torch

    from experiments.exporting import formats
    from experiments.exporting.compare import Row, difference, latency

    target = path.with_suffix(".int8.onnx")
    try:
        formats.quantised(path, target)
        opened = formats.opened(target, network)
        with torch.inference_mode():
            off = difference(opened(), wanted)
    except Exception as error:
        target.unlink(missing_ok=True)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        return Row(name, "onnx int8", note=f"cannot be quantised: {reason}")
    row = Row(name, "onnx int8", target.stat().st_size / 1e6, latency(opened), off)
    if row.megabytes > 0.8 * whole.megabytes or row.milliseconds > 1.05 * whole.milliseconds:
        row.note = "not kept: no help"
    elif off > WORST:
        row.note = f"not kept: differs by more than {WORST:g}"
    if row.note:
        target.unlink()
    return row


if __name__ == "__main__":
    cli(main)
