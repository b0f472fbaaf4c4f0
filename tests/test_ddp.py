"""Two processes give what one gives on the same global batch, alone and inside a sweep."""

import json
from pathlib import Path

import pytest
import torch

from experiments.running.build import build
from tests.suite import EXPERIMENTS, command, configuration


def generator(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """All of the generator's weights in one row."""
    return torch.cat([v.flatten() for name, v in state.items() if name.startswith("generator")])


@pytest.mark.slow
def test_two_processes_equal_one_on_the_same_global_batch(tmp_path: Path):
    """One update is the same but for rounding, which a gate at its threshold magnifies.

    Noise is off: it is drawn per rank, so that ranks differ as they should. Plain gradient descent,
    because Adam's first step is the gradients' signs, which rounding turns round near zero.
    """
    plain = ("model.optimizer._target_=torch.optim.SGD", "model.optimizer.lr=0.05")
    words = ("+exp=smoke/creative_agent", "model.noise=0", "trainer.limit_train_batches=1", *plain)
    whole, halves = "data.batch_size=2", "data.batch_size=1"
    two = command(*words, halves, "strategy=cpu_ddp2", f"hydra.run.dir={tmp_path}/two")
    assert two.returncode == 0, two.stderr
    one = command(*words, whole, f"hydra.run.dir={tmp_path}/one")
    assert one.returncode == 0, one.stderr

    config = configuration(*words, whole, folder=tmp_path)
    before = generator(build(config)[0].state_dict())
    first, second = (
        generator(torch.load(path, weights_only=True)["state_dict"]) - before
        for path in (tmp_path / name / "checkpoints" / "last.ckpt" for name in ("one", "two"))
    )
    assert first.norm() > 0.01
    assert (second - first).norm() < 0.02 * first.norm()


@pytest.mark.slow
def test_ranks_that_validate_on_different_tasks_log_the_same(tmp_path: Path):
    """One edit, two tasks, two processes: each has edits of one task only."""
    words = ("+exp=smoke/multitrack", "data.timelines.val=1", "model.optimizer.lr=0",
             "test=false")  # fmt: skip
    found = []
    for name, strategy in (("one", "cpu"), ("two", "cpu_ddp2")):
        done = command(*words, f"strategy={strategy}", f"hydra.run.dir={tmp_path}/{name}")
        assert done.returncode == 0, done.stderr
        metrics = json.loads((tmp_path / name / "summary.json").read_text())["metrics"]
        found.append({key: value for key, value in metrics.items() if key.startswith("val/")})
    one, two = found
    assert "val/excess" in one
    assert two == pytest.approx(one)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_on_two_processes(tmp_path: Path, experiment: str):
    done = command(f"+exp=smoke/{experiment}", "strategy=cpu_ddp2", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["devices"] == "2 x cpu"
    assert any(name.startswith("test/") for name in summary["metrics"])


@pytest.mark.slow
def test_ddp_inside_a_sweep(tmp_path: Path):
    done = command(
        "-m",
        "+exp=smoke/creative_agent",
        "strategy=cpu_ddp2",
        "loss.balance=2,5",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    jobs = sorted(tmp_path.glob("*/summary.json"))
    summaries = [json.loads(job.read_text()) for job in jobs]
    assert [s["loss_weights"]["balance"] for s in summaries] == [2, 5]
    assert all(s["status"] == "completed" and s["devices"] == "2 x cpu" for s in summaries)
    assert (tmp_path / "report.html").is_file()
