"""Makes trajectories: replica exchange of one molecule, many independent ladders at once.

`python -m molecular_flow.simulate OUT.npz` writes what `trajectory.py` reads.
"""

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from experiments.shared import arguments, memory, writing
from experiments.shared.corpora import build_once, content_hash
from experiments.shared.errors import InputError, cli, first_line
from experiments.shared.progress import Progress
from experiments.shared.reading import read_npz, regular
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics import force_field
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.dynamics import SWAP_EVERY, Ladders, Map, phases, turn_every
from molecular_flow.physics.trajectory import Trajectory, write
from molecular_flow.physics.tree import build_tree

FRAMES_PER_PART = 100


@dataclass(frozen=True)
class Plan:
    """What to simulate. The key of an embedded corpus: a change of it makes a new one."""

    temperatures: tuple[float, ...] = (300.0, 450.0, 670.0, 1000.0)  # kelvin
    ladders: int = 64
    frames: int = 500  # per ladder and temperature
    spacing_ps: float = 0.1
    equilibrate_ps: float = 4.0
    step_ps: float = 0.002
    seed: int = 0
    sequence: str | None = "AA"
    pdb: str | None = None
    force_field: tuple[str, ...] = field(default=molecules.FORCE_FIELD)
    system: str | None = None

    def molecule(self) -> molecules.Molecule:
        """What is simulated."""
        return molecules.build(self.sequence, self.pdb, self.force_field, system=self.system)

    def evaluations(self) -> int:
        """How many energies it takes, torsion moves and mapped swaps included."""
        hot, *cooling = phases(round(self.equilibrate_ps / self.step_ps), self.step_ps)
        cool = sum(cooling) + self.frames * round(self.spacing_ps / self.step_ps)
        rungs = len(self.temperatures)
        steps = hot + cool
        turn = turn_every(len(build_tree(self.molecule()).torsions))
        swapped = 2 if rungs == 2 else rungs - 1  # at a time; of more, every other pair in turn
        swaps = steps // SWAP_EVERY - hot // SWAP_EVERY
        each = rungs * (1 + steps + steps // turn) + swapped * swaps
        return self.ladders * each

    def check(self) -> None:
        """Stop on a plan that cannot be run.

        Raises:
            InputError: says which value, and what to give.
        """
        rising = all(a < b for a, b in zip(self.temperatures, self.temperatures[1:], strict=False))
        if len(self.temperatures) < 2 or not rising or min(self.temperatures) <= 0:
            raise InputError(
                f"--temperatures (data.temperatures): expected two or more in kelvin, rising, got "
                f"{self.temperatures}"
            )
        if min(self.ladders, self.frames) < 1 or self.spacing_ps < self.step_ps:
            raise InputError(
                f"expected ladders >= 1, frames >= 1 and spacing_ps >= {self.step_ps}, got "
                f"{self.ladders}, {self.frames}, {self.spacing_ps}"
            )
        if not 0 < self.step_ps <= 0.005:
            raise InputError(
                f"expected a time step in (0, 0.005] ps, got {self.step_ps}: bonds are flexible"
            )


def simulate(plan: Plan, out: Path, *, device: str = "cpu", keep_parts: bool = True) -> None:
    """Run `plan` and write `out` (.npz); an interrupted run goes on where it stopped.

    Every `FRAMES_PER_PART` frames the state is kept in `out`.parts, from which the same plan
    continues bit for bit.

    Raises:
        InputError: an impossible plan, or parts of another plan in the way.
    """
    plan.check()
    molecule = plan.molecule()
    for note in molecule.notes:
        print(f"simulate: {note}", flush=True)
    memory.foresee(
        12 * len(plan.temperatures) * plan.ladders * plan.frames * len(molecule.atoms),
        f"{plan.frames} frames of {plan.ladders} ladders; give fewer, or simulate in parts",
    )
    ladders = Ladders(
        molecule,
        list(plan.temperatures),
        plan.ladders,
        plan.seed,
        step_ps=plan.step_ps,
        device=device,
        transport=stretch(molecule, device),
    )
    parts = out.with_name(out.name + ".parts")
    done = _resume(parts, plan, ladders)
    stride = round(plan.spacing_ps / plan.step_ps)
    with Progress(plan.frames, "simulate", "frame", done=done) as bar:
        if not done:
            ladders.equilibrate(round(plan.equilibrate_ps / plan.step_ps))
        while done < plan.frames:
            count = min(FRAMES_PER_PART, plan.frames - done)
            block = _record(ladders, count, stride, bar)
            done += count
            _keep(parts, plan, ladders, done, block)
    files = sorted(parts.glob("frames-*.npz"))
    blocks = [read_npz(file, what="frames of a simulation") for file in files]
    joined = {key: np.concatenate([b[key] for b in blocks], 2) for key in blocks[0]}
    counts = ladders.counts
    write(
        out,
        Trajectory(
            positions=joined["positions"],
            energies=joined["energies"],
            temperatures=np.array(plan.temperatures),
            walkers=joined["walkers"],
            swap_attempts=counts.swap_attempts.numpy(),
            swap_accepts=counts.swap_accepts.numpy(),
            spacing_ps=plan.spacing_ps,
            atom_names=tuple(f"{a.residue}:{a.name}" for a in molecule.atoms),
            fingerprint=molecule.fingerprint,
        ),
    )
    shutil.rmtree(parts)


def embedded(plan: Plan, cache: Path) -> Path:
    """The trajectory of `plan` under `cache`, simulated if it is not there.

    Raises:
        InputError: as `simulate`.
    """
    parameters = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(plan).items()}
    if plan.pdb is not None:
        plan.molecule()  # says what is wrong
        files = [Path(file) for file in (plan.pdb, plan.system) if file]
        parameters["pdb_content"] = content_hash(files)
    folder = build_once(
        cache, "molecular_flow", parameters, lambda made: simulate(plan, made / "ladder.npz")
    )
    return folder / "ladder.npz"


def stretch(molecule: molecules.Molecule, device: str) -> Map:
    """The untrained map: stiff coordinates stretched by the square root of the temperatures.

    Exact swaps, several times as many as plain ones get: the cold replicas profit from what the hot
    ones find.
    """
    return TransportFlow(molecule, couplings=0, stiff_couplings=0).float().to(device).transport


def _record(ladders: Ladders, frames: int, stride: int, bar) -> dict[str, np.ndarray]:
    """`frames` frames, (T, L, frames, ...) each."""
    found: dict[str, list] = {"positions": [], "energies": [], "walkers": []}
    for _ in range(frames):
        ladders.advance(stride)
        shape = ladders.shape
        found["positions"].append(ladders.x.view(*shape, *ladders.x.shape[1:]).cpu().numpy().copy())
        found["energies"].append(ladders.u.view(shape).cpu().numpy().copy())
        found["walkers"].append(ladders.walkers.cpu().numpy().astype(np.int16))
        bar.update()
    return {key: np.stack(value, 2) for key, value in found.items()}


def _keep(parts: Path, plan: Plan, ladders: Ladders, done: int, block: dict) -> None:
    """Write a block of frames, then the state that follows it (renamed in place last)."""
    parts.mkdir(parents=True, exist_ok=True)
    np.savez(part_file(parts, done), **block)
    scratch = parts / "state.tmp"
    torch.save({"plan": asdict(plan), "done": done, "ladders": ladders.state_dict()}, scratch)
    os.replace(scratch, parts / "state.pt")


def _resume(parts: Path, plan: Plan, ladders: Ladders) -> int:
    """The number of frames that are already there; loads the state after them."""
    state_file = parts / "state.pt"
    if not state_file.is_file():
        return 0
    try:
        state = torch.load(regular(state_file, "a simulation's state"), weights_only=True)
        planned, done = state["plan"], int(state["done"])
    except Exception as error:  # torch's readers raise a dozen kinds
        raise InputError(
            f"{state_file}: cannot be read ({first_line(error)}): restore it, or remove {parts} to "
            "simulate from the start"
        ) from error
    if planned != asdict(plan):
        raise InputError(
            f"{parts} holds an interrupted run of another plan: remove it, or give that plan"
        )
    known = {part_file(parts, end) for end in _ends(plan.frames) if end <= done}
    for file in parts.glob("frames-*.npz"):
        if file not in known:
            file.unlink()
    for file in sorted(known):
        try:
            read_npz(file, what="frames of a simulation")
        except InputError as error:
            raise InputError(f"{error}: or remove {parts} to simulate from the start") from error
    ladders.load_state_dict(state["ladders"])
    print(f"simulate: going on after frame {done}", flush=True)
    return done


def _ends(frames: int) -> list[int]:
    """After how many frames each part ends."""
    return [*range(FRAMES_PER_PART, frames, FRAMES_PER_PART), frames]


def part_file(parts: Path, done: int) -> Path:
    return parts / f"frames-{done:08d}.npz"


def main() -> None:
    """Command line."""
    default = Plan()
    parser = arguments.Parser(description=__doc__)
    parser.add_argument("out", type=Path, help="trajectory to write, .npz")
    kelvin, spans = arguments.real(0, 1e5, above=True), arguments.real(0, 1e6)
    parser.add_argument("--temperatures", type=kelvin, nargs="+", default=default.temperatures,
                        help="kelvin, rising (default: %(default)s)")  # fmt: skip
    parser.add_argument("--ladders", type=arguments.whole(1), default=default.ladders,
                        help="independent ladders")  # fmt: skip
    parser.add_argument("--frames", type=arguments.whole(1, 10**8), default=default.frames,
                        help="frames per ladder and temperature")  # fmt: skip
    parser.add_argument("--spacing-ps", type=spans, default=default.spacing_ps)
    parser.add_argument("--equilibrate-ps", type=spans, default=default.equilibrate_ps)
    parser.add_argument("--step-ps", type=spans, default=default.step_ps)
    parser.add_argument("--seed", type=arguments.seed, default=default.seed)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--sequence", default=default.sequence,
                        help="one-letter residues, capped as in ace-A-nme")  # fmt: skip
    source.add_argument("--pdb", type=arguments.file("a PDB or mmCIF file"),
                        help="a PDB or mmCIF file instead")  # fmt: skip
    parser.add_argument("--force-field", nargs="+", default=default.force_field,
                        help="OpenMM force-field files")  # fmt: skip
    parser.add_argument("--system", help="an OpenMM System (.xml) of the --pdb file instead")
    parser.add_argument("--trust-scripts", action="store_true",
                        help="run programs that force-field files of your own hold")  # fmt: skip
    parser.add_argument("--device", type=arguments.device, default="cpu")
    parser.overwrite()
    values = vars(parser.parse_args())
    values["pdb"] = values["pdb"] and str(values["pdb"])
    if values.pop("trust_scripts"):
        force_field.trust_scripts()
    out, device = values.pop("out"), values.pop("device")
    values |= {key: tuple(values[key]) for key in ("temperatures", "force_field")}
    if out.suffix != ".npz":
        raise InputError(f"expected an output file ending in .npz, got {out}")
    writing.check_file(out, inputs=(values["pdb"],), overwrite=values.pop("overwrite"))
    simulate(Plan(**values), out, device=device)


if __name__ == "__main__":
    cli(main)
