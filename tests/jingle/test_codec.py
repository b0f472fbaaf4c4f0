"""Laws of the codec's interface: shapes, gradients, fall-backs, files, and what is refused."""

import json

import pytest
import torch
from encodec import EncodecModel

from experiments.shared.errors import InputError
from jingle.codec import download
from jingle.codec.model import EMBEDDED, load_codec, write_weights
from jingle.codec.seanet import SMALL, build_seanet


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cached pretrained weights, and a host that does not answer."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(download, "probe", lambda: "no connection: test")


@pytest.mark.parametrize("samples", [320, 321, 24_000, 24_319])
def test_shapes_round_up_to_frames(samples):
    codec = load_codec("random")
    latents = codec.encode(torch.zeros(2, 1, samples))
    frames = -(-samples // 320)
    assert latents.shape == (2, 128, frames)
    assert codec.decode(latents).shape == (2, 1, 320 * frames)


def test_decoder_gives_gradients_and_its_weights_stay_frozen():
    codec = load_codec("random").train()
    latents = torch.randn(1, 128, 10, requires_grad=True)
    codec.decode(latents).square().sum().backward()
    assert latents.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in codec.parameters())
    assert not codec.encode(torch.randn(1, 1, 640)).requires_grad


def test_random_is_the_same_each_time_and_says_that_it_means_nothing():
    state = torch.random.get_rng_state()
    first, second = load_codec("random"), load_codec("random")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.identity == second.identity
    assert not first.meaningful


def test_auto_falls_back_loudly_when_offline(offline):
    codec = load_codec("auto")
    assert codec.name == "embedded"
    assert codec.meaningful
    assert "WARNING" in codec.note
    assert "no connection" in codec.note


def test_pretrained_offline_names_the_remedy(offline):
    with pytest.raises(InputError, match=r"encodec_24khz.*embedded"):
        load_codec("pretrained")


def test_published_weights_are_read_and_give_the_published_latents(tmp_path, monkeypatch):
    """With EnCodec's own (here random) weights: weight norm removed, nothing else changed."""
    torch.manual_seed(0)
    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    file = tmp_path / "checkpoints" / download.FILE
    file.parent.mkdir()
    torch.save(model.state_dict(), file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    audio = torch.randn(1, 1, 3200)
    wanted = model.encoder(audio).detach()
    for choice in ("auto", "pretrained", str(file)):
        codec = load_codec(choice)
        latents = codec.encode(audio)
        torch.testing.assert_close(latents, wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(codec.decode(latents), model.decoder(wanted).detach())
        assert not any("weight_g" in name for name in codec.state_dict())
    assert load_codec("auto").name == "pretrained"
    latents = torch.randn(1, 128, 4, requires_grad=True)  # through the LSTM as well
    codec.decode(latents).sum().backward()
    assert latents.grad.abs().sum() > 0


def test_weights_file_returns_what_was_written(tmp_path):
    torch.manual_seed(1)
    encoder, decoder = build_seanet(SMALL)
    write_weights(tmp_path / "codec.safetensors", encoder, decoder, SMALL)
    codec = load_codec(tmp_path / "codec.safetensors")
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(codec.encoder.state_dict()[name], tensor.half().float())
    assert codec.identity != load_codec("random").identity


def test_a_file_from_before_the_noise_bands_is_still_read(tmp_path):
    from safetensors.torch import save_file

    old = {name: value for name, value in SMALL.items() if name != "noise_bands"}
    encoder, decoder = build_seanet(old)
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    metadata = {"format": "jingle-codec-1", "architecture": json.dumps(old)}
    save_file(tensors, tmp_path / "old.safetensors", metadata=metadata)
    latents = torch.randn(1, 128, 5)
    codec = load_codec(tmp_path / "old.safetensors")
    with torch.no_grad():
        assert torch.equal(codec.decode(latents), decoder(latents))


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\xff" * 64])
def test_broken_weights_are_refused(tmp_path, content):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match="broken"):
        load_codec(file)


def test_truncated_weights_are_refused(tmp_path):
    file = tmp_path / "half.safetensors"
    file.write_bytes(EMBEDDED.read_bytes()[:5000])
    with pytest.raises(InputError, match="half"):
        load_codec(file)


def test_missing_file_and_other_safetensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(InputError, match="no such file"):
        load_codec("pretraind")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="holds no codec"):
        load_codec(tmp_path / "other.safetensors")
    metadata = {"format": "jingle-codec-1", "architecture": json.dumps(SMALL)}
    save_file({"encoder.a": torch.zeros(1)}, tmp_path / "bare.safetensors", metadata=metadata)
    with pytest.raises(InputError, match="does not fit"):
        load_codec(tmp_path / "bare.safetensors")


def test_wrong_shapes_are_named():
    codec = load_codec("random")
    with pytest.raises(ValueError, match=r"\(B, 1, S\)"):
        codec.encode(torch.zeros(1, 2, 640))
    with pytest.raises(ValueError, match="128"):
        codec.decode(torch.zeros(1, 64, 10))
