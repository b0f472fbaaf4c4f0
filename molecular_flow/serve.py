"""A run of molecular_flow over HTTP: frames in, frames at the other temperature out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from experiments.shared.errors import InputError
from experiments.shared.plots import new_figure
from experiments.shared.service import Answer, Made, Network, Request, Upload
from molecular_flow import infer, output
from molecular_flow.physics import formats
from molecular_flow.physics.trajectory import Trajectory, read, write
from molecular_flow.simulate import simulate

MOST = 20_000  # frames that a server takes; the command line takes any number


class FramesRequest(Request):
    """What `molecular_flow.infer transport` is told."""

    frames: Annotated[
        Path,
        Upload((".npz", *formats.SUFFIXES), 64, "frames of the run's molecule; .npz names their "
               "temperature, others have the one that is carried from"),
    ]  # fmt: skip
    direction: Annotated[
        Literal["heat", "cool"],
        Field(description="from the run's lower temperature to its higher, or back"),
    ] = "heat"
    topology: Annotated[
        Path | None, Upload((".pdb", ".cif"), 16, "atoms of a .dcd, .xtc, .nc in another order")
    ] = None
    format: Annotated[
        Literal[".npz", ".pdb", ".cif", ".dcd", ".xtc", ".nc", ".h5"],
        Field(description="of the frames that come back"),
    ] = ".npz"


@dataclass
class Asked:
    """A request as it was read; `frames` (M, N, 3) in nm."""

    file: Path
    format: str
    inverse: bool
    trajectory: Trajectory
    shape: tuple[int, ...]
    frames: torch.Tensor
    energies: np.ndarray


class TransportService:
    """Transports frames, as the command line does."""

    title = "Molecules at another temperature"
    about = (
        "Frames of a molecule at one temperature are carried to another, each with the log-weight "
        "that makes averages over them exact."
    )
    request = FramesRequest
    batch = 16

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.module, self.data = module, data

    def examples(self, folder: Path) -> dict[str, dict]:
        """A short simulation of the run's molecule, of its own."""
        plan = replace(
            self.data.plan, temperatures=self.module.pair, ladders=16, frames=16,
            equilibrate_ps=2.0, spacing_ps=0.2, seed=987,
        )  # fmt: skip
        simulate(plan, folder / "frames.npz")
        found = read(folder / "frames.npz", self.module.molecule)
        for name, row in (("cold", 0), ("hot", 1)):
            one = Trajectory(
                found.positions[row : row + 1], None, found.temperatures[row : row + 1]
            )
            write(folder / f"{name}.npz", one)
        (folder / "frames.npz").unlink()
        low, high = self.module.pair
        return {
            f"256 frames, {low:g} K to {high:g} K": {"frames": "cold.npz", "direction": "heat"},
            f"256 frames, {high:g} K to {low:g} K": {"frames": "hot.npz", "direction": "cool"},
        }

    def read(self, request: FramesRequest) -> Asked:
        """The frames at the temperature that they are carried from."""
        inverse = request.direction == "cool"
        start = self.module.pair[::-1][0] if inverse else self.module.pair[0]
        found = read(request.frames, self.module.molecule, start, request.topology)
        row = found.row(start)
        positions = found.positions[row]  # (L, F, N, 3)
        count = positions.shape[0] * positions.shape[1]
        if count > MOST:
            raise InputError(
                f"{request.frames}: {count} frames, expected at most {MOST} here; the command line "
                "takes any number"
            )
        output.check(Path(f"moved{request.format}"))
        flat = torch.from_numpy(positions.reshape(-1, *positions.shape[2:]))
        energies = found.energies[row].ravel()
        return Asked(
            request.frames, request.format, inverse, found, positions.shape, flat, energies
        )

    def compute(self, items: list[Asked]) -> list[tuple[torch.Tensor, ...]]:
        """Frames, energies and log-weights; those carried the same way are one batch."""
        found: dict[int, tuple[torch.Tensor, ...]] = {}
        for inverse in (False, True):
            same = [i for i, item in enumerate(items) if item.inverse == inverse]
            if not same:
                continue
            counts = [len(items[i].frames) for i in same]
            joined = torch.cat([items[i].frames for i in same])
            moved = infer.transport(self.module, joined, inverse)
            parts = zip(*(one.split(counts) for one in moved), strict=True)
            found |= dict(zip(same, parts, strict=True))
        return [found[i] for i in range(len(items))]

    def write(self, item: Asked, outcome: tuple[torch.Tensor, ...], out: Path) -> Answer:
        """The files of the command line, and the energies before and after as a picture."""
        moved, energies, weights = outcome
        start, end = self.module.pair[::-1] if item.inverse else self.module.pair
        files = output.moved_frames(
            out / f"{item.file.stem}_{end:g}K{item.format}",
            self.module.molecule,
            moved.numpy().reshape(item.shape),
            energies.numpy().reshape(item.shape[:2]),
            weights.numpy().reshape(item.shape[:2]),
            (start, end),
        )
        picture = out / "energies.png"
        self.draw(item, energies.numpy(), weights.numpy(), (start, end), picture)
        told = infer.worth(energies, weights)
        return Answer(
            files=[
                Made(picture, "Potential energies before, as moved, and weighted"),
                *(Made(file, "Moved frames, energies, log-weights") for file in files),
            ],
            numbers={
                "Frames": len(energies),
                "From, K": start,
                "To, K": end,
                "Effective samples, share of the frames": told["effective"],
                "Not finite": told["lost"],
                "Mean energy as moved, kJ/mol": told["moved"],
                "Mean energy weighted, kJ/mol": told["weighted"],
            },
            notes=item.trajectory.notes,
        )

    def draw(
        self,
        item: Asked,
        after: np.ndarray,
        weights: np.ndarray,
        pair: tuple[float, float],
        file: Path,
    ) -> None:
        """Histograms of the energies (M,) in kJ/mol, log-weights (M,)."""
        figure, (axis,) = new_figure(size=(6.4, 3.6))
        good = np.isfinite(after) & np.isfinite(weights)
        shown = np.concatenate([item.energies, np.clip(after[good], None, np.median(after) + 400)])
        bins = np.linspace(*np.percentile(shown, (0, 99)), 40) if len(shown) > 1 else 10
        axis.hist(item.energies, bins, density=True, alpha=0.5, label=f"as sent, {pair[0]:g} K")
        if good.any():
            share = np.exp(weights[good] - weights[good].max())
            for label, weight in (("as moved", None), (f"weighted, {pair[1]:g} K", share)):
                axis.hist(after[good], bins, weights=weight, density=True, histtype="step", lw=1.6,
                          label=label)  # fmt: skip
        axis.set(xlabel="potential energy, kJ/mol", ylabel="density")
        axis.legend()
        figure.savefig(file)

    def networks(self) -> dict[str, Network | str]:
        """The map of internal coordinates, both ways, on test frames."""
        self.data.prepare_data()
        self.data.setup("test")
        batch = next(iter(self.data.test_dataloader()))
        frames = {0: "frames"}
        return {
            "heat": Network(
                Map(self.module, False).eval(), {"z": batch["source"][:64]}, {"z": frames}, 1e-3
            ),
            "cool": Network(
                Map(self.module, True).eval(), {"z": batch["target"][:64]}, {"z": frames}, 1e-3
            ),
            "cartesian": "the labels of like end atoms are chosen frame by frame, by the values of "
            "the positions, which a graph cannot do: molecular_flow makes the coordinates",
        }


class Map(torch.nn.Module):
    """Internal coordinates (M, D), nm and radians, to coordinates and log-determinants (M,)."""

    def __init__(self, module: torch.nn.Module, inverse: bool):
        super().__init__()
        self.flow, self.pair, self.inverse = module.flow, module.pair, inverse

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        return self.flow(z, *self.pair, self.inverse)
