"""Two processes give what one gives on the same global batch, alone and inside a sweep."""

import json
from pathlib import Path

import pytest
import torch

from tests.suite import EXPERIMENTS, command

SMOKE = ("+debug=smoke", "trainer.log_every_n_steps=1")


@pytest.mark.slow
def test_two_processes_equal_one_on_the_same_global_batch(tmp_path: Path):
    """Noise is switched off: it is drawn per rank, so that ranks differ as they should.

    With plain gradient descent for the generator: Adam's first steps are the gradients' signs, which
    rounding turns round wherever a gradient is nearly zero.
    """
    plain = ("model.optimizer._target_=torch.optim.SGD", "model.optimizer.lr=0.05")
    words = ("+exp=creative_agent", *SMOKE, "model.noise=0", *plain)
    halves = ("strategy=cpu_ddp2", "smoke.data.batch_size=1")
    two = command(*words, *halves, f"hydra.run.dir={tmp_path}/two")
    assert two.returncode == 0, two.stderr
    one = command(*words, "smoke.data.batch_size=2", f"hydra.run.dir={tmp_path}/one")
    assert one.returncode == 0, one.stderr

    weights = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    for name, value in weights[0].items():
        if name.startswith("adversary"):
            continue
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_on_two_processes(tmp_path: Path, experiment: str):
    done = command(f"+exp={experiment}", *SMOKE, "strategy=cpu_ddp2", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["devices"] == "2 x cpu"
    assert any(name.startswith("test/") for name in summary["metrics"])


@pytest.mark.slow
def test_ddp_inside_a_sweep(tmp_path: Path):
    done = command(
        "-m",
        "+exp=creative_agent",
        *SMOKE,
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
