"""Puts a trained flow to use: transports trajectories, and samples by replica exchange with it."""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from experiments.shared import arguments, checkpoints
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from molecular_flow import output, sampling
from molecular_flow.metrics import effective_samples
from molecular_flow.module import MolecularFlow
from molecular_flow.physics import force_field, molecule
from molecular_flow.physics.energy import beta
from molecular_flow.physics.trajectory import read
from molecular_flow.transfer.module import Peptide, TransferFlow


def load(
    run: str,
    temperatures: list[float] | None = None,
    pdb: Path | None = None,
    own_force_field: list[str] | None = None,
    system: Path | None = None,
    sequence: str | None = None,
) -> MolecularFlow | Peptide:
    """The trained module of a run, for the pair of temperatures that is asked for.

    Of a map for many peptides its map of `sequence` or of the peptide in `pdb`. Else `pdb` and
    `system` are where the molecule's file and its OpenMM System lie now, if not where
    they lay in training. A force field that does not come with OpenMM is not opened because a
    checkpoint names it: `own_force_field` does.

    Raises:
        InputError: no such checkpoint, another model's, another pair's or another molecule's, or
            one that names a force field of its own.
    """
    saved = checkpoints.read(checkpoints.resolve(run))
    many = saved.get("class") == checkpoints.class_name(TransferFlow)
    if many and (bool(sequence) == bool(pdb) or system):
        raise InputError(
            f"{run} is a map for many peptides: say which, by --sequence or --pdb, without --system"
        )
    if sequence and not many:
        raise InputError(f"{run} is a map for one molecule: leave --sequence out")
    moved = {} if many else {"pdb": pdb, "system": system}
    changes: dict = {name: str(file) for name, file in moved.items() if file}
    if own_force_field:
        changes["force_field"] = own_force_field
    else:
        known = saved.get("hyper_parameters")
        named = known.get("force_field") if isinstance(known, dict) else None
        names = named if isinstance(named, list | tuple) else ()
        strange = force_field.own([str(name) for name in names])
        if strange:
            raise InputError(
                f"{run} was trained with {strange}, which does not come with OpenMM and is not "
                "opened because a checkpoint says so: give all its --force-field files"
            )
    if many:
        transfer = checkpoints.load(TransferFlow, run, **changes)
        file = str(pdb) if pdb else None
        module = transfer.peptide(molecule.build(sequence, file, transfer.force_field))
    else:
        module = checkpoints.load(MolecularFlow, run, **changes)
    _check_temperatures(run, module, temperatures)
    for note in module.molecule.notes:
        print(note)
    return module


def _check_temperatures(
    run: str, module: MolecularFlow | Peptide, asked: list[float] | None
) -> None:
    """Stop on temperatures that the map was not trained for."""
    low, high = module.pair
    if not asked or tuple(asked) == (low, high):
        return
    if module.hparams.get("pairs") == "all":
        if not all(low <= temperature <= high for temperature in asked) or len(set(asked)) < 2:
            raise InputError(
                f"{run} serves temperatures from {low:g} to {high:g} K, asked for {asked}: give "
                "two or more of these, or train a wider ladder (data.source, data.target)"
            )
        return
    raise InputError(
        f"{run} maps {low:g} K to {high:g} K, asked for {asked[0]:g} K to {asked[-1]:g} K: train "
        "that pair (data.source, data.target) or a ladder (+exp=molecular_flow_ladder), or leave "
        "--temperatures out"
    )


def _loaded(args: argparse.Namespace) -> MolecularFlow | Peptide:
    if args.trust_scripts:
        force_field.trust_scripts()
    return load(args.checkpoint, args.temperatures, args.pdb, args.force_field, args.system,
                args.sequence)  # fmt: skip


@torch.no_grad()
def transport(
    module: MolecularFlow | Peptide,
    x: Tensor,
    inverse: bool,
    chunk: int = 1024,
    pair: tuple[float, ...] | None = None,
):
    """Frames (M, N, 3) nm moved; their energies (M,) kJ/mol and log-weights (M,).

    `pair`: kelvin, where it is not the module's own.

    exp(log-weight) makes averages over the moved frames averages at their new temperature.
    """
    pair = pair or module.pair
    start, end = (beta(t) for t in (pair[::-1] if inverse else pair))
    found = []
    for block in progress(x.to(module.device).split(chunk), "moving frames", "block"):
        moved, log_det = module.flow.transport(block, *pair, inverse=inverse)
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
    output.check(args.output, (args.input, args.topology, args.pdb, args.system), args.overwrite)
    module = _loaded(args)
    pair = tuple(args.temperatures or module.pair)
    start, end = pair[::-1] if args.inverse else pair
    trajectory = read(args.input, module.molecule, start, args.topology)
    for note in trajectory.notes:
        print(note)
    positions = trajectory.positions[trajectory.row(start)]  # (L, F, N, 3)
    flat = torch.from_numpy(positions.reshape(-1, *positions.shape[2:]))
    moved, energies, weights = transport(module, flat, args.inverse, pair=pair)
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
    sampling.check(args)
    sampling.exchange_runs(_loaded(args), args)


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
    kelvin = arguments.real(0, 1e5, above=True)
    two.add_argument("--evaluations", type=arguments.whole(1, 10**12),
                     help="energies each kind may evaluate (default: 2,000,000)")  # fmt: skip
    two.add_argument("--seconds", type=arguments.real(0, above=True),
                     help="processor seconds each kind may take instead")  # fmt: skip
    two.add_argument("--acceptance", type=arguments.real(0, 0.9999, above=True),
                     help="of a ladder's map: take the fewest of --temperatures that all swap so "
                          "often")  # fmt: skip
    two.add_argument("--ladders", type=arguments.whole(2), default=64,
                     help="independent pairs of replicas (errors: between them)")  # fmt: skip
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
    one.add_argument("--temperatures", type=kelvin, nargs=2, metavar=("SOURCE", "TARGET"),
                     help="a pair that a ladder's map serves; else a check")  # fmt: skip
    two.add_argument("--temperatures", type=kelvin, nargs="+",
                     help="rungs that a ladder's map serves (default: the outer two)")  # fmt: skip
    for command in (one, two):
        command.add_argument("--checkpoint", required=True, help="run folder or .ckpt file")
        command.overwrite()
        command.add_argument("--sequence", help="of a map for many peptides: which one")
        command.add_argument("--pdb", type=arguments.file("the molecule"),
                             help="the molecule's file, if it lies elsewhere now")  # fmt: skip
        command.add_argument("--system", type=arguments.file("an OpenMM System"),
                             help="the molecule's OpenMM System (.xml), likewise")  # fmt: skip
        command.add_argument("--force-field", nargs="+",
                             help="the files, where one did not come with OpenMM")  # fmt: skip
        command.add_argument("--trust-scripts", action="store_true",
                             help="run programs that these files hold")  # fmt: skip
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    cli(main)
