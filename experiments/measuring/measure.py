"""Runs real training steps of a configured module and gathers what they cost."""

import statistics
import tempfile

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.measuring.device import best_rates
from experiments.measuring.stopwatch import Stopwatch
from experiments.running.build import build
from experiments.running.summary import parameters
from experiments.shared.machine import device_name

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


def measure(config: DictConfig, *, steps: int, warmup: int, threads: int) -> dict:
    """What `steps` training steps cost, after `warmup` ones and before a few taken apart."""
    config = bare(config, threads)
    module, datamodule = build(config)
    watch = Stopwatch(steps, warmup)
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
    median, rates = statistics.median(times.steps), best_rates(device, dtype)
    # On one CPU thread both rates are by processor time, which other programs do not stretch.
    alone = device.type == "cpu" and threads == 1
    busy = statistics.median(times.cpu) if alone else median
    own = datamodule.batch_size
    samples = own * trainer.world_size
    unit, each = getattr(datamodule, "unit_per_sample", None) or (None, None)
    flops = times.flops
    return {
        "name": config.name,
        "steps": len(times.steps),
        "device": f"{trainer.world_size} x {device_name(device)}",
        "threads": threads,
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
            **rates,
            "reached": flops / busy if flops else None,
            "share": flops / busy / max(rates.values()) if flops else None,
        },
    }


def bare(config: DictConfig, threads: int) -> DictConfig:
    """What a measurement needs of a configuration, with its own number of threads."""
    kept = [str(key) for key in config if key != "logger"]
    config = OmegaConf.masked_copy(config, kept)
    OmegaConf.update(config, "threads", threads)  # an experiment may ask for another number
    OmegaConf.update(config, "trainer.default_root_dir", ".")
    OmegaConf.update(config, "callbacks", {"noise": config.callbacks.noise}, merge=False)
    return config


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
