"""Two processes give what one gives on the same global batch, alone and inside a sweep."""

import json
from pathlib import Path

import pytest
import torch

from tests.suite import EXPERIMENTS, command

SMOKE = ("+debug=smoke", "trainer.log_every_n_steps=1")


@pytest.mark.slow
def test_two_processes_equal_one_on_the_same_global_batch(tmp_path: Path):
    """Noise is switched off: it is drawn per rank, so that ranks differ as they should."""
    words = ("+exp=creative_agent", *SMOKE, "model.noise=0")
    two = command(*words, "strategy=cpu_ddp2", "data.batch_size=1", f"hydra.run.dir={tmp_path}/two")
    assert two.returncode == 0, two.stderr
    one = command(*words, "data.batch_size=2", f"hydra.run.dir={tmp_path}/one")
    assert one.returncode == 0, one.stderr

    weights = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-5, msg=name)


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
