"""What a live decision costs, and the cut head through ONNX Runtime, in full and in 8 bits.

`N` moments, `F` features.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared.errors import InputError
from multitrack.examples.moments import WIDTH
from multitrack.networks.hazard import CutHead

Head = Callable[[Tensor], Tensor]


def exported(head: CutHead, path: Path, *, int8: bool = False) -> Head:
    """The head as ONNX in `path`, run by ONNX Runtime on one thread; weights in 8 bits if asked.

    Raises:
        InputError: ONNX or its runtime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.quantization import quantize_dynamic
    except ImportError as error:
        raise InputError(
            f"expected onnx, onnxscript and onnxruntime, the extra export ({error})"
        ) from None
    moments = torch.zeros(2, WIDTH)
    for name in ("torch.onnx", "root"):  # what the exporters say of other models
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            head.eval(), (moments,), path, dynamo=True, verbose=False,
            input_names=["moments"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("moments")},),
        )  # fmt: skip
    if int8:
        small = path.with_suffix(".int8.onnx")
        quantize_dynamic(path, small)
        path = small
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(told: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"moments": told.numpy()})[0])

    return run


def compared(
    head: CutHead, frames: np.ndarray, step: Callable[[Head | None], Callable[[np.ndarray], object]]
) -> Iterator[str]:
    """A line each for the rule, the head and the head in ONNX Runtime: processor time a frame.

    frames: (T, M) activities; step: makes a switcher's step of a head (None: the rule).
    """
    torch.set_num_threads(1)
    moments = torch.from_numpy(np.random.default_rng(0).random((512, WIDTH), np.float32))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        true = head(moments).sigmoid()
        engines: dict[str, Head | None] = {"rule": None, "model": head}
        try:
            for name, int8 in (("model, ONNX Runtime", False), ("model, ONNX Runtime int8", True)):
                engines[name] = exported(head, Path(folder) / f"{int8}.onnx", int8=int8)
        except InputError as error:
            yield f"note: {error}"
        for name, engine in engines.items():
            decide, spent, shown = step(engine), [], []
            for frame in frames:
                begun = time.process_time()
                shown.append(decide(frame))
                spent.append(1000 * (time.process_time() - begun))
            error = 0.0 if engine is None else float((engine(moments).sigmoid() - true).abs().max())
            middle, high = np.percentile(spent[20:], (50, 99))
            yield (
                f"{name}: {middle:.2f} ms a frame of 100 ms, 99 % below {high:.2f}, "
                f"most {max(spent[20:]):.2f}; largest difference of P(cut) {error:.1e}"
            )
