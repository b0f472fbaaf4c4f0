"""Laws of levels: what is measured on the sound is what the blend is made by."""

import numpy as np
import torch

from jingle.networks import loudness
from jingle.networks.loudness import Levels, Separated
from jingle.pairs import blend, levels
from jingle.remix import remix
from jingle.sound import loudness_rule
from tests.jingle.fakes import music


def heard(seconds: float, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    song = music(seconds, seed)
    return song, torch.from_numpy(levels.of_sound(song)).float()


def test_the_rows_of_levels_are_read_as_they_are_written():
    for place, name in enumerate(loudness_rule.NAMES):
        assert getattr(loudness_rule, name.upper()) == place


def test_factors_are_those_of_the_blend():
    (a, first), (b, second) = heard(2, 1), heard(2, 2)
    b, second = 0.3 * b, second + 20 * np.log10(0.3)
    drums, chords = blend.apart(a)[0], blend.apart(b)[1]
    common = blend.common_level(blend.loudness(a), blend.loudness(b))
    wanted = [blend.gain(drums, common), blend.gain(chords, common)]
    found = loudness.of_own(first, second)
    np.testing.assert_allclose([float(x) for x in found], wanted, rtol=1e-3)


def test_silence_is_not_amplified():
    silent = torch.full((1, 5), levels.SILENT)
    _, loud = heard(2, 1)
    assert [float(x) for x in loudness.of_own(silent, silent)] == [1, 1]
    assert float(loudness.of_own(silent, loud)[0]) == 1
    assert levels.of_sound(np.zeros(24_000, np.float32)).tolist() == [[levels.SILENT] * 5]


def test_true_stems_have_levels_of_their_own():
    song = music(2, 3)
    found = levels.of_sound(song, 0.5 * song, None)[0]
    np.testing.assert_allclose(found[3], found[0] - 6.02, atol=0.1)
    assert found[4] == found[2]


def test_hpss_parts_get_the_gain_of_the_blend_and_others_by_how_much_louder_they_are():
    rows = (
        torch.tensor([[-18.0, -25.0, -20.0, -25.0, -20.0]]),
        torch.tensor([[-22.0, -30.0, -23.0, -30.0, -23.0]]),
    )
    a, b, p, h = torch.randn(4, 1, 128, 300, generator=torch.Generator().manual_seed(0))
    separated, writer = Separated(p, h, *rows), Levels()
    exact = writer(p, h, a, b, separated)
    for found, wanted in zip(exact, loudness.of_own(*rows), strict=True):
        torch.testing.assert_close(found, wanted)
    halved = writer(0.5 * p, h, a, b, separated)
    torch.testing.assert_close(halved[0], 2 * exact[0], rtol=1e-3, atol=0)
    assert torch.equal(halved[1], exact[1])


def test_a_remixed_songs_levels_move_with_it():
    batch = {}
    draw = torch.Generator().manual_seed(0)
    for side in ("input", "target"):
        for part in ("percussive", "harmonic"):
            batch[f"{side}_{part}"] = torch.randn(3, 128, 40, generator=draw)
        batch[side] = batch[f"{side}_percussive"] + batch[f"{side}_harmonic"]
        power = batch[side].square().mean((1, 2))
        batch[f"{side}_levels"] = (10 * power.log10())[:, None, None].expand(3, 5, 1)
    batch["input_hpss"] = 0.5 * batch["input_percussive"]
    batch["target_hpss"] = batch["target"] - 0.5 * batch["target_percussive"]
    torch.manual_seed(1)
    made = remix(batch)
    for side in ("input", "target"):
        power = 10 * made[side].square().mean((1, 2)).log10()
        torch.testing.assert_close(made[f"{side}_levels"][:, 0, 0], power)
