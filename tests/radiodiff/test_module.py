"""The two phases, counted in generator updates, and what each step may touch."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch

from experiments.shared.errors import InputError
from experiments.shared.schedules import warmup_cosine
from radiodiff import corpus
from radiodiff.autoencoder.network import Autoencoder
from radiodiff.data import RadioMaps
from tests.radiodiff.training import WEIGHTS, fit, module, moved, snapshot

# Checkpoints by steps under manual optimization are of after the step, as meant.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pre-optimization state.*", "ignore:.*exists and is not empty.*"
)


def test_discriminator_starts_at_the_update_after_disc_start(untouched, tmp_path):
    watch = fit(untouched, tmp_path, module(3), updates=6)
    assert watch.steps == [1, 2, 3, 4, 5, 6]  # generator updates alone are counted
    assert moved(watch, "discriminator") == [False, False, False, True, True, True]
    assert all(moved(watch, "autoencoder"))
    assert watch.judged == [0, 0, 0, 3, 6, 9]  # before the start it is not even called
    for row in watch.logged[3:]:
        assert {"train/real_accuracy", "train/fake_accuracy", "train/adaptive_capped"} <= set(row)
    assert all("train/adversarial" not in row for row in watch.logged[:3])


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_resume_on_either_side_of_the_start_changes_nothing(untouched, tmp_path, stop):
    whole = fit(untouched, tmp_path / "whole", module(3), updates=6)
    fit(untouched, tmp_path / "part", module(3), updates=stop)
    rest = fit(
        untouched, tmp_path / "part", module(3), updates=6, resume=tmp_path / "part/saved/last.ckpt"
    )
    assert rest.steps == list(range(stop + 1, 7))
    for part, expected in whole.weights[-1].items():
        assert torch.equal(rest.weights[-1][part], expected), part
    moves = moved(rest, "discriminator")
    assert moves == [step > 3 for step in rest.steps]


def test_total_is_its_weighted_parts(untouched, tmp_path):
    watch = fit(untouched, tmp_path, module(2), updates=5)
    for row in watch.logged:
        parts = sum(w * row.get(f"train/{name}", 0.0) for name, w in WEIGHTS.items())
        assert row["train/total"] == pytest.approx(parts, rel=1e-5, abs=1e-5)
        assert row["published/total_loss"] == pytest.approx(65_536 * parts, rel=1e-4)


def test_discriminator_s_step_leaves_the_autoencoder_alone(untouched, tmp_path):
    found = module(0)
    fit(untouched, tmp_path, found, updates=1)
    before = snapshot(found)
    optimizer = torch.optim.SGD(found.discriminator.parameters(), lr=0.1)
    maps = torch.rand(2, 1, 64, 64)
    made = found.autoencoder.decode(found.autoencoder.encode(maps)[0]).detach()
    found.zero_grad()
    wrapped = pl.core.optimizer.LightningOptimizer(optimizer)
    found.toggle_optimizer = found.untoggle_optimizer = lambda _: None
    found.manual_backward = lambda loss: loss.backward()
    found.discriminator_step(wrapped, maps, made)
    after = snapshot(found)
    assert torch.equal(before["autoencoder"], after["autoencoder"])
    assert not torch.equal(before["discriminator"], after["discriminator"])
    assert all(p.grad is None for p in found.autoencoder.parameters())


def test_adversarial_gradient_is_that_of_the_plain_formula():
    """Going through the discriminator once gives what two passes would."""
    found = module(0)
    maps = torch.rand(1, 1, 32, 32) * 2 - 1
    made = found.autoencoder.decode(found.autoencoder.encode(maps)[0])
    terms = {"l1": (made - maps).abs().mean(), "l2": (made - maps).square().mean()}
    term, logged = found.adversarial_term(made, terms)
    last = found.autoencoder.last_weight
    game = -found.discriminator(made).mean()
    slopes = [
        torch.autograd.grad(x, last, retain_graph=True)[0].norm()
        for x in (terms["l1"] + terms["l2"], game)
    ]
    weight = slopes[0] / (slopes[1] + 1e-4)
    assert float(logged["train/adaptive_weight"]) == pytest.approx(float(weight), rel=1e-4)
    assert float(term.detach()) == pytest.approx(float((weight * game).detach()), rel=1e-4)
    parameters = list(found.autoencoder.decoder.parameters())
    ours = torch.autograd.grad(term, parameters, retain_graph=True)
    plain = torch.autograd.grad(weight.detach() * game, parameters)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_gradients_are_clipped_before_the_step(untouched, tmp_path):
    """With plain descent at rate 1 no update can be longer than the clip norm."""
    found = module(0, clip=1e-3)
    found.optimizer = found.disc_optimizer = partial(torch.optim.SGD, lr=1.0)
    found.schedule = None
    watch = fit(untouched, tmp_path, found, updates=2)
    for part in ("autoencoder", "discriminator"):
        lengths = [
            float((b[part] - a[part]).norm())
            for a, b in zip(watch.weights, watch.weights[1:], strict=False)
        ]
        assert max(lengths) <= 1e-3 * 1.01
        assert min(lengths) > 0.5e-3


def test_shortcut_starts_training_at_the_patch_pca(untouched, tmp_path):
    found = module(9, network={"width": 4, "blocks": 1, "shortcut": True})
    watch = fit(untouched, tmp_path, found, updates=1)
    assert watch.logged[0]["train/l1"] < 0.15  # untrained without: about 0.6
    assert isinstance(found.autoencoder, Autoencoder)


def test_history_survives_a_resume_and_draws_the_published_figures(untouched, tmp_path):
    fit(untouched, tmp_path / "part", module(2), updates=3)
    found = module(2)
    fit(untouched, tmp_path / "part", found, updates=5, resume=tmp_path / "part/saved/last.ckpt")
    assert [row["step"] for row in found.history] == [1, 2, 3, 4, 5]
    six = {"total_loss", "kl_loss", "rec_loss", "disc_loss", "overview", "comparison"}
    assert set(found.figures()) == six


def test_a_resume_never_trains_on_what_it_was_to_be_tested_on(untouched, tmp_path):
    fit(untouched, tmp_path, module(9), updates=1)
    maps = tmp_path / "more"
    corpus.make_corpus(maps, maps=14, transmitters=2, size=64)
    with pytest.raises(InputError, match="cities are in another split than when this run began"):
        fit(maps, tmp_path, module(9), updates=2, resume=tmp_path / "saved/last.ckpt")


@pytest.mark.parametrize("wanted", [7, None])
def test_the_phases_and_the_schedule_follow_the_run_s_length(untouched, tmp_path, wanted):
    found = module(wanted, schedule=partial(warmup_cosine, warmup=1, total=None, floor=0.0))
    fit(untouched, tmp_path, found, updates=3)
    assert found.disc_start == (wanted or 1)
    (schedule,) = [found.lr_schedulers()]
    assert schedule.get_last_lr()[0] == pytest.approx(0, abs=1e-9)


def test_without_weight_there_is_no_discriminator(untouched, tmp_path):
    found = module(0, weights={**WEIGHTS, "adversarial": 0.0})
    watch = fit(untouched, tmp_path, found, updates=2)
    assert watch.judged == [0, 0]
    assert moved(watch, "discriminator") == [False, False]


def test_half_precision_with_a_scaler_is_refused(untouched, tmp_path):
    found = module(1)
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, logger=False, default_root_dir=tmp_path,
                         enable_checkpointing=False, enable_progress_bar=False)  # fmt: skip
    trainer.datamodule = data = RadioMaps(str(untouched), str(tmp_path), size=64, num_workers=0)
    data.setup()
    found.trainer = trainer
    type(trainer).precision, before = property(lambda _: "16-mixed"), type(trainer).precision
    try:
        with pytest.raises(InputError, match=r"trainer\.precision=16-mixed: .*bf16-mixed"):
            found.setup("fit")
    finally:
        type(trainer).precision = before
