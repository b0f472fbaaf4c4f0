"""The module and the data: identity is learnt, stopping restores, persistence scores itself."""

import functools
import json

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from experiments.shared.schedules import warmup_cosine
from multitrack import losses, scoring
from multitrack.answer.decode import latched, stitch
from multitrack.data import MultitrackData
from multitrack.examples import tasks
from multitrack.examples.tasks import Task
from multitrack.examples.windows import Windows, edit_batch
from multitrack.module import Multitrack
from multitrack.networks.additive import early_cosine

SIZES = {"width": 32, "layers": 1, "heads": 2, "feedforward": 32, "cell": 16}
WEIGHTS = dict.fromkeys(losses.TERMS + losses.CUTS, 1.0)


def module(**settings) -> Multitrack:
    published = settings.get("terms") == "published"
    return Multitrack(
        {name: WEIGHTS[name] for name in losses.TERMS} if published else WEIGHTS,
        **{"sizes": SIZES, **settings},
        optimizer=functools.partial(torch.optim.AdamW, lr=1e-3),
        schedule=functools.partial(warmup_cosine, warmup=2),
    )


def data(folder, cache, **settings) -> MultitrackData:
    return MultitrackData(str(folder), str(cache), batch_size=4, **settings)


def trainer(tmp_path, **settings) -> pl.Trainer:
    return pl.Trainer(
        **{"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
           "enable_model_summary": False, "default_root_dir": tmp_path,
           "enable_checkpointing": False, **settings})  # fmt: skip


@pytest.fixture(scope="module")
def ready(small_corpus, tmp_path_factory) -> MultitrackData:
    made = data(small_corpus, tmp_path_factory.mktemp("cache"))
    made.setup()
    return made


def test_an_untrained_model_scores_exactly_persistence(ready, tmp_path):
    model = module()
    fit = trainer(tmp_path)
    fit.validate(model, datamodule=ready, verbose=False)
    found = {k: float(v) for k, v in fit.callback_metrics.items()}
    assert found["val/excess"] == 1
    for name in ("active_f1", "iou", "scale_mae", "position_mae", "crop_mae", "boundary_f1_2"):
        assert found[f"val/{name}"] == np.float32(model.baselines["persistence"][name])
    assert set(model.figures()) >= {"lanes", "canvas", "tracks"}


def test_one_epoch_trains_tests_and_names_every_metric_twice(ready, tmp_path):
    model = module()
    fit = trainer(tmp_path)
    fit.fit(model, datamodule=ready)
    for name in losses.TERMS:
        assert torch.isfinite(fit.callback_metrics[f"train/{name}"])
        assert torch.isfinite(fit.callback_metrics[f"train/published_{name}"])
    val = {k.removeprefix("val/") for k in fit.callback_metrics if k.startswith("val/")}
    fit.test(model, datamodule=ready, verbose=False)
    test = {k.removeprefix("test/") for k in fit.callback_metrics if k.startswith("test/")}
    assert val <= test
    assert {"identity/position_mae", "generate/active_f1", "infill/iou"} <= test
    assert "heldout/active_f1" in test
    assert model.baselines["reference"]["active_f1"] > model.baselines["persistence"]["active_f1"]


@pytest.mark.slow
def test_identity_reaches_its_bar_within_300_steps_from_random_outputs(ready):
    """Even if the decoder starts with random weights: position < 1 px, activity errors < 0.1 %."""
    torch.manual_seed(0)
    model = module(sizes={**SIZES, "width": 64, "cell": 32}, dropout=0.0)
    model.units = {"active": 0.06, "asset": 0.3, "scale": 8.0, "position": 0.02, "crop": 1.2}
    torch.nn.init.normal_(model.network.head.weight, std=0.05)
    model.setup_statistics(*ready.columns, ready.typical)
    windows = Windows(
        ready.edits["train"], window=100, overlap=20, seed=0, augmented=False, task="identity"
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = warmup_cosine(optimizer, warmup=10, total=300)
    rng = np.random.default_rng(0)

    def errors() -> tuple[float, float]:
        wrong, far = [], []
        with torch.no_grad():
            for edit in ready.edits["test"]:
                batch = edit_batch(edit, Task("identity"), 100)
                said, _ = stitch(model(batch), batch["keep"])
                true = batch["target"][batch["keep"]]
                on = true[..., 0] > 0
                wrong.append(float((said[..., 0] != true[..., 0]).float().mean()))
                pixels = (said - true).abs()[..., 3:5] * torch.tensor(edit.canvas)
                far.append(float(pixels[on].mean()))
        return float(np.mean(wrong)), float(np.mean(far))

    assert errors()[1] > 1
    for _step in range(300):
        picked = [windows[(0, int(i))] for i in rng.integers(len(windows), size=4)]
        batch = {key: torch.stack([p[key] for p in picked]) for key in picked[0]}
        terms = model._terms(model(batch), batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        schedule.step()
    wrong, far = errors()
    assert wrong < 0.001
    assert far < 1


def test_early_stopping_ends_at_the_best_epoch_plus_ten_and_the_best_is_restored(tmp_path):
    """With the callbacks as conf/exp/multitrack.yaml and conf/callbacks set them up."""
    script = [5.0, 4.0, 3.0, 2.5, *[2.6 + 0.01 * i for i in range(40)]]

    class Scripted(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Linear(2, 1)
            self.seen = []

        def training_step(self, batch, _):
            return self.weight(batch).square().mean()

        def validation_step(self, batch, _):
            self.seen.append(self.weight.weight.detach().clone())
            self.log("val/excess", script[self.current_epoch], batch_size=4)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def train_dataloader(self):
            return torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=4)

        val_dataloader = train_dataloader

    best = pl.callbacks.ModelCheckpoint(
        tmp_path, filename="best", monitor="val/excess", mode="min", auto_insert_metric_name=False
    )
    stop = pl.callbacks.EarlyStopping("val/excess", mode="min", patience=10)
    model = Scripted()
    fit = trainer(tmp_path, max_epochs=50, callbacks=[best, stop], enable_checkpointing=True,
                  num_sanity_val_steps=0)  # fmt: skip
    fit.fit(model)
    assert fit.current_epoch - 1 == 3 + 10  # epochs are counted from 0; the best is epoch 3
    kept = torch.load(best.best_model_path, weights_only=True)["state_dict"]["weight.weight"]
    assert torch.equal(kept, model.seen[3])
    assert not torch.equal(kept, model.weight.weight)


def test_every_frame_of_an_edit_is_kept_exactly_once(ready):
    for edit in ready.edits["test"]:
        for task in (Task("forecast", 10), Task("infill")):
            batch = edit_batch(edit, task, 100)
            assert int(batch["keep"].sum()) == len(edit.values)
            np.testing.assert_array_equal(batch["target"][batch["keep"]], edit.values)


def test_examples_depend_on_seed_epoch_and_index_alone(ready):
    windows = [
        Windows(ready.edits["train"], window=100, overlap=20, seed=3, augmented=True, task="mixed")
        for _ in range(2)
    ]
    for key in ((0, 1), (5, 2)):
        one, two = (w[key] for w in windows)
        for name in one:
            assert torch.equal(one[name], two[name])
    assert any(not torch.equal(windows[0][(0, 1)][name], windows[0][(1, 1)][name]) for name in one)


def test_all_tasks_are_drawn():
    rng = np.random.default_rng(0)
    drawn = [tasks.draw(rng, True) for _ in range(500)]
    assert {task.kind for task in drawn} == {"forecast", "infill", "generate", "identity"}
    assert {10, 1, 5, 30} <= {task.horizon for task in drawn}
    assert not any(tasks.draw(rng, False).driven for _ in range(200))


def test_a_folder_without_manifest_is_split_by_file_and_broken_files_are_skipped(
    small_corpus, tmp_path, capsys
):
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in small_corpus.rglob("*.xml"):
        (folder / file.name.replace("_", f"_{file.parent.name}_")).write_bytes(file.read_bytes())
    (folder / "broken.xml").write_text("<xmeml")
    made = data(folder, tmp_path / "cache")
    made.setup()
    told = made.describe()
    assert told["skipped"] == 1
    assert told["notes"][0].startswith("WARNING 1 XML")
    assert told["sizes"]["train"] + told["sizes"]["val"] + told["sizes"]["test"] == 7
    assert "broken.xml" in capsys.readouterr().out


def test_faults_of_configuration_and_data_have_messages(tmp_path, small_corpus):
    with pytest.raises(InputError, match="folder of XML"):
        data(tmp_path / "none", tmp_path / "cache").setup()
    with pytest.raises(InputError, match="got none"):
        data(tmp_path, tmp_path / "cache").setup()
    with pytest.raises(InputError, match="window"):
        data(small_corpus, tmp_path, window=10)
    with pytest.raises(InputError, match="loss"):
        Multitrack({**WEIGHTS, "extra": 1.0})
    for wrong in ({"decoder": "x"}, {"terms": "x"}, {"preset": "x"}):
        with pytest.raises(InputError, match="expected"):
            Multitrack(WEIGHTS, **wrong)
    folder = tmp_path / "listed"
    folder.mkdir()
    for file in list((small_corpus / "train").glob("*.xml")):
        (folder / file.name).write_bytes(file.read_bytes())
    for manifest in ("{}", "[", json.dumps({"files": {}})):
        (folder / "manifest.json").write_text(manifest)
        with pytest.raises(InputError, match="manifest"):
            data(folder, tmp_path / "cache").setup()


def test_a_track_changes_only_where_it_is_sure():
    sure = torch.tensor([0.51, 0.47, 0.39, 0.47, 0.46, 0.56, 0.41, 0.52, 0.3])[:, None]
    assert latched(sure)[:, 0].tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 0]
    assert torch.equal(latched(sure[:5]), latched(sure)[:5])


def test_excess_is_1_for_persistence_and_0_for_the_truth():
    persistence = {"active_f1": 0.7, "boundary_f1_2": 0.0, "scale_mae": 4.0, "position_mae": 9.0,
                   "crop_mae": 0.3, "iou": 0.8}  # fmt: skip
    truth = {
        key: 1.0 if key in ("active_f1", "boundary_f1_2", "iou") else 0.0 for key in persistence
    }
    assert scoring.excess(persistence, persistence) == 1
    assert scoring.excess(truth, persistence) == 0


def test_the_published_rate_falls_by_epochs_and_rises_again_at_the_end():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule = early_cosine(optimizer, warmup=0, total=500, epochs=50, floor=0.01)
    rates = []
    for _step in range(501):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:10] == [1e-4] * 10
    assert rates[450] == pytest.approx(1e-6)
    assert rates[500] == pytest.approx(3.99e-6, rel=2e-3)  # as the published report states
    assert min(rates) == rates[450]


def test_the_published_task_holds_its_answer_and_its_wiring_cannot_say_it(small_corpus, tmp_path):
    """Copying scores 0.0 on all five published terms; no g(frame) + c(track) fits two tracks."""
    ready = data(small_corpus, tmp_path / "cache", task="identity")
    model = module(decoder="additive", terms="published", sizes={"width": 32, "heads": 2})
    fit = trainer(tmp_path, limit_train_batches=2)
    fit.fit(model, datamodule=ready)
    copied = model.baselines["persistence"]
    assert copied["published_total"] < 0.02
    assert copied["published_total"] < model.baselines["previous"]["published_total"]
    for name in ("total", *losses.TERMS):
        floor = model.baselines["additive_optimum"][f"published_{name}"]
        assert 0 < floor < float(fit.callback_metrics[f"val/published_{name}"])
    assert torch.equal(model.network.mean, model.column_mean)
    total = sum(float(fit.callback_metrics[f"val/published_{t}"]) for t in losses.TERMS)
    assert total == pytest.approx(float(fit.callback_metrics["val/published_total"]), rel=1e-4)
