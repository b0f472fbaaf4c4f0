"""Laws of the codec's training: its start, its losses, its metrics, its augmentation."""

import math

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from jingle.codec import losses
from jingle.codec.augment import augment
from jingle.codec.metrics import BASELINES, SongTable, buzz, compare
from jingle.codec.module import CodecTraining
from jingle.codec.noise import PERIOD, band_noises
from jingle.codec.optimizer import LevelAdam, level_groups
from jingle.codec.seanet import SMALL, build_seanet
from jingle.codec.start import mdct_basis, transform_start
from jingle.songs.song import render_song
from jingle.sound.spectral import si_sdr

WEIGHTS = {"waveform": 1.0, "stft": 1.0, "mel": 2.0, "latent": 0.05}


@pytest.fixture(scope="module")
def songs():
    return torch.from_numpy(
        np.stack([render_song((11, i), 3.0)["audio"] for i in range(10)])[:, None]
    )


@pytest.fixture(scope="module")
def started(songs):
    torch.manual_seed(0)
    encoder, decoder = build_seanet(SMALL)
    transform_start(encoder, decoder, songs[:8])
    return encoder, decoder


@pytest.mark.parametrize("stride", [4, 320])
def test_mdct_reconstructs_perfectly(stride):
    basis = mdct_basis(stride)[:, None]
    sound = torch.randn(1, 1, 40 * stride)
    bands = torch.nn.functional.conv1d(sound, basis, stride=stride)
    back = torch.nn.functional.conv_transpose1d(bands, basis, stride=stride)
    inside = slice(2 * stride, -2 * stride)
    torch.testing.assert_close(back[..., inside], sound[..., inside], rtol=1e-4, atol=1e-5)


def test_start_keeps_what_is_low_and_the_level_of_what_is_high(started, songs):
    """On songs to which it was not fitted; latents of power 1 on those to which it was."""
    encoder, decoder = started
    with torch.no_grad():
        latents = encoder(songs)
        found = decoder(latents)
    power = latents[:8].square().mean((0, 2))
    assert (power > 0.5).all()
    assert power[:124].median() == pytest.approx(1, abs=0.1)
    low = [lowpass(x[8:], 4000.0) for x in (found, songs)]
    assert si_sdr(*low).min() > 20
    high = [(x[8:] - lowpass(x[8:], 5000.0)).square().mean().log10() for x in (found, songs)]
    assert abs(float(high[0] - high[1])) < 1.0


def test_the_start_makes_noise_that_does_not_repeat_by_the_frame(started):
    encoder, decoder = started
    noise = 0.1 * torch.randn(1, 1, 96_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = decoder(encoder(noise))
    assert abs(float(buzz(found))) < 0.1
    repeated = noise[..., :320].repeat(1, 1, 300)
    assert float(buzz(repeated)) > 0.9


def test_the_noise_of_a_band_is_level_and_goes_on_without_a_seam():
    noise = band_noises(4)
    torch.testing.assert_close(noise.square().mean(1), torch.ones(4))
    decoder = build_seanet(SMALL)[1].eval()
    with torch.no_grad():
        made = decoder(torch.randn(1, 128, PERIOD // 320 + 20))
    assert torch.isfinite(made).all()
    seam = torch.cat([noise[:, -200:], noise[:, :200]], dim=1).diff(dim=1).abs()
    assert seam[:, 199].max() < seam.max()


def lowpass(sounds, hertz):
    spectrum = torch.fft.rfft(sounds)
    spectrum[..., torch.fft.rfftfreq(sounds.shape[-1], 1 / 24_000) > hertz] = 0
    return torch.fft.irfft(spectrum, sounds.shape[-1])


def test_the_transform_can_be_trained_without_falling_apart(songs):
    """A few steps relative to the levels lower the error of what they see; plain Adam's do not."""
    loss = {}
    for name in ("levels", "plain"):
        torch.manual_seed(0)
        encoder, decoder = build_seanet(SMALL)
        transform_start(encoder, decoder, songs[:8])
        parameters = [*encoder.parameters(), *decoder.parameters()]
        if name == "levels":
            groups = level_groups(encoder, decoder, songs[:4])
            assert sum(len(group["params"]) for group in groups) == len(parameters)
            optimizer = LevelAdam(groups, lr=1e-3, eps=1e-12)
        else:
            optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-12)
        sounds, seen = songs[:2, :, :12_000], []
        for _ in range(8):
            found = decoder(encoder(sounds))[..., : sounds.shape[-1]]
            error = losses.waveform(found, sounds) + losses.mel(found, sounds)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            seen.append(error.item())
        loss[name] = seen
    assert loss["levels"][-1] < loss["levels"][0]
    assert loss["plain"][-1] > loss["plain"][0] + 1


def test_level_adam_resumes_exactly():
    def run(optimizer, weight, steps):
        for step in steps:
            weight.grad = torch.full_like(weight, float(step + 1))
            optimizer.step()

    def make():
        weight = torch.nn.Parameter(torch.zeros(3))
        scale = torch.tensor([1.0, 0.1, 0.0])
        return weight, LevelAdam([{"params": [weight], "scale": scale}], lr=0.1)

    whole, optimizer = make()
    run(optimizer, whole, range(6))
    assert whole[2] == 0
    torch.testing.assert_close(whole[1], 0.1 * whole[0])
    half, first = make()
    run(first, half, range(3))
    resumed, second = make()
    second.load_state_dict(first.state_dict())
    resumed.data.copy_(half.data)
    run(second, resumed, range(3, 6))
    assert torch.equal(resumed, whole)


def test_waveform_loss_is_the_snr_in_bels():
    sound = torch.randn(2, 1, 24_000)
    noise = torch.randn(2, 1, 24_000)
    noise *= sound.square().mean((1, 2), True).sqrt() / noise.square().mean((1, 2), True).sqrt()
    assert losses.waveform(sound + 0.1 * noise, sound) == pytest.approx(-2.0, abs=0.01)
    silence = torch.zeros(1, 1, 24_000, requires_grad=True)
    losses.waveform(silence, torch.zeros(1, 1, 24_000)).backward()
    assert torch.isfinite(silence.grad).all()


def test_latent_loss_is_zero_at_power_one_and_positive_elsewhere():
    latents = torch.randn(4, 8, 2000)
    latents = latents / latents.square().mean((0, 2), True).sqrt()
    assert losses.latent(latents) == pytest.approx(0, abs=1e-5)
    expected = 0.5 * (4 - 1 - math.log(4))
    assert losses.latent(2 * latents) == pytest.approx(expected, rel=1e-3)


def test_metrics_are_perfect_for_the_same_song_and_order_the_baselines(songs):
    same = compare(songs[:2], songs[:2])
    for name in ("onset_f1", "chroma", "harmony"):
        torch.testing.assert_close(same[name], torch.ones(2), atol=1e-4, rtol=0)
    assert same["mel_distance"].max() == 0
    found = {name: compare(trivial(songs[:2]), songs[:2]) for name, trivial in BASELINES.items()}
    for name, values in found.items():
        assert (values["si_sdr"] > 3).all(), name
        assert (values["mel_distance"] > 0.01).all(), name
    assert (found["resample_8k"]["mel_distance"] > found["mu_law_8bit"]["mel_distance"]).all()


def test_another_song_scores_low(songs):
    other = compare(songs[2:4], songs[:2])
    assert other["si_sdr"].max() < 0
    assert other["harmony"].max() < 0.9
    assert other["onset_f1"].max() < 0.9


def test_table_takes_the_median(songs):
    table = SongTable()
    noisy = songs[:3] + 0.01 * torch.randn(3, 1, songs.shape[-1])
    table.update(noisy[:2], songs[:2])
    table.update(noisy[2:], songs[2:3])
    each = si_sdr(noisy, songs[:3])
    assert table.compute()["si_sdr"] == pytest.approx(float(each.median()), rel=1e-5)
    assert table.compute()["si_sdr_worst"] == pytest.approx(float(each.min()), rel=1e-5)


def test_augmentation_keeps_length_and_range_and_is_repeatable(songs):
    first, second = songs[0, 0].numpy(), songs[1, 0].numpy()
    heard = []
    for seed in range(40):
        found, again = (augment(first, second, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(found, again)
        assert found.dtype == np.float32
        assert found.shape == first.shape
        assert np.isfinite(found).all()
        assert np.abs(found).max() <= 0.991
        heard.append(found)
    assert not np.allclose(heard[0], heard[1])


def test_module_refuses_what_it_cannot_start(tmp_path):
    with pytest.raises(InputError, match="unknown loss weight"):
        CodecTraining({**WEIGHTS, "extra": 1.0})
    with pytest.raises(InputError, match="transform"):
        CodecTraining(WEIGHTS, architecture={"lstm": 2})
    assert CodecTraining(WEIGHTS, architecture={"lstm": 1}, start="random").hparams


def test_module_checkpoint_keeps_the_whole_architecture():
    module = CodecTraining(WEIGHTS, architecture={"kernel_size": 5})
    assert module.hparams["architecture"] == {**SMALL, "kernel_size": 5}
