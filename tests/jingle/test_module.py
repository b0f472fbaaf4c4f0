"""Laws of the creative agent as a whole: gradients, losses, adversary, noise, remixing."""

import functools

import lightning.pytorch as pl
import pytest
import torch

from experiments.shared.errors import InputError
from experiments.shared.schedules import warmup_cosine
from jingle import losses
from tests.jingle.training import WEIGHTS, Pairs, Reseed, agent, fit

GATE = {"agent": "gate"}
PUBLISHED = {
    "agent": "attention",
    "writer": "published",
    "adversary": "published",
    "mask_terms": "batch",
    "standardise": False,
}


class Gradients(pl.Callback):
    """Which parameters ever got a gradient that is not zero."""

    def __init__(self):
        self.reached: set[str] = set()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        for name, p in module.named_parameters():
            if p.grad is not None and p.grad.abs().sum() > 0:
                self.reached.add(name)


@pytest.mark.parametrize("options", [{}, GATE, PUBLISHED], ids=["ours", "gate", "published"])
def test_gradients_reach_every_parameter_and_every_step_counts_once(tmp_path, options):
    gradients, module = Gradients(), agent(**options)
    trainer = fit(module, tmp_path, callbacks=[Reseed(), gradients], max_steps=3, max_epochs=-1)
    assert gradients.reached == {name for name, _ in module.named_parameters()}
    assert trainer.global_step == 3  # generator updates; the adversary's are not counted
    assert torch.isfinite(module.grad_norm)


def test_each_optimizer_has_its_own_parameters_and_all_of_them():
    module = agent()
    module.schedule = None
    optimizers, _ = module.configure_optimizers()
    owned = [{id(p) for g in o.param_groups for p in g["params"]} for o in optimizers]
    assert not owned[0] & owned[1]
    assert owned[0] | owned[1] == {id(p) for p in module.parameters()}
    assert owned[1] == {id(p) for p in module.adversary.parameters()}


def test_the_adversary_trains_on_its_own_loss_only(tmp_path):
    """Where the generator's loss is next to nothing it stays, and the adversary moves."""
    module = agent(dict.fromkeys(losses.TERMS, 0) | {"gan": 1e-30}, **GATE)
    before = {name: p.clone() for name, p in module.named_parameters()}
    module.optimizer = module.adversary_optimizer = functools.partial(torch.optim.SGD, lr=0.1)
    module.schedule = None
    fit(module, tmp_path)
    moved = {
        name
        for name, p in module.named_parameters()
        if not torch.allclose(p, before[name], rtol=0, atol=1e-20)
    }
    assert moved == {name for name in before if name.startswith("adversary.")}
    assert all(p.requires_grad for p in module.parameters())


def test_the_training_loss_is_the_weighted_sum_and_shares_add_up(tmp_path):
    found = fit(agent(), tmp_path, log_every_n_steps=1).callback_metrics
    total = sum(w * float(found[f"train/{k}"]) for k, w in WEIGHTS.items() if w)
    assert float(found["train/total"]) == pytest.approx(total, rel=1e-5)
    assert sum(
        float(found[f"share/{k}"]) for k in WEIGHTS if f"share/{k}" in found
    ) == pytest.approx(1)
    composed = (
        float(found[f"train/{k}"]) * w
        for k, w in zip(("overlap", "coverage", "temporal"), (1, 0.5, 5), strict=True)
    )
    assert float(found["train/mask_reg"]) == pytest.approx(sum(composed), rel=1e-5)


def test_dear_terms_are_computed_where_they_weigh_and_say_so_where_not(tmp_path, capsys):
    found = fit(agent(), tmp_path).callback_metrics
    assert "train/mel" not in found
    assert (
        "not computed, for they need decoded audio and weigh 0: spectral, mel"
        in capsys.readouterr().out
    )
    module = agent({"mel": 1.0}, decode_every=1, decode_seconds=0.5)
    found = fit(module, tmp_path).callback_metrics
    assert float(found["train/mel"]) > 0
    assert "train/spectral" not in found


def test_the_temperature_falls_by_the_epoch_to_its_last_value(tmp_path):
    class Watch(pl.Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
            self.seen.append(module.annealed())

    watch = Watch()
    fit(agent(anneal=2, temperature=(1.0, 0.25)), tmp_path, max_epochs=3, callbacks=[watch])
    assert watch.seen[0] == 1.0
    assert watch.seen[4] == pytest.approx(0.5)
    assert watch.seen[8:] == pytest.approx([0.25] * 4)
    assert watch.seen == sorted(watch.seen, reverse=True)


def test_noise_only_in_training(tmp_path):
    module = agent(noise=50.0)
    batch = next(iter(Pairs().val_dataloader()))
    first, second = (module.generate(batch) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    loud = float(fit(module, tmp_path).callback_metrics["train/blend"])
    quiet = float(fit(agent(noise=0.0), tmp_path).callback_metrics["train/blend"])
    assert loud > 3 * quiet


def test_without_an_adversary_there_is_one_optimizer(tmp_path, capsys):
    module = agent({"gan": 0})
    assert module.adversary is None
    trainer = fit(module, tmp_path, max_steps=2, max_epochs=-1)
    assert trainer.global_step == 2
    assert "no adversary" in capsys.readouterr().out


def test_training_remixes_where_parts_add_up_and_says_where_not(tmp_path, capsys):
    pairs = Pairs()
    module = agent(remix=1.0)
    fit(module, tmp_path, pairs=pairs)
    assert module.remixes == 1.0
    pairs.additive = False
    module = agent(remix=1.0)
    found = fit(module, tmp_path, pairs=pairs).callback_metrics
    assert module.remixes == 0
    assert "no remixing" in capsys.readouterr().out
    assert "train/parts" in found


def test_generate_gives_raw_latents_and_complementary_masks():
    module, pairs = agent(**GATE), Pairs()
    module.mean.fill_(2.0)
    module.std.fill_(5.0)
    batch = next(iter(pairs.val_dataloader()))
    made = module.generate(batch)
    m, n = made["input_mask"], made["target_mask"]
    assert torch.equal(m + n, torch.ones_like(m))
    # untrained: the sum of the gated sources, in standardised latents
    wanted = (m * (batch["input"] - 2) / 5 + n * (batch["target"] - 2) / 5) * 5 + 2
    torch.testing.assert_close(made["output"], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"novelty": 1}, {}, "unknown loss weight"),
        ({"gan": -0.1}, {}, "gan=-0.1: expected a finite weight"),
        ({}, {"agent": "oracle"}, "agent=oracle: expected one of compositional, gate"),
        ({}, {"mask_terms": "all"}, "mask_terms=all: expected one of each, batch"),
    ],
)
def test_wrong_settings_say_what_is_possible(weights, options, message):
    with pytest.raises(InputError, match=message):
        agent(weights, **options)


@pytest.mark.slow
def test_it_learns_the_blend_within_its_constraints(tmp_path):
    """It beats the plain average on other pairs, with sharp, balanced, moving masks."""
    module = agent(
        {"parts": 0, "power": 0},  # as conf/exp/creative_agent_gate has it
        **GATE,
        agent_rate=1.0,
        remix=0.0,
        gate={"width": 32},
        stages={"widths": [64, 64], "depth": 1, "patch": 2},
        noise=0.2,
        anneal=4,
    )
    module.optimizer = functools.partial(torch.optim.AdamW, lr=3e-3)
    module.adversary_optimizer = functools.partial(torch.optim.AdamW, lr=5e-5)
    module.schedule = functools.partial(warmup_cosine, warmup=1, total=12)
    pairs = Pairs(frames=160, batch_size=4, size=32)
    pairs.additive = False  # the toy codec's sound is far above full scale: no headroom is left
    trainer = fit(module, tmp_path, max_epochs=12, pairs=pairs)
    (found,) = trainer.test(module, datamodule=pairs, verbose=False)
    assert found["test/complementarity"] >= 0.95
    assert found["test/coverage_error"] == 0
    assert found["test/balance_error_q95"] <= 0.02
    assert found["test/input_temporal_variance"] >= 0.10
    assert found["test/dwell"] >= 0.25
    assert found["test/blend_gain"] > 0.1
