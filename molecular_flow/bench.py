"""What the parts cost here: `python -m molecular_flow.bench`, on one thread, in CPU time."""

import time
from collections.abc import Callable

import torch

from experiments.shared import arguments, memory
from experiments.shared.errors import cli
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import OpenMMEnergy, TorchEnergy


def cost(work: Callable[[], object], repeats: int) -> float:
    """The least CPU time of `repeats` calls in seconds; other processes disturb it least."""
    work()
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def measure(sequence: str, batch: int, repeats: int) -> dict[str, float]:
    """Seconds per call of each part, for `batch` frames about the minimum."""
    molecule = molecules.build(sequence)
    rest = torch.tensor(molecule.positions)[None]
    noise = torch.randn(batch, *rest.shape[1:], generator=torch.Generator().manual_seed(0))
    x = (rest + 0.003 * noise).float()
    energy = TorchEnergy(molecule).float()
    platforms = {name: OpenMMEnergy(molecule, name) for name in ("Reference", "CPU")}
    found = {
        "energy, torch": cost(lambda: energy(x), repeats),
        "energy + forces, torch": cost(lambda: energy.with_gradient(x), repeats),
    }
    for name, platform in platforms.items():
        found[f"energy + forces, OpenMM {name}"] = cost(
            lambda platform=platform: platform.with_gradient(x), 2
        )
    for network, width in (("mlp", 64), ("local", 32)):
        flow = TransportFlow(molecule, network=network, width=width).float()
        z, _ = flow.coordinates.encode(x)
        with torch.no_grad():
            for name, inverse in (("forward", False), ("inverse", True)):
                found[f"{name}, {network}"] = cost(
                    lambda flow=flow, z=z, inverse=inverse: flow(z, 300.0, 450.0, inverse), repeats
                )
    return found


def main() -> None:
    """Command line."""
    parser = arguments.Parser(description=__doc__)
    parser.add_argument("--sequence", default="AA")
    parser.add_argument("--batch", type=arguments.whole(1), default=64)
    parser.add_argument("--repeats", type=arguments.whole(1), default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    memory.hold()
    print(f"{args.sequence}, batch {args.batch}, float32, one thread")
    for name, seconds in measure(args.sequence, args.batch, args.repeats).items():
        rate = args.batch / seconds
        print(f"{name:34s}{1e3 * seconds:9.2f} ms{1e6 / rate:9.1f} us/frame{rate:10.0f} frames/s")


if __name__ == "__main__":
    cli(main)
