"""Batched replica exchange: Langevin dynamics, torsion moves and swaps of many ladders at once.

Axes: `T` temperatures, `L` independent ladders, `R` = T L replicas (temperature-major), `N` atoms.
Units: nm, ps, kJ/mol, atomic mass units.

Averages over positions do not depend on masses, so every atom weighs 12 units: that slows the
stretching of bonds to hydrogen, and steps of 2 fs keep all bonds flexible. BAOAB order
(Leimkuhler and Matthews 2013) samples positions of harmonic modes without a step-size error. The
torsion moves (Metropolis) carry replicas over barriers that the dynamics crosses once in 10 ps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.shared import memory
from experiments.shared.errors import InputError
from molecular_flow.physics.energy import BOLTZMANN, TorchEnergy
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.pairs import FRAMES
from molecular_flow.physics.tree import build_tree

MASS = 12.0
FRICTION = 2.0  # 1/ps
SWAP_EVERY = 50  # steps
TURN_EACH = 70  # steps, after which every torsion has been tried once in the mean
SCATTER = 800.0  # kelvin: where no basin of a torsion holds a replica for long
COOLING = 10.0  # 1/ps, the friction while replicas cool
COARSE_PS = 0.004  # time step of an equilibration, until
SETTLE_PS = 1.0  # before its end
Map = Callable[[Tensor, float, float, bool], tuple[Tensor, Tensor]]


@dataclass
class Counts:
    """Attempts and acceptances, per neighbouring pair of temperatures or in all."""

    swap_attempts: Tensor  # (T - 1,)
    swap_accepts: Tensor
    turn_attempts: int = 0
    turn_accepts: int = 0


def coarse(step_ps: float) -> float:
    """The time step in ps of an equilibration but for its last part: up to twice `step_ps`."""
    return max(step_ps, min(COARSE_PS, 2 * step_ps))


def phases(steps: int, step_ps: float) -> tuple[int, int, int]:
    """Of an equilibration of `steps` of `step_ps`: coarse steps hot, coarse and own steps cooling.

    What the coarse step does to bonds and angles is forgotten many times over in the last part.
    """
    longer, hot = coarse(step_ps) / step_ps, steps // 3
    settle = min(hot, round(SETTLE_PS / step_ps))
    return round(hot / longer), round((steps - hot - settle) / longer), settle


class Ladders:
    """`L` independent ladders over `temperatures` (kelvin), advanced together.

    Deterministic in `seed`. All state is in `state_dict`. With `transport`, a map (positions,
    source, target, inverse) -> (positions, log |det J|) between kelvin, swaps exchange transported
    configurations. `turns` switches the torsion moves. `works[n]` collects (2, L) of each attempt
    to swap temperatures n and n + 1.
    """

    def __init__(
        self,
        molecule: Molecule,
        temperatures: list[float],
        ladders: int,
        seed: int,
        *,
        step_ps: float = 0.002,
        device: str = "cpu",
        turns: bool = True,
        transport: Map | None = None,
    ):
        replicas, atoms = len(temperatures) * ladders, len(molecule.atoms)
        memory.hold()
        memory.foresee(
            replicas * 36 * atoms  # positions, velocities, forces; what is kept of pairs of atoms
            + (min(replicas, FRAMES) if device == "cpu" else replicas) * 10 * atoms**2,
            f"{ladders} ladders of {len(temperatures)} temperatures; give fewer ladders",
        )
        self.transport, self.turns, self.temperatures = transport, turns, temperatures
        self.evaluations = 0  # energies, with or without their gradient
        self.works: list[list[Tensor]] = [[] for _ in temperatures[1:]]
        self.energy = TorchEnergy(molecule).float().to(device)
        self.shape = (len(temperatures), ladders)
        self.step_ps, self.device = step_ps, device
        self.kt = BOLTZMANN * torch.tensor(temperatures, dtype=torch.float32, device=device)
        self.generator = torch.Generator(device).manual_seed(seed)
        tree = build_tree(molecule)
        closing = {closure.x for closure in tree.closures}  # to turn it would break its ring
        torsions = [torsion for torsion in tree.torsions if torsion.atom not in closing]
        self.axis = torch.tensor([[t.grand, t.parent] for t in torsions], device=device)
        self.moved = torch.zeros(len(torsions), atoms, dtype=torch.bool, device=device)
        for row, torsion in enumerate(torsions):
            self.moved[row, tree.moved_by(torsion)] = True
        self.turn_every = turn_every(len(torsions))
        start = torch.tensor(molecule.positions, dtype=torch.float32, device=device)
        self.x = start.repeat(replicas, 1, 1)
        self.v = self._normal(self.x) * (self.kt.max() / MASS).sqrt()
        self.u, self.gradient = self._evaluate(self.x)
        walkers = torch.arange(ladders, device=device)
        self.walkers = torch.arange(len(temperatures), device=device)[:, None] + 0 * walkers
        self.steps = 0
        self.counts = Counts(torch.zeros(self.shape[0] - 1), torch.zeros(self.shape[0] - 1))

    def place(self, x: Tensor) -> None:
        """Put the replicas at positions (R, N, 3) nm, with velocities of their temperatures."""
        self.x = x.to(self.device, torch.float32)
        kt = self.kt.repeat_interleave(self.shape[1])[:, None, None]
        self.v = self._normal(self.x) * (kt / MASS).sqrt()
        self.u, self.gradient = self._evaluate(self.x)

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += len(x)
        return self.energy.with_gradient(x)

    def _normal(self, like: Tensor) -> Tensor:
        return torch.empty_like(like).normal_(generator=self.generator)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def equilibrate(self, steps: int) -> None:
        """Scatter the replicas where it is hot, then let each cool to its own temperature.

        `steps` of the time step; all but the last are taken as fewer and longer ones.
        """
        scatter, cool, settle = phases(steps, self.step_ps)
        own, fine = self.kt, self.step_ps
        self.kt, self.step_ps = self.kt.clamp_min(BOLTZMANN * SCATTER), coarse(fine)
        self.advance(scatter, swap=False)
        self.kt = own
        self.advance(cool, friction=COOLING)
        self.step_ps = fine
        self.advance(settle, friction=COOLING)
        self.counts = Counts(torch.zeros(self.shape[0] - 1), torch.zeros(self.shape[0] - 1))

    @torch.no_grad()
    def advance(self, steps: int, swap: bool = True, friction: float = FRICTION) -> None:
        """`steps` time steps, with torsion moves and swaps between neighbours on the way.

        Raises:
            InputError: an energy is not finite any more.
        """
        half = self.step_ps / 2
        kt = self.kt.repeat_interleave(self.shape[1])[:, None, None]
        keep = torch.exp(torch.tensor(-friction * self.step_ps)).item()
        noise = (kt / MASS * (1 - keep**2)).sqrt()
        for _ in range(steps):
            self.v.add_(self.gradient, alpha=-half / MASS)
            self.x.add_(self.v, alpha=half)
            self.v.mul_(keep).add_(self._normal(self.v).mul_(noise))
            self.x.add_(self.v, alpha=half)
            self.u, self.gradient = self._evaluate(self.x)
            self.v.add_(self.gradient, alpha=-half / MASS)
            self.steps += 1
            if self.turns and self.steps % self.turn_every == 0 and len(self.axis):
                self._turn()
            if swap and self.steps % SWAP_EVERY == 0:
                parity = (self.steps // SWAP_EVERY) % 2 if len(self.kt) > 2 else 0
                if self.transport is None:
                    self._swap(parity)
                else:
                    for low in range(parity, len(self.kt) - 1, 2):
                        self._mapped_swap(low)
        if not self.u.isfinite().all():
            raise InputError(
                f"the simulation blew up (energy not finite): lower step_ps ({self.step_ps})"
            )

    def _turn(self) -> None:
        """Metropolis: turn one random torsion of each replica by a random angle."""
        replicas = len(self.x)
        which = (self._uniform(replicas) * len(self.axis)).long()
        turn = (self._uniform(replicas) * 2 - 1) * torch.pi
        proposal = rotate(self.x, self.axis[which], self.moved[which], turn)
        u, gradient = self._evaluate(proposal)
        kt = self.kt.repeat_interleave(self.shape[1])
        accept = self._uniform(replicas).log() < (self.u - u) / kt  # False for a NaN energy
        self.counts.turn_attempts += replicas
        self.counts.turn_accepts += int(accept.sum())
        wide = accept[:, None, None]
        self.x = torch.where(wide, proposal, self.x)
        self.gradient = torch.where(wide, gradient, self.gradient)
        self.u = torch.where(accept, u, self.u)

    def _swap(self, parity: int) -> None:
        """Exchange neighbours of even or odd pairs: positions, and velocities scaled by sqrt(T)."""
        temperatures, ladders = self.shape
        place = torch.arange(temperatures * ladders, device=self.device).view(self.shape)
        u = self.u.view(self.shape)
        for low in range(parity, temperatures - 1, 2):
            gap = 1 / self.kt[low] - 1 / self.kt[low + 1]
            accept = self._uniform(ladders).log() < gap * (u[low] - u[low + 1])
            self.counts.swap_attempts[low] += ladders
            self.counts.swap_accepts[low] += accept.sum().cpu()
            pair = place[low : low + 2]
            place[low : low + 2] = torch.where(accept, pair.flip(0), pair)
            self.works[low].append(torch.stack([-gap * u[low], gap * u[low + 1]]))
        source = place.view(-1)
        self._exchange_velocities(source)
        self.x, self.gradient, self.u = self.x[source], self.gradient[source], self.u[source]

    def _mapped_swap(self, low: int) -> None:
        """Exchange (x, y) of neighbours for (T^-1 y, T x): one map both ways, with its Jacobian."""
        ladders = self.shape[1]
        pair, rows = self.temperatures[low : low + 2], slice(low * ladders, (low + 2) * ladders)
        x, u_before = self.x[rows], self.u[rows]
        up, log_up = self.transport(x[:ladders], *pair, False)
        down, log_down = self.transport(x[ladders:], *pair, True)
        proposal = torch.cat([down, up])
        u, gradient = self._evaluate(proposal)
        heat = self.kt[low : low + 2].repeat_interleave(ladders)
        works = mapped_works(u_before, u, heat, log_up, log_down)
        accept = self._uniform(ladders).log() < -works.sum(0)  # False for a NaN work
        self.works[low].append(works)
        self.counts.swap_attempts[low] += ladders
        self.counts.swap_accepts[low] += accept.sum().cpu()
        both = accept.repeat(2)
        source = torch.arange(len(self.x), device=self.device)
        source[rows] = torch.where(both, source[rows].roll(ladders), source[rows])
        self._exchange_velocities(source)
        wide = both[:, None, None]
        self.x[rows] = torch.where(wide, proposal, x)
        self.gradient[rows] = torch.where(wide, gradient, self.gradient[rows])
        self.u[rows] = torch.where(both, u, u_before)

    def _exchange_velocities(self, source: Tensor) -> None:
        """Velocities and walkers go along with their replica; velocities scale by sqrt(T)."""
        kt = self.kt.repeat_interleave(self.shape[1])
        self.v = self.v[source] * (kt / kt[source]).sqrt()[:, None, None]
        self.walkers = self.walkers.view(-1)[source].view(self.shape)

    def state_dict(self) -> dict:
        """All that a continued run needs; plain tensors and numbers."""
        names = ("x", "v", "u", "gradient", "walkers")
        counts = vars(self.counts)
        return {
            **{name: getattr(self, name).cpu() for name in names},
            "generator": self.generator.get_state(),
            "steps": self.steps,
            **{name: torch.as_tensor(value) for name, value in counts.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state`, bit for bit."""
        for name in ("x", "v", "u", "gradient", "walkers"):
            setattr(self, name, state[name].to(self.device))
        self.generator.set_state(state["generator"].cpu())
        self.steps = int(state["steps"])
        self.counts = Counts(
            state["swap_attempts"],
            state["swap_accepts"],
            int(state["turn_attempts"]),
            int(state["turn_accepts"]),
        )


def turn_every(torsions: int) -> int:
    """Steps between two torsion moves."""
    return max(2, round(TURN_EACH / max(1, torsions)))


def mapped_works(
    before: Tensor, after: Tensor, kt: Tensor, log_up: Tensor, log_down: Tensor
) -> Tensor:
    """Works (2, L) in kT of moving L pairs up and down a map; their sum is -ln of the swap's odds.

    `before`, `after`, `kt` (2 L,): energies of the pairs and of (T^-1 y, T x), both with the lower
    temperature's row first, and k_B T of the rows. `log_up`, `log_down` (L,): log |det J|.
    """
    ladders = len(log_up)
    old, new = (before / kt).view(2, ladders), (after / kt).view(2, ladders)
    return torch.stack([new[1] - log_up - old[0], new[0] - log_down - old[1]])


def rotate(x: Tensor, axis: Tensor, moved: Tensor, turn: Tensor) -> Tensor:
    """Turn atoms `moved` (B, N) of x (B, N, 3) about axis atoms (B, 2) by `turn` (B,) radians."""
    start, end = (torch.take_along_dim(x, axis[:, k, None, None], 1) for k in (0, 1))  # (B, 1, 3)
    along = torch.nn.functional.normalize(end - start, dim=-1)
    arm = x - end
    parallel = (arm * along).sum(-1, keepdim=True) * along
    cosine, sine = turn.cos()[:, None, None], turn.sin()[:, None, None]
    turned = parallel + (arm - parallel) * cosine
    turned = turned + torch.linalg.cross(along.expand_as(arm), arm) * sine
    return torch.where(moved[:, :, None], end + turned, x)
