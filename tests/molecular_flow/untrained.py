"""Maps of Ala-Ala that nobody trained, saved as a run saves them."""

from pathlib import Path

import torch

from experiments.shared import checkpoints
from molecular_flow.module import MolecularFlow


def saved(path: Path, source: float, target: float, flow: dict | None = None, **more) -> Path:
    """`path`, where such a map's checkpoint now lies; `flow` and `more` as `MolecularFlow`'s."""
    options = {
        "source": source,
        "target": target,
        "sequence": "AA",
        "loss_weights": {"forward": 1.0, "inverse": 1.0, "variance": 0.0},
        "flow": {"width": 8, "bins": 4, "stiff_couplings": 0} | (flow or {}),
        **more,
    }
    module = MolecularFlow(**options)
    checkpoint = {
        "class": checkpoints.class_name(MolecularFlow),
        "hyper_parameters": options,
        "state_dict": module.state_dict(),
    }
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path
