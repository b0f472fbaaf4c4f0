"""Run folders as `experiments.run` leaves them, for the tests of the report."""

import json

from omegaconf import OmegaConf
from torch.utils.tensorboard import SummaryWriter

STEPS_PER_EPOCH = 10


def write_events(folder, first, last, *, slope=0.001, validate=True):
    """Steps first..last-1 of terms a and b; one validation an epoch."""
    board = SummaryWriter(str(folder / "tb"))
    for step in range(first, last):
        for term, value in (("a", 1 - slope * step), ("b", 0.5), ("total", 2 - slope * step)):
            board.add_scalar(f"train/{term}", value, step)
        board.add_scalar("share/a", 0.75, step)
        board.add_scalar("share/b", 0.25, step)
        board.add_scalar("epoch", step // STEPS_PER_EPOCH, step)
        if validate and (step + 1) % STEPS_PER_EPOCH == 0:
            board.add_scalar("val/error", 1 - slope * step, step)
            board.add_scalar("val/complementarity", 0.75 + slope * step, step)
            board.add_scalar("lr/0", 1e-3, step)
            board.add_scalar("grad/norm_max", 3.0, step)
    board.close()


def make_run(
    folder, *, name="creative_agent_demo", weight=5, best=0.25, status="completed", **more
):
    """A folder as experiments.run leaves it; status None: killed, without a summary."""
    config = {
        "name": name,
        "published_as": None,
        "seed": 7,
        "objective": {"name": "val/error", "mode": "min"},
        "targets": {
            "test/complementarity": ">= 0.8",
            "test/error": "<= 0.2",
            "test/mean": "0.4..0.6",
        },
        "loss": {"a": 1.0, "b": float(weight)},
        "data": {"seed": "${seed}", "folder": "${hydra:runtime.output_dir}"},
    }
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")
    OmegaConf.save(["+exp=demo/x", f"loss.b={weight}"], folder / ".hydra" / "overrides.yaml")
    write_events(folder, 0, 4 * STEPS_PER_EPOCH)
    if status is None:
        return folder
    summary = {
        "name": name,
        "status": status,
        "error": "the gradient norm is nan" if status == "diverged" else None,
        "objective": {
            "name": "val/error",
            "mode": "min",
            "best": best,
            "best_step": 29,
            "last": best,
        },
        "metrics": {"test/complementarity": 0.81, "test/error": 0.25},
        "baselines": {"persistence": {"error": 0.625, "complementarity": 0.75}},
        "loss_weights": config["loss"],
        "parameters": {"total": 1234567, "trainable": 1234000, "gate": 567},
        "data": {
            "source": "embedded",
            "hash": "c0ffee",
            "notes": ["WARNING: codec untrained", "n1"],
        },
        "throughput": {"samples_per_s": 40.0, "step_s_median": 0.4, "peak_rss_mb": 3000.0},
        "duration_s": 61.0,
        "steps": 40,
        "epochs": 4,
        "versions": {"torch": "2.11.0"},
        "command": "python -m experiments.run +exp=demo/x",
    }
    (folder / "summary.json").write_text(json.dumps(summary | more))
    return folder


def row(markdown, name):
    """The cells of the table row that begins with `name`."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]
