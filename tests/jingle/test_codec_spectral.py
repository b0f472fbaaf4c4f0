"""Laws of the spectral distances."""

import pytest
import torch

from jingle.sound.spectral import magnitude, mel_distance, si_sdr, stft_distance

RATE = 24_000


@pytest.fixture
def sound():
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(RATE // 2) / RATE
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (220.0, 1000.0)])
    return (0.3 * tones + 0.01 * torch.randn(tones.shape, generator=generator))[:, None]


def test_equal_sounds_are_at_distance_zero(sound):
    assert mel_distance(sound, sound).abs().max() == 0
    assert stft_distance(sound, sound).abs().max() < 1e-5
    assert (si_sdr(sound, sound) > 60).all()


def test_a_change_of_level_by_6_db_is_0_3_in_log10_mel(sound):
    torch.testing.assert_close(
        mel_distance(sound / 2, sound), torch.full((2,), 0.30103), atol=0.01, rtol=0
    )
    torch.testing.assert_close(stft_distance(sound / 2, sound), torch.full((2,), 0.5))


def test_si_sdr_of_known_noise_and_any_scale(sound):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(sound.shape, generator=generator)
    noise *= sound.square().mean((1, 2), True).sqrt() / noise.square().mean((1, 2), True).sqrt()
    found = si_sdr(3 * (sound + 0.1 * noise), sound)
    torch.testing.assert_close(found, torch.full((2,), 20.0), atol=0.2, rtol=0)


def test_a_sine_of_amplitude_one_has_magnitude_one():
    time = torch.arange(RATE) / RATE
    spectrum = magnitude(torch.sin(2 * torch.pi * 1500 * time)[None], 1024)  # bin 64
    assert spectrum[0, 64, 20] == pytest.approx(1, abs=1e-3)


def test_gradients_are_finite_even_for_silence(sound):
    for distance in (mel_distance, stft_distance, si_sdr):
        silence = torch.zeros_like(sound, requires_grad=True)
        distance(silence, sound).sum().backward()
        assert torch.isfinite(silence.grad).all()
        same = sound.clone().requires_grad_()
        distance(same, sound).sum().backward()
        assert torch.isfinite(same.grad).all()
