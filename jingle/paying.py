"""How much of what an agent would change pays, asked of the validation pairs.

An agent that starts from HPSS's parts, and a stage that starts from a sum of parts, should never
end behind them: where nothing can be learned (recorded music, whose truth HPSS is) an optimizer's
steps are noise, which held-out pairs show at once. They are asked before each validation.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@torch.no_grad()
def choose(module, batches: Iterable[dict[str, Tensor]]) -> Tensor:
    """The share of each change, the agent's and then each stage's, that is nearest to the blends.

    One after the other, each given those before it; set in the generator's `pays` and returned.

    Args:
        module: the `CreativeAgent`, in eval mode; its agent takes sources apart.
        batches: of validation pairs.
    """
    batches, pays = list(batches), module.generator.pays
    pays.fill_(1.0)
    for place in range(len(pays)):
        errors = [error(module, batches, place, share) for share in SHARES]
        pays[place] = SHARES[errors.index(min(errors))]
    return pays


def error(module, batches: list[dict[str, Tensor]], place: int, share: float) -> float:
    """Mean distance to the blends of the output that the share at `place` is the last to change."""
    module.generator.pays[place] = share
    total, count = 0.0, 0
    for batch in batches:
        wanted = module.seen(batch["blend"])
        distances = (module.compose(batch).outputs[place] - wanted).abs().mean((1, 2))
        total, count = total + float(distances.sum()), count + len(distances)
    return total / count
