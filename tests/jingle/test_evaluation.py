"""Evaluation of the agent: the same each time, beside its baselines, and what it leaves out."""

import json

import pytest

from jingle import baselines
from tests.jingle.training import Pairs, agent, fit


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
    own |= {"familiarity"}
    assert own >= {
        "blend_distance_lead_low",
        "rhythm_leak_lead",
        "stage_1_gain",
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
