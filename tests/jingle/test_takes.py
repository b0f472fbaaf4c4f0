"""Several takes of one piece: repeatable, slow, audible, and the first of them plain."""

import json

import numpy as np
import torch

from jingle.pieces import takes
from jingle.sound import audio, features
from tests.jingle.fakes import music
from tests.jingle.test_infer import checkpoint_of, run_main
from tests.jingle.training import Pairs, agent


def test_a_take_follows_from_its_number_and_seed_and_a_longer_song_begins_alike():
    first = takes.variation(1, 128, 600, seed=3)
    again = takes.variation(1, 128, 900, seed=3)
    assert all(torch.allclose(first[name], again[name][:, :600], atol=1e-5) for name in first)
    assert set(first) == {"input_variation", "target_variation"}
    assert takes.variation(0, 128, 600) == {}
    for other in (takes.variation(2, 128, 600, seed=3), takes.variation(1, 128, 600, seed=4)):
        assert not torch.allclose(first["input_variation"], other["input_variation"])


def test_a_take_changes_levels_slowly_and_not_too_far():
    for factors in takes.variation(1, 128, 1500).values():
        level = 20 * factors.log10()
        assert level.abs().max() <= takes.MOST_DB + 1e-3
        assert level.std() > 2
        # a second at least from one extreme to the other: no onset, no note is made by it
        assert level.diff(dim=1).abs().max() * 75 <= 2 * takes.MOST_DB / takes.SECONDS + 1e-3


def test_the_network_makes_another_piece_of_another_take():
    module, batch = agent(), next(iter(Pairs().val_dataloader()))
    plain = module.generate(batch)["output"]
    take = takes.variation(1, *batch["input"].shape[1:])
    take = {name: x.expand_as(batch["input"]) for name, x in take.items()}
    assert (module.generate(batch | take)["output"] - plain).abs().mean() > 0.01
    one = {name: torch.ones_like(x) for name, x in take.items()}
    torch.testing.assert_close(module.generate(batch | one)["output"], plain)


def test_takes_are_compared_with_each_other_and_with_the_songs():
    a, b = music(2.0, 0), music(2.0, 1)
    waves = {"input": a, "output": a, "take_2": a, "take_3": b}
    found = takes.compared(waves, (features.analyse(a), features.analyse(b)))
    assert set(found) == {"output", "take_2", "take_3"}
    assert found["output"]["mel_distance_to"]["take_2"] == 0
    assert found["take_3"]["mel_distance_to"]["output"] > 0.1
    assert found["output"]["rhythm_f1"] == 1


def test_the_command_line_writes_each_take_and_plays_it(tmp_path, monkeypatch, capsys):
    run = checkpoint_of(tmp_path, identity="other")
    for number, name in enumerate("ab"):
        audio.write(tmp_path / f"{name}.wav", music(1.5, number))
    run_main(
        monkeypatch, "--checkpoint", run, "--input", tmp_path / "a.wav",
        "--target", tmp_path / "b.wav", "--output", tmp_path / "out" / "o.wav", "--takes", 3,
    )  # fmt: skip
    waves = [audio.read(tmp_path / "out" / f"o{take}.wav") for take in ("", "_take_2", "_take_3")]
    assert all(len(wave) == len(waves[0]) for wave in waves)
    assert not np.allclose(waves[0], waves[1])
    report = json.loads((tmp_path / "out" / "o.json").read_text())
    assert set(report["takes"]) == {"output", "take_2", "take_3"}
    page = (tmp_path / "out" / "o.html").read_text()
    assert "take 2" in page
    assert "take 3" in page
    assert "3 takes" in capsys.readouterr().out
