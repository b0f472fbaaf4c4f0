"""The bench times real training steps of the configured module, and says what each part takes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from experiments import bench
from experiments.measuring import table
from experiments.measuring.flops import Flops
from experiments.measuring.measure import QUIET, measure, quantiles
from experiments.measuring.stopwatch import Stopwatch
from experiments.shared.errors import InputError

WIDTH, BATCH, LOAD_S, STEP_S = 64, 4, 0.02, 0.03


class Sleepy(torch.utils.data.Dataset):
    """Rows that take LOAD_S a batch to fetch."""

    def __len__(self):
        return 10 * BATCH

    def __getitem__(self, index):
        time.sleep(LOAD_S / BATCH)
        return torch.ones(WIDTH)


class Data(LightningDataModule):
    batch_size = BATCH
    unit_per_sample = ("seconds", 2.5)

    def train_dataloader(self):
        return DataLoader(Sleepy(), batch_size=BATCH)

    def val_dataloader(self):
        return DataLoader(Sleepy(), batch_size=BATCH)


class Net(LightningModule):
    """One linear layer whose training step also waits STEP_S; counts its real updates."""

    def __init__(self, manual: bool = False):
        super().__init__()
        self.automatic_optimization = not manual
        self.net, self.updates = torch.nn.Linear(WIDTH, WIDTH, bias=False), 0

    def training_step(self, batch, batch_idx):
        time.sleep(STEP_S)
        loss = self.net(batch).square().mean()
        self.log("train/total", loss, batch_size=BATCH)
        if self.automatic_optimization:
            return loss
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.optimizer.step()  # as a GAN's second optimizer, past Lightning's counting
        return None

    def validation_step(self, batch, batch_idx):
        raise AssertionError("the bench must not validate")

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        optimizer.register_step_post_hook(lambda *_: setattr(self, "updates", self.updates + 1))
        return optimizer


def config(**module):
    here = f"{__name__}."
    return OmegaConf.create(
        {
            "name": "toy",
            "seed": 1,
            "threads": None,
            "model": {"_target_": here + "Net", **module},
            "data": {"_target_": here + "Data"},
            "callbacks": {
                "noise": {"_target_": "experiments.callbacks.noise.StepNoise", "seed": 1}
            },
            "trainer": {
                "_target_": "lightning.pytorch.Trainer",
                "accelerator": "cpu",
                "precision": "32-true",
                "max_epochs": 1,
                "log_every_n_steps": 1,
                "default_root_dir": "${hydra:runtime.output_dir}",
            },
        }
    )


@pytest.fixture(scope="module", params=[False, True], ids=["automatic", "manual"])
def measured(request):
    torch_threads = torch.get_num_threads()
    result = measure(config(manual=request.param), steps=12, warmup=2, threads=1)
    torch.set_num_threads(torch_threads)
    return result


def test_step_time_holds_loading_and_computing(measured):
    assert measured["steps"] == 12
    assert LOAD_S + STEP_S <= measured["step_s"]["median"] < 4 * (LOAD_S + STEP_S)
    assert measured["samples_per_s"] == pytest.approx(BATCH / measured["step_s"]["median"])
    assert measured["units_per_s"] == pytest.approx(2.5 * measured["samples_per_s"])
    assert measured["unit"] == "seconds"
    assert measured["cpu_s"] < STEP_S  # it sleeps


def test_share_of_loading(measured):
    assert 0.25 < measured["data_share"] < 0.6  # 20 of 50 ms


def test_parts_of_a_step(measured):
    parts = measured["parts"]
    assert set(parts) == {
        "waiting for data",
        "backward",
        "optimizer",
        "forward and the rest",
    }
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1)
    assert parts["forward and the rest"]["seconds"] >= STEP_S
    assert parts["backward"]["seconds"] < STEP_S
    assert parts["optimizer"]["seconds"] < STEP_S


def test_flops_are_those_of_forward_and_weight_gradient(measured):
    # The input needs no gradient: two products of 2 * batch * width^2.
    assert measured["flops_per_step"] == 2 * 2 * BATCH * WIDTH**2
    rate = measured["rate"]
    assert rate["reached"] == pytest.approx(measured["flops_per_step"] / measured["cpu_s"])
    assert rate["share"] == pytest.approx(
        rate["reached"] / max(rate["matmul"], rate["convolution"])
    )


def test_parameters_and_memory(measured):
    assert measured["parameters"] == {"total": 4096, "trainable": 4096, "net": 4096}
    assert measured["peak_rss_mb"] > 50
    assert measured["peak_gpu_mb"] is None


def test_the_table_and_json_hold_the_result(measured, capsys):
    shown = dict(table.rows(measured))
    assert shown["parameters, total"] == "4,096"
    assert shown["seconds/s"]
    bench.save(measured, "-")
    assert json.loads(capsys.readouterr().out) == measured


def test_every_timed_step_is_a_real_update():
    module, watch = Net(), Stopwatch(steps=5, warmup=2)
    options = {**QUIET, "callbacks": [watch], "accelerator": "cpu"}
    Trainer(**options).fit(module, datamodule=Data())
    assert len(watch.result.steps) == 5
    assert watch.phase == "finished"
    assert module.updates == watch.done == 2 + 5 + watch.apart + 1


def test_flops_of_attention_convolution_and_inner_gradients():
    a = torch.randn(2, 3, 8, 4, requires_grad=True)  # batch, heads, length, width
    with Flops() as flops:
        torch.nn.functional.scaled_dot_product_attention(a, a, a)
    assert flops.total == 2 * (2 * 2 * 3 * 8 * 8 * 4)
    with Flops() as flops:
        torch.nn.Conv1d(3, 5, 7, bias=False)(torch.randn(2, 3, 16))
    assert flops.total == 2 * (2 * 5 * 10) * 3 * 7
    weight = torch.randn(4, 4, requires_grad=True)
    with Flops() as flops:
        (weight @ weight).sum().backward(inputs=[weight])
        torch.autograd.grad((weight @ weight).sum(), weight)
    assert flops.total == 2 * 3 * 2 * 4**3


def test_an_uncountable_operation_costs_only_the_count(monkeypatch):
    class Uncountable(Net):
        def training_step(self, batch, batch_idx):
            if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
                raise NotImplementedError("cannot be counted")
            return super().training_step(batch, batch_idx)

    monkeypatch.setattr(sys.modules[__name__], "Net", Uncountable)
    result = measure(config(), steps=2, warmup=0, threads=1)
    assert result["flops_per_step"] is None
    assert "cannot be counted" in dict(table.rows(result))["FLOPs"]
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None


def test_a_fault_of_the_module_is_not_hidden(monkeypatch):
    class Broken(Net):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken step")

    monkeypatch.setattr(sys.modules[__name__], "Net", Broken)
    with pytest.raises(RuntimeError, match="broken step"):
        measure(config(), steps=2, warmup=0, threads=1)


def test_json_alone_goes_to_stdout(monkeypatch, measured, capsys):
    monkeypatch.setattr("experiments.measuring.measure.measure", lambda *a, **k: measured)
    bench.main(["+exp=demo/multitrack", "bench.json=-"])
    assert json.loads(capsys.readouterr().out) == measured


def test_own_settings_are_split_from_the_configurations():
    settings, rest = bench.split(["+exp=x", "bench.steps=5", "+bench.json=out.json", "data.a=1"])
    assert (settings.steps, settings.warmup, settings.json) == (5, 3, "out.json")
    assert rest == ["+exp=x", "data.a=1"]


@pytest.mark.parametrize("argument", ["bench.steps=0", "bench.warmup=-1", "bench.threads=0"])
def test_senseless_settings_are_refused(argument):
    with pytest.raises(InputError, match="expected at least"):
        bench.split([argument])


def test_quantiles_interpolate():
    found = quantiles([4.0, 1.0, 2.0, 3.0])
    assert (found["least"], found["median"], found["greatest"]) == (1.0, 2.5, 4.0)
    assert found["q10"] == pytest.approx(1.3)


def test_all_means_every_experiment_once_at_its_smallest():
    names = bench.experiments()
    assert "demo/creative_agent" in names
    assert len({name.split("/")[-1] for name in names}) == len(names)


@pytest.mark.parametrize(
    ("argument", "said"),
    [("+exp=nonsense", "nonsense"), ("bench.stepz=3", "stepz"), ("bench.steps=many", "many")],
)
def test_the_command_names_what_is_wrong(argument, said, capsys):
    exp = [] if argument.startswith("+exp") else ["+exp=creative_agent"]
    with pytest.raises(SystemExit) as stopped:
        bench.entry([*exp, argument])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith("error: ")
    assert said in error
    assert "Traceback" not in error


def test_without_a_name_each_is_measured_apart_and_a_failure_does_not_end_the_rest(
    measured, monkeypatch, capsys
):
    asked = []

    def run(command, stdout=None):
        asked.append(command)
        options = dict(word.lstrip("+").split("=", 1) for word in command if "=" in word)
        if options["exp"] == "bad":
            return subprocess.CompletedProcess(command, 2)
        Path(options["bench.json"]).write_text(json.dumps(measured))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bench, "experiments", lambda: ["demo/one", "bad", "demo/two"])
    monkeypatch.setattr(bench.subprocess, "run", run)
    with pytest.raises(InputError, match="not every experiment"):
        bench.main(["bench.steps=7", "data.a=1"])
    out, err = capsys.readouterr()
    assert "bad failed (exit status 2)" in err
    assert [line.split()[1] for line in out.splitlines() if "demo/" in line] == [
        "demo/one",
        "demo/two",
    ]
    assert all("data.a=1" in command and "bench.steps=7" in command for command in asked)


@pytest.mark.slow
def test_the_smoke_experiment_is_measured_with_its_overrides(tmp_path):
    result = tmp_path / "result.json"
    overrides = [
        *("+exp=smoke/creative_agent", "data.batch_size=1", f"paths.data={tmp_path}"),
        *("bench.steps=3", "bench.warmup=1", f"bench.json={result}"),
    ]
    command = [sys.executable, "-m", "experiments.bench", *overrides]
    environment = os.environ | {"SUITE_OUTPUTS": str(tmp_path / "outputs")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert found["steps"] == 3
    assert found["flops_per_step"] > 1e6
    assert found["parameters"]["total"] > 1000
    assert not (tmp_path / "outputs").exists()
