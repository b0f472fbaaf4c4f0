"""Laws of the creative agent as a whole: gradients, resuming, noise, statistics, adversary."""

import functools
import json

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from experiments.shared.schedules import warmup_cosine
from jingle import baselines, losses
from jingle.module import CreativeAgent

WEIGHTS = {"target": 0, "input": 0, "spectral": 0, "mel": 0}
WEIGHTS |= {"gan": 0.1, "mask_reg": 0.1, "balance": 5, "parts": 0.5, "power": 0.05, "blend": 1}
SMALL = {"gate": {"width": 16}, "stages": {"widths": [16, 16], "depth": 1, "patch": 2}}
SMALL |= {"compositional": {"width": 16, "depth": 2}, "recomposition": {"widths": [16], "depth": 1}}
GATE = {"agent": "gate"}
PUBLISHED = {
    "agent": "attention",
    "writer": "published",
    "adversary": "published",
    "mask_terms": "batch",
    "standardise": False,
}


class Humming:
    """A codec whose sound follows its latents, differentiably."""

    meaningful, identity, note = True, "humming", ""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        loud = latents.mean(1, keepdim=True).repeat_interleave(320, -1)
        return loud * torch.sin(torch.arange(loud.shape[-1]) * 0.1)


def song(frames: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Six beating and six slowly changing components, each (6, frames)."""
    period, phase = torch.randint(12, 60, (2,), generator=generator)
    beat = ((torch.arange(frames) + phase) % period < period // 4).float()
    notes = torch.randn(6, frames // 40 + 1, generator=generator)
    rhythm = torch.randn(6, 1, generator=generator) * beat
    return rhythm, notes.repeat_interleave(40, 1)[:, :frames]


class Pairs(pl.LightningDataModule):
    """Pairs of songs in raw latents, and their blends: the input's rhythm, the target's harmony."""

    def __init__(self, frames: int = 80, batch_size: int = 2, size: int = 8):
        super().__init__()
        self.batch_size, self.size, self.codec = batch_size, size, Humming()
        generator = torch.Generator().manual_seed(0)
        mix, self.items = torch.randn(128, 12, generator=generator), []
        for k in range(size + 4):
            a, b = song(frames, generator), song(frames, generator)
            item = {}
            for side, song_ in (("input", a), ("target", b)):
                item[f"{side}_percussive"] = 1 + 2 * mix[:, :6] @ song_[0]
                item[f"{side}_harmonic"] = 1 + 2 * mix[:, 6:] @ song_[1]
                item[side] = item[f"{side}_percussive"] + item[f"{side}_harmonic"]
            item["blend"] = item["input_percussive"] + item["target_harmonic"]
            item["hpss_mix"] = 0.9 * item["blend"] + 0.1 * item["target"]
            extra = {"matched": torch.tensor(k % 2 == 0), "pair": torch.tensor(k // 2)}
            self.items.append(item | extra)
        self.statistics = (torch.full((128,), 2.0), torch.full((128,), 5.0))
        self.additive = True

    def channel_loudness(self) -> torch.Tensor:
        return torch.full((128,), 0.01)

    def channel_gains(self) -> torch.Tensor:
        return torch.tensor([[0.5], [0.5], [0.0]]).expand(3, 128)

    def reference(self, count: int) -> list[torch.Tensor]:
        return [item["blend"] for item in self.items[: self.size]][:count]

    def train_dataloader(self) -> DataLoader:
        left_out = ("hpss_mix", "matched", "pair")
        items = [
            {name: value for name, value in item.items() if name not in left_out}
            for item in self.items[: self.size]
        ]
        return DataLoader(items, batch_size=self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items[self.size :], batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()


class Reseed(pl.Callback):
    """As the suite does: every batch draws its noise from its own number."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        torch.manual_seed(1000 * trainer.current_epoch + batch_idx)


def agent(weights: dict | None = None, **options) -> CreativeAgent:
    torch.manual_seed(0)
    partial = functools.partial
    return CreativeAgent(
        WEIGHTS | (weights or {}),
        **(SMALL | {"heard": 0} | options),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        adversary_optimizer=partial(torch.optim.AdamW, lr=1e-3, betas=(0.5, 0.999)),
        schedule=partial(warmup_cosine, warmup=1, total=4),
    )


def fit(module: CreativeAgent, tmp_path, *, pairs: Pairs | None = None, **options) -> pl.Trainer:
    resume = options.pop("ckpt_path", None)
    defaults = {"max_epochs": 1, "limit_val_batches": 0, "callbacks": [Reseed()]}
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **(defaults | options),
    )
    trainer.fit(module, datamodule=pairs or Pairs(), ckpt_path=resume)
    return trainer


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


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = agent()  # remixing draws anew in each batch
    fit(whole, tmp_path, max_epochs=3)
    first = agent()
    fit(first, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "one.ckpt")
    second = agent()
    trainer = fit(second, tmp_path, max_epochs=3, ckpt_path=tmp_path / "one.ckpt")
    assert trainer.global_step == 12
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_resumed_run_listens_at_the_same_validations(tmp_path):
    class Heard(pl.Callback):
        def __init__(self):
            self.seen = []

        def on_validation_end(self, trainer, module) -> None:
            if not trainer.sanity_checking:
                self.seen.append((trainer.current_epoch, module.evaluation.decoded > 0))

    whole, parts = Heard(), Heard()
    options = {"limit_val_batches": 1, "limit_train_batches": 1}
    fit(agent(heard=1, heard_every=2), tmp_path, max_epochs=4, callbacks=[whole], **options)
    first = fit(agent(heard=1, heard_every=2), tmp_path, callbacks=[parts], **options)
    first.save_checkpoint(tmp_path / "one.ckpt")
    options |= {"callbacks": [parts], "ckpt_path": tmp_path / "one.ckpt"}
    fit(agent(heard=1, heard_every=2), tmp_path, max_epochs=4, **options)
    assert whole.seen == [(0, True), (1, False), (2, True), (3, False)]
    assert parts.seen == whole.seen


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
    first, second = (module.generate(batch["input"], batch["target"]) for _ in range(2))
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
    made = module.generate(batch["input"], batch["target"])
    m, n = made["input_mask"], made["target_mask"]
    assert torch.equal(m + n, torch.ones_like(m))
    # untrained: the sum of the gated sources, in standardised latents
    wanted = (m * (batch["input"] - 2) / 5 + n * (batch["target"] - 2) / 5) * 5 + 2
    torch.testing.assert_close(made["output"], wanted, rtol=1e-4, atol=1e-4)


def test_evaluation_is_the_same_each_time_and_has_its_baselines(tmp_path):
    module = agent(heard=3)
    trainer = fit(module, tmp_path, limit_val_batches=None)
    results = []
    for _ in range(2):
        (found,) = trainer.test(module, datamodule=Pairs(), verbose=False)
        results.append(found)
    assert results[0] == results[1]
    assert set(module.baselines) == {*baselines.PIECES, *baselines.MASKS}
    measured = {name.removeprefix("test/") for name in found}
    assert {"rhythm_f1", "harmony", "mel_distance", "adversary_auc", "chance_corrected"} <= measured
    with_baseline = set().union(*module.baselines.values())
    own = {name for name in measured if "lead" in name or name.startswith("stage_")}
    assert own >= {
        "blend_distance_lead_low",
        "rhythm_leak_lead",
        "stage_2_gain",
        "stage_gain_least",
    }
    assert measured - own <= with_baseline
    lead = module.baselines["hpss_mix"]["blend_distance"] - found["test/blend_distance"]
    assert found["test/blend_distance_lead"] == pytest.approx(lead, abs=1e-5)
    assert {"set_distance", "set_distance_inf"} <= measured
    assert module.baselines["plain_average"]["copying"] == pytest.approx(1)
    assert module.baselines["blend_itself"]["mel_distance"] == 0
    json.dumps(module.baselines)  # plain numbers
    assert set(module.figures()) == {"masks", "latents", "spectrograms", "mask_means"}
    sound, rate = module.audio()["output"]
    assert sound.shape == (1, 80 * 320)
    assert rate == 24_000


def test_an_untrained_codec_is_not_listened_to(tmp_path, capsys):
    module, pairs = agent(heard=3), Pairs()
    pairs.codec.meaningful = False
    trainer = fit(module, tmp_path, pairs=pairs)
    (found,) = trainer.test(module, datamodule=pairs, verbose=False)
    assert "test/rhythm_f1" not in found
    assert "test/blend_distance" in found
    assert capsys.readouterr().out.count("not measured: the codec is untrained") == 1


def test_statistics_travel_with_the_checkpoint_and_the_codec_does_not(tmp_path):
    module = agent()
    trainer = fit(module, tmp_path)
    file = tmp_path / "agent.ckpt"
    trainer.save_checkpoint(file)
    content = torch.load(file, weights_only=True)
    assert not [name for name in content["state_dict"] if "codec" in name or "tables" in name]
    content["class"] = checkpoints.class_name(CreativeAgent)
    torch.save(content, file)
    loaded = checkpoints.load(CreativeAgent, file)
    assert not loaded.training
    assert float(loaded.mean[0]) == 2.0
    other = Pairs()
    other.statistics = (torch.zeros(128), torch.ones(128))
    trainer.test(loaded, datamodule=other, verbose=False)
    assert float(loaded.mean[0]) == 2.0  # of its own training set, not of the one it is tested on
    batch = next(iter(other.val_dataloader()))
    made = [m.eval().generate(batch["input"], batch["target"]) for m in (module, loaded)]
    assert torch.equal(made[0]["output"], made[1]["output"])


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


def test_the_prior_is_a_last_stage_and_can_be_left_out():
    batch = next(iter(Pairs().val_dataloader()))
    output, mix = batch["input"], batch["hpss_mix"]
    torch.testing.assert_close(agent(prior=0.5).settle(output, mix), (output + mix) / 2)
    assert torch.equal(agent(prior=0.0).settle(output, mix), output)


@pytest.mark.slow
def test_it_learns_the_blend_within_its_constraints(tmp_path):
    """It beats the plain average on other pairs, with sharp, balanced, moving masks."""
    module = agent(
        {"parts": 0, "power": 0},  # as conf/exp/creative_agent_gate has it
        **GATE,
        agent_rate=1.0,
        remix=0.0,
        prior=0.0,
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
