"""Laws of paying: what held-out pairs lose by is not done, what they gain by is."""

import torch

from jingle import paying
from tests.jingle.training import Pairs, agent, fit


def batches() -> list[dict[str, torch.Tensor]]:
    return list(Pairs().val_dataloader())


def test_changes_that_only_harm_are_not_made():
    module = agent({"gan": 0}).eval()
    torch.manual_seed(0)
    torch.nn.init.normal_(module.generator.agent.write.weight, std=5.0)
    torch.nn.init.normal_(module.generator.cascade.stages[0].write.weight, std=5.0)
    assert paying.choose(module, batches()).tolist() == [0, 0]
    made = module.compose(batches()[0])
    torch.testing.assert_close(made.outputs[0], made.outputs[1])


def test_the_share_is_the_best_of_those_that_are_tried(tmp_path):
    pairs = Pairs(size=16)
    module = agent({"gan": 0}, agent_rate=1.0)
    fit(module, tmp_path, pairs=pairs, max_epochs=3, limit_val_batches=None)
    module.eval()
    chosen = paying.choose(module, batches()).clone()
    for place in range(2):
        wrong = paying.errors(module, batches(), place)
        assert paying.SHARES[wrong.index(min(wrong))] == chosen[place]
        module.generator.pays.copy_(chosen)


@torch.no_grad()
def test_what_a_stage_would_do_by_halves_is_foretold():
    module = agent({"gan": 0}).eval()
    torch.manual_seed(0)
    torch.nn.init.normal_(module.generator.cascade.stages[0].write.weight, std=0.1)
    foretold = paying.errors(module, batches(), 1)
    for share, error in zip(paying.SHARES, foretold, strict=True):
        module.generator.pays[1] = share
        found = [
            (module.compose(b).outputs[1] - module.seen(b["blend"])).abs().mean((1, 2)).sum()
            for b in batches()
        ]
        torch.testing.assert_close(sum(found), torch.tensor(error), rtol=1e-4, atol=0)


def test_shares_are_kept_with_the_weights(tmp_path):
    module = agent({"gan": 0})
    module.generator.pays.copy_(torch.tensor([0.5, 0.25]))
    other = agent({"gan": 0})
    other.load_state_dict(module.state_dict())
    assert other.generator.pays.tolist() == [0.5, 0.25]
