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
        wrong = errors(module, batches, place)
        pays[place] = SHARES[wrong.index(min(wrong))]
    return pays


def errors(module, batches: list[dict[str, Tensor]], place: int) -> list[float]:
    """Mean distance to the blends by each of `SHARES` at `place`, all that follows left out."""
    pays, found = module.generator.pays, torch.zeros(len(SHARES))
    for batch in batches:
        wanted = module.seen(batch["blend"])
        if place:  # a stage's change is added to what came before: one look is enough
            pays[place] = 1.0
            before, after = module.compose(batch).outputs[place - 1 : place + 1]
            made = [torch.lerp(before, after, share) for share in SHARES]
        else:
            made = []
            for share in SHARES:
                pays[0] = share
                made.append(module.compose(batch).outputs[0])
        found += torch.stack([(z - wanted).abs().mean((1, 2)).sum().cpu() for z in made])
    return found.tolist()
