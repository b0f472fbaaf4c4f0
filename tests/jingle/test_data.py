"""Batches of pairs: what they hold, their blends, parts and figures, and what is said of them."""

import json

import numpy as np
import pytest
import soundfile
import torch
from lightning import LightningModule, Trainer

from experiments.shared.errors import InputError
from jingle.pairs import blend
from jingle.sound import audio
from tests.jingle.fakes import encoded, make_pairs, module_for, music

PARTS = {"input_percussive", "input_harmonic", "target_percussive", "target_harmonic"}
HPSS = {"input_hpss", "target_hpss"}
LEVELS = {"input_levels", "target_levels"}


def test_batches_have_the_promised_keys_and_shapes(data):
    batch = next(iter(data.train_dataloader()))
    assert set(batch) == {"input", "target", "blend"} | PARTS | HPSS | LEVELS
    for name, value in batch.items():
        assert value.shape == ((2, 5, 1) if name in LEVELS else (2, 128, 60))
        assert value.dtype == torch.float32
    batch = next(iter(data.val_dataloader()))
    more = {"hpss_mix", "matched", "pair"}
    assert set(batch) == {"input", "target", "blend"} | PARTS | HPSS | LEVELS | more
    assert batch["matched"].dtype == torch.bool
    assert batch["pair"].dtype == torch.int64


def test_latents_are_those_of_the_files(data, root):
    batch = next(iter(data.val_dataloader()))
    assert batch["matched"].tolist() == [True, False]
    assert batch["pair"].tolist() == [0, 0]
    start = (75 - 60 + 1) // 2
    for key, row, file in (
        ("input", 0, "pair_0000_input"),
        ("target", 0, "pair_0000_output"),
        ("input", 1, "pair_0000_input"),
        ("target", 1, "pair_0001_output"),
    ):
        sound = audio.read(root / "val" / f"{file}.wav")
        wanted = encoded(sound)[:, start : start + 60]
        assert torch.equal(batch[key][row], wanted.half().float()), key


def test_the_blend_is_percussion_of_a_with_harmony_of_b(data, root):
    batch = next(iter(data.val_dataloader()))
    a = audio.read(root / "val" / "pair_0000_input.wav")
    for row, name in enumerate(("pair_0000_output", "pair_0001_output")):
        b = audio.read(root / "val" / f"{name}.wav")
        parts = blend.separate(a, "percussive"), blend.separate(b, "harmonic")
        mixed = blend.blend(*parts, blend.loudness(a), blend.loudness(b))
        start = (75 - 60 + 1) // 2
        wanted = encoded(mixed)[:, start : start + 60]
        assert (batch["blend"][row] - wanted).abs().max() < 2e-3


def test_true_stems_take_the_place_of_separation(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=2)
    drums, chords = music(1.0, 50), music(1.0, 51)
    for index in range(2):
        for name, sound in (("input_percussive", drums), ("output_harmonic", chords)):
            file = root / "stems" / "val" / f"pair_{index:04d}_{name}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, sound, 24_000, subtype="FLOAT")
    data = module_for(root, tmp_path / "cache")
    levels = [
        blend.loudness(audio.read(root / "val" / f"pair_0000_{side}.wav"))
        for side in ("input", "output")
    ]
    wanted = encoded(blend.blend(drums, chords, *levels))[:, 8:68]
    got = next(iter(data.val_dataloader()))["blend"][0]
    assert (got - wanted).abs().max() < 2e-3
    assert data.describe()["blends"] == "source separation"  # training has no stems


def test_separated_parts_are_a_baseline_whether_stems_are_known_or_not(data, stemmed, tmp_path):
    """Without stems they are the blend itself; with stems they are not, and each part is known."""
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(batch["hpss_mix"], batch["blend"])
    known = module_for(stemmed, tmp_path)
    batch = next(iter(known.val_dataloader()))
    assert not torch.equal(batch["hpss_mix"], batch["blend"])
    stem = audio.read(stemmed / "stems" / "val" / "pair_0000_input_percussive.wav")
    wanted = encoded(stem)[:, 8:68].half().float()
    assert torch.equal(batch["input_percussive"][0], wanted)


def test_parts_of_a_linear_codec_add_up_and_training_can_do_without(data, root, tmp_path):
    assert data.additive
    bare = module_for(root, tmp_path, parts=False)
    assert not bare.additive
    assert set(next(iter(bare.train_dataloader()))) == {"input", "target", "blend"}
    assert set(next(iter(bare.val_dataloader()))) >= PARTS


def test_a_fixed_mix_is_fitted_and_a_reference_set_is_drawn(data):
    """Least absolute deviations: over all training blends nearer than the sources' average."""
    gains, std = data.channel_gains(), data.statistics[1][:, None]
    assert gains.shape == (3, 128)
    found = {"fixed": [], "average": []}
    for batch in data.train_dataloader():
        a, b = batch["input"], batch["target"]
        fixed = gains[0][:, None] * a + gains[1][:, None] * b + gains[2][:, None]
        for name, piece in (("fixed", fixed), ("average", (a + b) / 2)):
            found[name].append(((piece - batch["blend"]) / std).abs().mean())
    assert sum(found["fixed"]) < 0.9 * sum(found["average"])
    assert [z.shape for z in data.reference(3)] == [(128, 60)] * 3


def test_loudness_of_channels_is_that_of_what_is_decoded(data):
    """Of a linear codec the powers of independent channels add up."""
    powers, std = data.channel_loudness(), data.statistics[1]
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(128, 750, generator=generator) * std[:, None]
    wave = data.codec.decode(noise[None])[0, 0].numpy()
    assert 10 * torch.log10(powers.sum()) == pytest.approx(blend.loudness(wave), abs=1.0)


def test_statistics_are_those_of_the_training_songs(data, root):
    songs = [encoded(audio.read(file)) for file in sorted((root / "train").glob("*.wav"))]
    every = torch.cat(songs, dim=1)
    mean, std = data.statistics
    assert mean.shape == std.shape == (128,)
    assert torch.allclose(mean, every.mean(1), atol=1e-4)
    assert torch.allclose(std, every.std(1, correction=0), rtol=1e-2, atol=1e-3)


def test_lightning_runs_it(data, tmp_path):
    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))
            self.epochs = set()

        def training_step(self, batch, _):
            return (batch["input"] * self.scale).square().mean()

        def validation_step(self, batch, _):
            assert batch["matched"].any()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(Module(), datamodule=data)
    assert trainer.global_step == 4
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    known = torch.load(tmp_path / "a.ckpt", weights_only=True)["JinglePairs"]
    assert known == {"codec": "linear", "identity": "linear-1", "seconds": 0.8}
    data.load_state_dict(known)
    with pytest.raises(InputError, match="expected the run's own codec"):
        data.load_state_dict(known | {"identity": "linear-2"})


def test_describe_is_plain_and_complete(data, root):
    facts = data.describe()
    json.dumps(facts)
    assert facts["source"] == str(root)
    assert facts["sizes"] == {"train": 4, "val": 2, "test": 2}
    assert facts["skipped"] == 0
    assert facts["codec"] == {"name": "linear", "identity": "linear-1", "meaningful": True}
    assert any("test figures are of the val split" in note for note in facts["notes"])


def test_a_codec_without_meaning_is_a_warning(root, cache):
    data = module_for(root, cache)
    data.codec.meaningful, data.codec.note = False, "random weights"
    assert data.describe()["notes"][0].startswith("WARNING decoded audio is not meaningful")


def test_values_that_make_no_sense_are_refused(root, cache):
    for bad in ({"seconds": 0}, {"partners": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="expected"):
            module_for(root, cache, **bad)
    with pytest.raises(InputError, match="4 training samples: expected one batch"):
        module_for(root, cache, batch_size=5).train_dataloader()


def test_loading_takes_no_more_memory_than_a_crop(data):
    dataset = data.train_dataloader().dataset
    assert not any(isinstance(v, np.ndarray | torch.Tensor) for v in vars(dataset).values())
    assert isinstance(data._store.get(dataset.choices[0][0].keys["input"]), np.memmap)
