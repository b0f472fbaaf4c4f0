"""Puts a trained flow to use: transports trajectories, and samples by replica exchange with it."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from experiments.shared import arguments, checkpoints, writing
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from molecular_flow import exchange, output
from molecular_flow.metrics import effective_samples
from molecular_flow.module import MolecularFlow
from molecular_flow.physics import force_field
from molecular_flow.physics.energy import beta
from molecular_flow.physics.trajectory import read


def load(
    run: str,
    temperatures: list[float] | None = None,
    pdb: Path | None = None,
    own_force_field: list[str] | None = None,
) -> MolecularFlow:
    """The trained module of a run, for the pair of temperatures that is asked for.

    `pdb` is where the molecule's file lies now, if not where it lay in training. A force field that
    does not come with OpenMM is not opened because a checkpoint names it: `own_force_field` does.

    Raises:
        InputError: no such checkpoint, another model's, another pair's or another molecule's, or
            one that names a force field of its own.
    """
    changes: dict = {"pdb": str(pdb)} if pdb else {}
    if own_force_field:
        changes["force_field"] = own_force_field
    else:
        known = checkpoints.read(checkpoints.resolve(run)).get("hyper_parameters")
        named = known.get("force_field") if isinstance(known, dict) else None
        names = named if isinstance(named, list | tuple) else ()
        strange = force_field.own([str(name) for name in names])
        if strange:
            raise InputError(
                f"{run} was trained with {strange}, which does not come with OpenMM and is not "
                "opened because a checkpoint says so: give all its --force-field files"
            )
    module = checkpoints.load(MolecularFlow, run, **changes)
    if temperatures and tuple(temperatures) != tuple(module.pair):
        raise InputError(
            f"{run} maps {module.pair[0]:g} K to {module.pair[1]:g} K, asked for "
            f"{temperatures[0]:g} K to {temperatures[1]:g} K: train that pair (data.source, "
            "data.target), or leave --temperatures out"
        )
    for note in module.molecule.notes:
        print(note)
    return module


def _loaded(args: argparse.Namespace) -> MolecularFlow:
    if args.trust_scripts:
        force_field.trust_scripts()
    return load(args.checkpoint, args.temperatures, args.pdb, args.force_field)


@torch.no_grad()
def transport(module: MolecularFlow, x: Tensor, inverse: bool, chunk: int = 1024):
    """Frames (M, N, 3) nm moved; their energies (M,) kJ/mol and log-weights (M,).

    exp(log-weight) makes averages over the moved frames averages at their new temperature.
    """
    start, end = module.betas[::-1] if inverse else module.betas
    found = []
    for block in progress(x.to(module.device).split(chunk), "moving frames", "block"):
        moved, log_det = module.flow.transport(block, *module.pair, inverse=inverse)
        before, after = module.energy(block), module.energy(moved)
        found.append((moved, after, start * before - end * after + log_det))
    return tuple(torch.cat(part).cpu() for part in zip(*found, strict=True))


def worth(energies: Tensor, weights: Tensor) -> dict[str, float | int]:
    """What moved frames are worth, of their energies (M,) in kJ/mol and log-weights (M,).

    `effective`: effective samples as a share of the frames; `moved`, `weighted`: mean energy.
    """
    finite = weights.isfinite()
    reduced = torch.softmax(weights.double().nan_to_num(-torch.inf), 0) * energies.double()
    return {
        "lost": int((~finite).sum()),
        "effective": effective_samples(-weights).item(),
        "moved": energies[finite].mean().item(),
        "weighted": reduced[finite].sum().item(),
    }


def transport_file(args: argparse.Namespace) -> None:
    output.check(args.output, (args.input, args.topology, args.pdb), args.overwrite)
    module = _loaded(args)
    start, end = module.pair[::-1] if args.inverse else module.pair
    trajectory = read(args.input, module.molecule, start, args.topology)
    for note in trajectory.notes:
        print(note)
    positions = trajectory.positions[trajectory.row(start)]  # (L, F, N, 3)
    flat = torch.from_numpy(positions.reshape(-1, *positions.shape[2:]))
    moved, energies, weights = transport(module, flat, args.inverse)
    files = output.moved_frames(
        args.output,
        module.molecule,
        moved.numpy().reshape(positions.shape),
        energies.numpy().reshape(positions.shape[:2]),
        weights.numpy().reshape(positions.shape[:2]),
        (start, end),
    )
    told = worth(energies, weights)
    print(
        f"{', '.join(map(str, files))}: {len(flat)} frames from {start:g} K to {end:g} K, "
        f"{told['lost']} not finite; effective samples {told['effective']:.3f} of the frames; <U> "
        f"{told['moved']:.2f} kJ/mol as moved, {told['weighted']:.2f} weighted"
    )


def exchange_runs(args: argparse.Namespace) -> None:
    if args.out:
        output.check(args.out, (args.pdb,), args.overwrite)
    if args.json:
        writing.check_file(args.json, overwrite=args.overwrite, option="--json")
    module = _loaded(args)

    @torch.no_grad()
    def move(x: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        return module.flow.transport(x, *module.pair, inverse=inverse)

    low, high = module.pair
    if args.rungs and not all(low < rung < high for rung in args.rungs):
        raise InputError(f"expected --rungs between {low:g} and {high:g} K, got {args.rungs}")
    common = {"seed": args.seed, "equilibrate_ps": args.equilibrate_ps}
    recording = output.Recording() if args.out else None
    # As many replicas in all, so that the same budget buys the same time for each.
    kinds: dict[str, dict] = {
        "flow": {"ladders": args.ladders, "transport": move, "watch": recording},
        "plain": {"ladders": args.ladders},
        f"MD, {low:g} K": {"ladders": 2 * args.ladders, "temperatures": [low]},
    }
    if args.rungs:
        rungs = sorted({*module.pair, *args.rungs})
        kinds["plain, " + "/".join(f"{t:g}" for t in rungs)] = {
            "ladders": max(2, round(2 * args.ladders / len(rungs))), "temperatures": rungs,
        }  # fmt: skip
    if args.only_flow:
        kinds = {"flow": kinds["flow"]}
    elif args.turns:
        turned = {f"{name} + turns": {**k, "turns": True} for name, k in kinds.items()}
        for kind in turned.values():
            kind.pop("watch", None)
        kinds |= turned
    runs = {
        name: exchange.run(
            module.molecule, module.pair, args.evaluations, label=name, **common, **kind
        )
        for name, kind in kinds.items()
    }
    if recording:
        print("frames:", ", ".join(map(str, recording.write(args.out, module))))
    print(f"{low:g} K <-> {high:g} K, beta {beta(low):.4f} and {beta(high):.4f} mol/kJ, "
          f"{args.ladders} ladders; free energies in kT")  # fmt: skip
    columns = ("acceptance", "round trips/1e6", "eff. samples/1e6", "free energy", "+-", "evals")
    print(f"{'':24s}" + "".join(f"{c:>18s}" for c in columns))
    for name, outcome in runs.items():
        values = list(asdict(outcome).values())
        print(f"{name:24s}" + "".join(f"{v:18.5g}" for v in values[:-1]) + f"{values[-1]:18d}")
    best = {
        name: outcome.effective_samples_per_million
        for name, outcome in runs.items()
        if not name.startswith("flow")
    }
    if best:
        rival = max(best, key=best.__getitem__)
        ours = max(o.effective_samples_per_million for n, o in runs.items() if n.startswith("flow"))
        print(
            f"effective samples of the slowest torsion: {ours / best[rival]:.2f} times those of "
            f"{rival!r}, the best without a map; the map's data and training are not counted"
        )
    if args.json:
        found = {k: asdict(v) for k, v in runs.items()}
        writing.write_text(args.json, json.dumps(found, indent=1))


def main() -> None:
    """Command line."""
    parser = arguments.Parser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser(
        "transport", help="move a trajectory's frames to the other temperature"
    )
    one.add_argument("input", type=arguments.file("a trajectory"),
                     help="trajectory (.npz, .pt/.npy of a table, or frames "
                                              "as .pdb, .cif, .dcd, .xtc, .nc, .h5)")  # fmt: skip
    one.add_argument("output", type=Path,
                     help="frames, energies and log-weights as .npz; or frames as .pdb, .cif, "
                          ".dcd, .xtc, .nc, .h5 and the others beside them as .csv")  # fmt: skip
    one.add_argument("--topology", type=arguments.file("a topology"),
                     help="atoms of a .dcd, .xtc, .nc with others or another order")  # fmt: skip
    one.add_argument("--inverse", action="store_true", help="from the target to the source")
    one.set_defaults(run=transport_file)
    two = commands.add_parser("exchange", help="replica exchange with the flow, beside plain")
    two.add_argument("--evaluations", type=arguments.whole(1, 10**12), default=2_000_000,
                     help="energies each kind may evaluate (default: %(default)s)")  # fmt: skip
    two.add_argument("--ladders", type=arguments.whole(2), default=64,
                     help="independent pairs of replicas (errors: between them)")  # fmt: skip
    kelvin = arguments.real(0, 1e5, above=True)
    two.add_argument("--rungs", type=kelvin, nargs="+",
                     help="also run a plain ladder with these temperatures between")  # fmt: skip
    two.add_argument("--equilibrate-ps", type=arguments.real(0, 1e6), default=4.0,
                     help="not counted")  # fmt: skip
    two.add_argument("--seed", type=arguments.seed, default=0)
    two.add_argument("--turns", action="store_true",
                     help="run all kinds with Metropolis torsion moves, too")  # fmt: skip
    two.add_argument("--only-flow", action="store_true", help="no baselines: as a sampler")
    two.add_argument("--out", type=Path,
                     help="write the flow's frames: .npz, or a .pdb, .cif, .dcd, .xtc, .nc or .h5 "
                          "for each temperature")  # fmt: skip
    two.add_argument("--json", type=Path, help="write the table here too")
    two.set_defaults(run=exchange_runs)
    for command in (one, two):
        command.add_argument("--checkpoint", required=True, help="run folder or .ckpt file")
        command.overwrite()
        command.add_argument("--temperatures", type=kelvin, nargs=2, metavar=("SOURCE", "TARGET"),
                             help="refuse a checkpoint of another pair (kelvin)")  # fmt: skip
        command.add_argument("--pdb", type=arguments.file("the molecule"),
                             help="the molecule's file, if it lies elsewhere now")  # fmt: skip
        command.add_argument("--force-field", nargs="+",
                             help="the files, where one did not come with OpenMM")  # fmt: skip
        command.add_argument("--trust-scripts", action="store_true",
                             help="run programs that these files hold")  # fmt: skip
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    cli(main)
