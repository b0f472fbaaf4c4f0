"""What the model is told of each cell, as numbers of about one; no weights.

`B` batch, `S` frames, `K` tracks, `C` channels, `E` kinds of events. A batch is as
`tasks.example` describes it, stacked.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from multitrack.edit.drivers import EVENTS
from multitrack.edit.state import CAP, COUNTERS
from multitrack.edit.timeline import ASSETS

TIMES = 25  # features of `remaining`
PENDING = 15 * len(EVENTS)  # of `pending`
OFFERS = 3  # of `offers`


def offers(batch: dict[str, Tensor], reach: Tensor) -> tuple[Tensor, ...]:
    """Changes to the past that could be taken over: OFFERS of (B, S, K, 7), of the raw values.

    To go on at the last speed; to what the track held when this speaker last ended a turn; to the
    geometry in which its last clip ended.
    """
    past, recalled, settled = batch["past"][..., 2:], batch["recalled"], batch["settled"]
    ahead = (batch["velocity"] * batch["age"][..., None]).clamp(-reach, reach)
    turn = (recalled[..., 2:9] - past) * recalled[..., 9:]
    rest = (settled[..., :7] - past) * settled[..., 7:]
    return ahead, turn, rest


def reacted(batch: dict[str, Tensor]) -> Tensor:
    """1 where the change of speaker is old enough for the track, as far as is known: (B, S, K)."""
    least = torch.minimum(*batch["lags"][..., 2:, EVENTS.index("turn")].unbind(-1))
    late = batch["ago"][:, :, None, EVENTS.index("turn")] >= least
    return late * batch["recalled"][..., 9]


def remaining(counters: Tensor, age: Tensor, on: Tensor) -> Tensor:
    """Frames left if a run lasts as long as the ones before it: (B, S, K, TIMES), squashed.

    Each of the earlier lengths that may apply (on- or off-runs, intervals between events, those of
    the track below) gives the time left on a fine and on a coarse scale, and whether the length is
    known.
    """
    run, event = counters[..., 0] + age, counters[..., 5] + age
    lengths = torch.where(on[..., None] > 0.5, counters[..., 1:3], counters[..., 3:5])
    # An empty track may follow the one below it as it did before; a full one last as long as that.
    lag, since = counters[..., 11:13], counters[..., 10:11]
    below = F.pad(counters, (0, 0, 1, 0))[..., :-1, :]
    wait = torch.where(on > 0.5, below[..., 1] - run, below[..., 11] - since[..., 0] - age)
    left = torch.cat(
        [
            lengths - run[..., None],
            counters[..., 6:8] - event[..., None],
            lag - since - age[..., None],
            wait[..., None],
        ],
        -1,
    )  # (B, S, K, 7)
    empty = (on[..., None] < 0.5) & (lag < CAP) & (since < CAP)
    full = (on > 0.5) & (below[..., 1] > 0)
    chain = (on < 0.5) & (below[..., 11] < CAP) & (since[..., 0] < CAP) & (below[..., 9] > 0)
    heard = torch.cat([lengths > 0, counters[..., 6:8] > 0, empty, (full | chain)[..., None]], -1)
    fine, coarse = torch.tanh(left / 3), torch.tanh(left / 25)
    both = torch.cat([fine, coarse], -1) * torch.cat([heard, heard], -1)
    past = due(left, age[..., None]) * heard
    return torch.cat([both, heard[..., 0::2].to(both.dtype), past], -1)


def due(left: Tensor, age: Tensor) -> Tensor:
    """Whether something fell due (`left` <= 0) after what was seen, which is `age` frames old."""
    return ((left < 0.5) & (left + age > 0.5)).to(left.dtype)


def pending(lags: Tensor, ago: Tensor, age: Tensor, on: Tensor) -> Tensor:
    """Frames until the track reacts to each event as it did before: (B, S, K, PENDING), squashed.

    An empty track's reaction is to come on, a full one's to go off. The last reaction's lag, the
    least one and the least of both kinds are taken; also whether the reaction falls after what is
    seen of the edit.
    """
    lag = torch.where(on[..., None, None] > 0.5, lags[..., 1::2, :], lags[..., 0::2, :])
    least = torch.minimum(*lags[..., 2:, :].unbind(-2))
    lag = torch.cat([lag, least[..., None, :]], -2)
    left = lag - ago[:, :, None, None]  # (B, S, K, 2, E)
    known = ((lag < CAP) & (ago < CAP)[:, :, None, None]).to(left.dtype)
    later = left + age[..., None, None]
    squashed = torch.stack([torch.tanh(left / 3), torch.tanh(later / 3), torch.tanh(left / 20)])
    return torch.cat(
        [*(squashed * known), known, due(left, age[..., None, None]) * known], -1
    ).flatten(-2)


def features(batch: dict[str, Tensor], units: Tensor) -> Tensor:
    """The cells' features, about -3..3: (B, S, K, C)."""
    past, after, age = batch["past"], batch["after"], batch["age"]
    recalled, settled = batch["recalled"], batch["settled"]
    rest = torch.zeros_like(past[..., 2:])
    rest[..., 0] = 100.0
    given = (after[..., 9:] > 0).to(past.dtype)
    counters = batch["counters"]
    times = torch.log1p(counters + age[..., None] * _ageing(counters)) / 3
    return torch.cat(
        [
            batch["known"][..., None],
            past[..., :1],
            F.one_hot(past[..., 1].long(), len(ASSETS)).to(past.dtype),
            ((past[..., 2:] - rest) / units).clamp(-4, 4),
            (batch["velocity"] * 10 / units).clamp(-3, 3),
            torch.log1p(age)[..., None] / 3,
            torch.tanh(age / 10)[..., None],
            times,
            remaining(counters, age, past[..., 0]),
            pending(batch["lags"], batch["ago"], age, past[..., 0]),
            given,
            after[..., :1],
            torch.log1p(after[..., 9:]) / 3,
            ((after[..., 2:9] - past[..., 2:]) / units).clamp(-4, 4) * given,
            settled[..., 7:],
            ((settled[..., :7] - past[..., 2:]) / units).clamp(-4, 4) * settled[..., 7:],
            recalled[..., 9:],
            recalled[..., :1],
            (reacted(batch) * (recalled[..., 0] - past[..., 0]))[..., None],
            ((recalled[..., 2:9] - past[..., 2:]) / units).clamp(-4, 4) * recalled[..., 9:],
        ],
        -1,
    )


def _ageing(counters: Tensor) -> Tensor:
    """Which counters go on growing while nothing is seen: the two times since something."""
    grows = [float(name.startswith("since")) for name in COUNTERS]
    return torch.tensor(grows, dtype=counters.dtype, device=counters.device)


def features_size() -> int:
    return (
        1
        + 1
        + len(ASSETS)
        + 7
        + 7
        + 2
        + len(COUNTERS)
        + TIMES
        + PENDING
        + (1 + 1 + 1 + 7)
        + (1 + 7)
        + 10
    )
