"""python -m experiments.bench [+exp=NAME] [overrides]: what a training step costs here.

The bench's own settings are overrides too: bench.steps, bench.warmup, bench.threads, bench.json.
Without +exp every experiment is measured in turn, each in a process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from experiments.explain import explain
from experiments.measuring import table
from experiments.run import CONF, build, settle
from experiments.shared.errors import InputError

# What a measurement needs no part of: everything that saves, validates, draws or stops.
QUIET = {
    "logger": False,
    "max_epochs": -1,
    "max_steps": -1,
    "limit_val_batches": 0,
    "num_sanity_val_steps": 0,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@dataclass
class Settings:
    """Timed steps, steps before them, CPU threads, and a file for the result (`-`: stdout)."""

    steps: int = 20
    warmup: int = 3
    threads: int = 1
    json: str | None = None

    def check(self) -> None:
        for name, least in (("steps", 1), ("warmup", 0), ("threads", 1)):
            if getattr(self, name) < least:
                raise InputError(f"bench.{name}={getattr(self, name)}: expected at least {least}")


def split(arguments: list[str]) -> tuple[Settings, list[str]]:
    """The bench's own settings, and what is left for the configuration."""
    own = [
        a.lstrip("+").removeprefix("bench.")
        for a in arguments
        if a.lstrip("+").startswith("bench.")
    ]
    rest = [a for a in arguments if not a.lstrip("+").startswith("bench.")]
    settings = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(own))
    )
    settings.check()
    return settings, rest


def composed(overrides: list[str]) -> DictConfig:
    """The configuration that experiments.run would have for the same overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return settle(compose("run", overrides=overrides), Path(os.devnull))


def measure(config: DictConfig, settings: Settings) -> dict:
    """Train for some steps and return what they cost."""
    import torch

    from experiments.finish import parameters
    from experiments.measuring.device import device_name, matmul_rate
    from experiments.measuring.stopwatch import Stopwatch

    torch.set_num_threads(settings.threads)
    module, datamodule = build(config)
    watch = Stopwatch(settings.steps, settings.warmup)
    callbacks = [watch, instantiate(config.callbacks.noise, _convert_="all")]
    with tempfile.TemporaryDirectory() as folder:
        options = {**QUIET, "callbacks": callbacks, "default_root_dir": folder}
        trainer = instantiate(config.trainer, **options, _convert_="all")
        note = ""
        try:
            trainer.fit(module, datamodule=datamodule)
        except Exception as error:
            # The counter knows not every operation; the times before it are good all the same.
            if watch.phase != "flops" or watch.counter is None:
                raise
            watch.counter.__exit__(None, None, None)
            note = f"{type(error).__name__}: {error}"
    times, device = watch.result, trainer.strategy.root_device
    dtype = torch.bfloat16 if "bf16" in str(config.trainer.precision) else torch.float32
    median, matmul = statistics.median(times.steps), matmul_rate(device, dtype)
    # On one CPU thread both rates are by processor time, which other programs do not stretch.
    alone = device.type == "cpu" and settings.threads == 1
    busy = statistics.median(times.cpu) if alone else median
    own = datamodule.batch_size
    samples = own * trainer.world_size
    unit, each = getattr(datamodule, "unit_per_sample", None) or (None, None)
    flops = times.flops
    return {
        "name": config.name,
        "steps": len(times.steps),
        "device": f"{trainer.world_size} x {device_name(device)}",
        "threads": settings.threads,
        "precision": str(config.trainer.precision),
        "batch": samples,
        "step_s": quantiles(times.steps),
        "cpu_s": statistics.median(times.cpu),
        "samples_per_s": samples / median,
        "unit": unit,
        "units_per_s": samples * each / median if unit else None,
        # Processor time is this rank's: its own share of the samples goes with it.
        "units_per_cpu_s": own * each / statistics.median(times.cpu) if unit else None,
        "data_share": sum(times.waits) / sum(times.steps),
        "parts": shares(times.parts),
        "peak_rss_mb": times.peak_rss_mb,
        "peak_gpu_mb": times.peak_gpu_mb,
        "parameters": parameters(module),
        "flops_per_step": flops,
        "flops_note": note,
        "rate": {
            "clock": "processor time" if alone else "wall time",
            "dtype": str(dtype).removeprefix("torch."),
            "matmul": matmul,
            "reached": flops / busy if flops else None,
            "share": flops / busy / matmul if flops else None,
        },
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and other quantiles, by linear interpolation."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return {
        "median": at(0.5),
        "q10": at(0.1),
        "q90": at(0.9),
        "least": at(0.0),
        "greatest": at(1.0),
    }


def shares(parts: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median seconds of each part of a step, and its share of their sum."""
    medians = {name: statistics.median(values) for name, values in parts.items()}
    whole = sum(medians.values())
    return {name: {"seconds": s, "share": s / whole} for name, s in medians.items()}


def experiments() -> list[str]:
    """What to measure when nothing is named: each experiment's demo, else itself as a smoke run."""
    names = sorted(path.stem for path in (CONF / "exp").glob("*.yaml"))
    return [f"demo/{n}" if (CONF / "exp" / "demo" / f"{n}.yaml").is_file() else n for n in names]


def measure_all(settings: Settings, overrides: list[str]) -> list[dict]:
    """Each experiment in a fresh process, so that neither memory nor threads are inherited."""
    results = []
    for name in experiments():
        smoke = [] if name.startswith("demo/") or "+debug=smoke" in overrides else ["+debug=smoke"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.json"
            own = [f"bench.{k}={getattr(settings, k)}" for k in ("steps", "warmup", "threads")]
            command = [
                sys.executable,
                "-m",
                "experiments.bench",
                f"+exp={name}",
                *overrides,
                *smoke,
            ]
            done = subprocess.run([*command, *own, f"bench.json={file}"])
            if done.returncode:
                raise InputError(f"the bench of {name} failed (exit status {done.returncode})")
            results.append(json.loads(file.read_text()))
    return results


def save(result: dict | list, place: str | None) -> None:
    if place is None:
        return
    text = json.dumps(result, indent=1)
    if place == "-":
        print(text)
        return
    try:
        Path(place).write_text(text + "\n")
    except OSError as error:
        raise InputError(f"cannot write bench.json={place} ({error.strerror})") from error


def main(arguments: list[str]) -> None:
    settings, overrides = split(arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    if any(a.lstrip("+").startswith("exp=") for a in overrides):
        result = measure(composed(overrides), settings)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            console.print(table.one(result))
            save(result, settings.json)
    else:
        results = measure_all(settings, overrides)
        console.print(table.several(results))
        save(results, settings.json)


def entry(arguments: list[str]) -> None:
    """The command: what a user can mend ends with a message and status 2, without a stack trace."""
    try:
        main(arguments)
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            traceback.print_exc()
            raise SystemExit(1) from None
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    entry(sys.argv[1:])
