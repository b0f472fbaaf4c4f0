import json

import numpy as np
import pytest
import soundfile
import torch
from lightning import LightningModule, Trainer

from experiments.shared.errors import InputError
from jingle.data import JinglePairs
from jingle.pairs import blend
from jingle.pairs.triples import draw_partners
from jingle.sound import audio
from tests.jingle.fakes import LinearCodec, make_pairs, music

PARTS = {"input_percussive", "input_harmonic", "target_percussive", "target_harmonic"}


def module_for(root, cache, *, ready=True, **options):
    sizes = {"seconds": 0.8, "batch_size": 2, "partners": 2, "cache_workers": 0, "num_workers": 0}
    options = sizes | options
    data = JinglePairs(root=str(root), cache=str(cache), **options)
    data._codec = LinearCodec()
    if ready:
        data.prepare_data()
        data.setup("fit")
    return data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def stemmed(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), train=3, stems=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(root, cache):
    return module_for(root, cache)


def encoded(sound):
    return LinearCodec().encode(torch.as_tensor(sound)[None, None])[0]


def test_batches_have_the_promised_keys_and_shapes(data):
    batch = next(iter(data.train_dataloader()))
    assert set(batch) == {"input", "target", "blend"} | PARTS
    for value in batch.values():
        assert value.shape == (2, 128, 60)
        assert value.dtype == torch.float32
    batch = next(iter(data.val_dataloader()))
    assert set(batch) == {"input", "target", "blend", "hpss_mix", "matched", "pair"} | PARTS
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


def test_everything_is_computed_once(data, root, cache):
    again = module_for(root, cache)
    assert data.codec.encoded > 0
    assert again.codec.encoded == 0
    for one, two in zip(data.val_dataloader(), again.val_dataloader(), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_workers_prepare_the_same_latents(data, root, tmp_path):
    parallel = module_for(root, tmp_path, cache_workers=2, encode_batch=3)
    for one, two in zip(data.val_dataloader(), parallel.val_dataloader(), strict=True):
        assert all(torch.allclose(one[key], two[key], atol=2e-3) for key in one)
    assert set(parallel._store.entries) == set(data._store.entries)


def test_a_corrupt_cache_is_rebuilt_and_says_so(stemmed, tmp_path, capsys):
    before = next(iter(module_for(stemmed, tmp_path).val_dataloader()))
    file = sorted(tmp_path.rglob("*.npy"))[3]
    file.write_bytes(file.read_bytes()[:-7])
    capsys.readouterr()
    again = module_for(stemmed, tmp_path)
    assert "1 arrays of" in capsys.readouterr().out
    assert again.codec.encoded == 1
    after = next(iter(again.val_dataloader()))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_changed_file_is_encoded_again(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=2, stems=True)
    module_for(root, tmp_path / "cache")
    soundfile.write(root / "val" / "pair_0001_input.wav", music(1.0, 99), 24_000)
    again = module_for(root, tmp_path / "cache")
    # the song, its two parts, and two blends, of stems and of separated parts
    assert again.codec.encoded == 7


def test_another_codec_has_its_own_cache(stemmed, tmp_path):
    first = module_for(stemmed, tmp_path)
    second = module_for(stemmed, tmp_path, ready=False)
    second.codec.identity = "linear-2"
    second.prepare_data()
    assert second.codec.encoded == first.codec.encoded > 0


def test_draws_follow_from_seed_epoch_and_index_alone(data, root, cache):
    dataset, same = data.train_dataloader().dataset, module_for(root, cache).train_dataloader()
    same = same.dataset
    assert all(torch.equal(dataset[3, 1][k], same[3, 1][k]) for k in ("input", "target", "blend"))
    drawn = {tuple(dataset[epoch, 1]["blend"][0, :3].tolist()) for epoch in range(8)}
    assert len(drawn) > 4  # partner and crop vary with the epoch
    other = module_for(root, cache, seed=1).train_dataloader().dataset
    assert not all(torch.equal(dataset[e, 1]["blend"], other[e, 1]["blend"]) for e in range(4))


def test_crops_of_the_three_are_from_the_same_place(data, root):
    dataset, frames = data.train_dataloader().dataset, 60
    whole = {
        name: encoded(audio.read(root / "train" / f"{name}.wav")).half().float()
        for name in [f"pair_{i:04d}_{side}" for i in range(4) for side in ("input", "output")]
    }
    starts = set()
    for epoch in range(6):
        item = dataset[epoch, 0]
        places = [
            (name, start)
            for key in ("input", "target")
            for name, latents in whole.items()
            for start in range(75 - frames + 1)
            if torch.equal(item[key], latents[:, start : start + frames])
        ]
        (first, start), (second, other) = places
        assert first == "pair_0000_input"
        assert second.endswith("output")
        assert second != "pair_0000_output"  # shuffled: a partner's, not its own
        assert start == other
        starts.add(start)
    assert len(starts) > 2


def test_without_shuffling_each_input_has_its_own_target(root, cache):
    data = module_for(root, cache, shuffle_targets=False)
    assert all(choice.matched for choices in data._triples["train"] for choice in choices)


@pytest.mark.parametrize(("size", "partners"), [(1, 2), (2, 3), (5, 2), (40, 4)])
def test_partners_are_others_and_differ(size, partners):
    drawn = draw_partners(size, partners, 0)
    for index, others in enumerate(drawn):
        if size == 1:
            assert others == [0]
            continue
        assert index not in others
        assert len(set(others)) == len(others) == min(partners, size - 1)
        assert set(others) <= set(range(size))
    assert drawn == draw_partners(size, partners, 0)
    if size == 40:
        assert drawn != draw_partners(size, partners, 1)


def test_statistics_are_those_of_the_training_songs(data, root):
    songs = [encoded(audio.read(file)) for file in sorted((root / "train").glob("*.wav"))]
    every = torch.cat(songs, dim=1)
    mean, std = data.statistics
    assert mean.shape == std.shape == (128,)
    assert torch.allclose(mean, every.mean(1), atol=1e-4)
    assert torch.allclose(std, every.std(1, correction=0), rtol=1e-2, atol=1e-3)


def test_a_training_epoch_sees_each_input_once_on_two_ranks(data):
    from experiments.shared.sampling import EpochSampler

    seen = [
        index
        for rank in range(2)
        for _, index in EpochSampler(4, shuffle=True, seed=0, num_replicas=2, rank=rank)
    ]
    assert sorted(seen) == list(range(4))


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


def test_rates_channels_and_formats_may_differ(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=3, val=1, test=1, stems=True)
    stereo = np.stack([music(1.0, 7, 44_100)] * 2, 1)
    soundfile.write(root / "train" / "pair_0000_input.wav", stereo, 44_100)
    (root / "train" / "pair_0001_input.wav").unlink()
    soundfile.write(root / "train" / "pair_0001_input.flac", music(1.2, 8, 48_000), 48_000)
    (root / "train" / "pair_0001_output.wav").unlink()
    soundfile.write(root / "train" / "pair_0001_output.ogg", music(1.5, 9, 22_050), 22_050)
    soundfile.write(root / "train" / "pair_0002_output.wav", music(1.0, 7), 24_000, "PCM_U8")
    data = module_for(root, tmp_path / "cache")
    assert data.describe()["sizes"] == {"train": 3, "val": 1, "test": 1}
    assert data.describe()["skipped"] == 0
    for batch in data.train_dataloader():
        assert all(torch.isfinite(value).all() for value in batch.values())


def test_silence_gives_no_nan(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=2)
    for file in (root / "train").glob("*.wav"):
        soundfile.write(file, np.zeros(24_000, np.float32), 24_000)
    data = module_for(root, tmp_path / "cache")
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert all(torch.isfinite(value).all() for value in batch.values())
    assert all(torch.isfinite(value).all() for value in data.statistics)
    assert (data.statistics[1] > 0).all()


def spoil(root, kind):
    """Spoil the first training pair; the words that the message must hold."""
    file = root / "train" / "pair_0000_input.wav"
    sound = music(1.0, 0)
    if kind == "missing":
        file.unlink()
        return "pair_0000_input is missing"
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:9_999])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "read as audio":
        file.write_bytes(b"text" * 999)
    elif kind == "NaN":
        sound[5] = np.nan
        soundfile.write(file, sound, 24_000, subtype="FLOAT")
    elif kind == "lasts 0.50 s, expected at least the crop of 0.8 s":
        soundfile.write(file, sound[:12_000], 24_000)
    return kind


KINDS = (
    "missing",
    "truncated",
    "empty",
    "read as audio",
    "NaN",
    "lasts 0.50 s, expected at least the crop of 0.8 s",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_pair_among_good_ones_is_skipped_and_counted(tmp_path, capsys, kind):
    root = make_pairs(tmp_path / "pairs", train=3, val=1, stems=True)
    words = spoil(root, kind)
    data = module_for(root, tmp_path / "cache")
    facts = data.describe()
    assert facts["sizes"]["train"] == 2
    assert facts["skipped"] == 1
    note = next(note for note in facts["notes"] if "skipped" in note)
    assert note.startswith("WARNING train/pair_0000 skipped")
    assert words in note
    assert words in capsys.readouterr().out
    for batch in data.train_dataloader():
        assert all(torch.isfinite(value).all() for value in batch.values())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_bad_pairs_is_an_error(tmp_path, kind):
    root = make_pairs(tmp_path / "pairs", train=1, val=1, stems=True)
    words = spoil(root, kind)
    with pytest.raises(InputError, match="no usable pair") as caught:
        module_for(root, tmp_path / "cache")
    assert words in str(caught.value)


def test_inputs_without_drums_are_said(tmp_path):
    """A tone has no drums: what separation leaves of it would be raised to full loudness."""
    root = make_pairs(tmp_path / "pairs", train=3, val=2, seconds=2.0)
    time = np.arange(48_000) / 24_000
    for index in range(2):
        tone = 0.3 * np.sin(2 * np.pi * (220 + 50 * index) * time)
        soundfile.write(root / "train" / f"pair_000{index}_input.wav", tone, 24_000)
    for _ in range(2):  # the second time from the cache
        notes = module_for(root, tmp_path / "cache").describe()["notes"]
        found = [note for note in notes if "no drums to keep" in note]
        assert len(found) == 1
        assert "blends of train" in found[0]
        assert "pair_0000" in found[0]
        assert "pair_0002 blend" not in found[0]


def test_a_recording_in_two_splits_is_said_with_both_names(tmp_path, capsys):
    root = make_pairs(tmp_path / "pairs", train=3, val=2, test=1, stems=True)
    assert not any("same" in n for n in module_for(root, tmp_path / "c").describe()["notes"])
    heard = root / "train" / "pair_0002_output.wav"
    copies = [root / "val" / "pair_0001_input.flac", root / "test" / "pair_0000_output.wav"]
    for copy in copies:
        copy.with_suffix(".wav").unlink()
        soundfile.write(copy, *soundfile.read(heard))
    notes = [n for n in module_for(root, tmp_path / "c").describe()["notes"] if "same" in n]
    assert [note.startswith("WARNING 1 of ") for note in notes] == [True] * 3
    assert f"{copies[0]} is {heard}" in notes[0]
    assert f"{copies[1]} is {heard}" in notes[1]
    assert f"{copies[1]} is {copies[0]}" in notes[2]
    assert notes[0] in capsys.readouterr().out


def test_val_in_place_of_a_missing_test_is_no_copy(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=1, stems=True)
    assert not any("same" in n for n in module_for(root, tmp_path / "c").describe()["notes"])


def test_a_mended_file_is_seen(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=1, stems=True)
    spoil(root, "empty")
    assert module_for(root, tmp_path / "c", batch_size=1).describe()["sizes"]["train"] == 1
    soundfile.write(root / "train" / "pair_0000_input.wav", music(1.0, 0), 24_000)
    assert module_for(root, tmp_path / "c", batch_size=1).describe()["sizes"]["train"] == 2


def test_a_missing_or_empty_root_says_what_it_should_hold(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        module_for(tmp_path / "nowhere", tmp_path / "cache")
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match="no folder train/"):
        module_for(tmp_path / "root", tmp_path / "cache")
    (tmp_path / "root" / "train").mkdir()
    with pytest.raises(InputError, match="no folder val/"):
        module_for(tmp_path / "root", tmp_path / "cache")
    (tmp_path / "root" / "val").mkdir()
    with pytest.raises(InputError, match="no file named like a pair"):
        module_for(tmp_path / "root", tmp_path / "cache")


def test_a_file_in_place_of_the_cache_is_said(root, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match=r"paths\.data"):
        module_for(root, tmp_path / "cache")


def test_a_full_disk_while_caching_is_said_and_the_rest_is_kept(stemmed, tmp_path, monkeypatch):
    real, calls = np.save, []

    def save(stream, array):
        calls.append(0)
        if len(calls) > 5:
            stream.write(b"half")
            raise OSError(28, "No space left on device")
        real(stream, array)

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(InputError, match="No space left on device"):
        module_for(stemmed, tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 5
    monkeypatch.setattr(np, "save", real)
    total = len({*module_for(stemmed, tmp_path)._store.entries})
    assert total == len(list(tmp_path.rglob("*.npy"))) > 5


def test_values_that_make_no_sense_are_refused(root, cache):
    for bad in ({"seconds": 0}, {"partners": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="expected"):
            module_for(root, cache, **bad)
    with pytest.raises(InputError, match="at most the 4 training pairs"):
        module_for(root, cache, batch_size=5).train_dataloader()


def test_loading_takes_no_more_memory_than_a_crop(data):
    dataset = data.train_dataloader().dataset
    assert not any(isinstance(v, np.ndarray | torch.Tensor) for v in vars(dataset).values())
    assert isinstance(data._store.get(dataset.choices[0][0].keys["input"]), np.memmap)
