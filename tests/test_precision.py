"""Laws of the fast precision: bfloat16 where the machine is made for it, else single."""

import pytest
import torch
from omegaconf import OmegaConf

from experiments.running.build import make  # noqa: F401  (as every entry point does)
from experiments.shared.machine import fast_precision


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False}, "32-true"),
        ({"avx512_f": True, "amx_bf16": False}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({}, "32-true"),
    ],
)
def test_processors(monkeypatch, known, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert fast_precision("cpu") == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")],
)
def test_gpus(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert fast_precision("auto") == expected
    assert fast_precision("cpu") == "32-true"


def test_a_configuration_asks_for_it():
    config = OmegaConf.create(
        {"trainer": {"accelerator": "cpu", "precision": "${fast_precision:${trainer.accelerator}}"}}
    )
    assert config.trainer.precision == fast_precision("cpu")
