"""The shipped weights do what their card says; a run can be exported to such a file."""

import hashlib

import pytest
import torch

from experiments.shared.errors import InputError
from jingle.codec.__main__ import export
from jingle.codec.model import EMBEDDED, load_codec
from jingle.codec.module import CodecTraining
from jingle.codec.quality import buzz_of_noise, held_out, quality, table

CARD = EMBEDDED.with_suffix(".md")


@pytest.fixture(scope="module")
def rows():
    return quality(load_codec("embedded"), held_out(4, 5.0, seed=31, folder=None))


def test_round_trip_of_songs_never_heard_keeps_wave_rhythm_and_harmony(rows):
    """The bars of the card, with some slack: these are few and short songs."""
    found, telephone = rows["round trip"], rows["resample_8k"]
    assert found["si_sdr"] > 14
    assert found["onset_f1"] > 0.95
    assert found["chroma"] > 0.98
    assert found["mel_distance"] < 0.5 * telephone["mel_distance"]


def test_noise_stays_noise_and_does_not_buzz_at_the_frame_rate():
    before, after = buzz_of_noise(load_codec("embedded"))
    assert abs(before) < 0.02
    assert abs(after) <= 0.2


def test_noise_on_latents_is_borne(rows):
    noisy = next(values for name, values in rows.items() if "noise" in name)
    assert noisy["si_sdr"] > 12
    assert noisy["mel_distance"] < rows["resample_8k"]["mel_distance"]
    assert noisy["si_sdr"] < rows["round trip"]["si_sdr"]


def test_table_has_a_row_for_each_codec(rows):
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1


def test_card_names_this_file():
    content = EMBEDDED.read_bytes()
    assert len(content) < 6 * 2**20
    card = CARD.read_text()
    assert hashlib.sha256(content).hexdigest() in card
    assert load_codec("embedded").identity in card
    assert "python -m experiments.run +exp=codec" in card


def test_export_writes_the_codec_of_a_run(tmp_path):
    weights = {"waveform": 1.0, "stft": 1.0, "mel": 2.0, "latent": 0.05}
    module = CodecTraining(weights, start="random")
    (tmp_path / "checkpoints").mkdir()
    checkpoint = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(checkpoint, tmp_path / "checkpoints" / "best.ckpt")
    codec = load_codec(export(tmp_path, tmp_path / "codec.safetensors"))
    for name, tensor in module.decoder.state_dict().items():
        assert torch.equal(codec.decoder.state_dict()[name], tensor.half().float())


def test_export_of_another_run_is_refused(tmp_path):
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="no codec"):
        export(tmp_path / "other.ckpt", tmp_path / "codec.safetensors")
