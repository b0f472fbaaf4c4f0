"""Writes a network in a format, and opens it again to be run."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.service import Network

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2"}
Runner = Callable[[], tuple[Tensor, ...]]


def as_tuple(found: Any) -> tuple[Tensor, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def eager(network: Network) -> Runner:
    """The network as it is."""
    return lambda: as_tuple(network.module(*network.inputs.values()))


def write(network: Network, path: Path, kind: str) -> None:
    """Write the network as `kind`, one of SUFFIXES.

    Raises:
        Exception: of torch's exporters, whatever they cannot do.
    """
    shapes = [
        {axis: torch.export.Dim.DYNAMIC for axis in network.dynamic.get(name, {})} or None
        for name in network.inputs
    ]
    inputs = tuple(network.inputs.values())
    with quiet(), torch.no_grad():
        program = torch.export.export(
            Flat(network.module), inputs, dynamic_shapes=(tuple(shapes),), strict=False
        )
        if kind == "torch_export":
            torch.export.save(program, path)
            return
        torch.onnx.export(
            program, (), str(path), dynamo=True, external_data=False,
            input_names=list(network.inputs), verbose=False,
        )  # fmt: skip


class Flat(torch.nn.Module):
    """A module whose arguments have no names, so that dynamic axes are given by their order."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As the module's, always a tuple."""
        return as_tuple(self.module(*inputs))


def opened(path: Path, network: Network) -> Runner:
    """The file at `path`, ready to be run on the network's inputs."""
    inputs = tuple(network.inputs.values())
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()
        return lambda: as_tuple(module(*inputs))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    given = {n: np.ascontiguousarray(t.numpy()) for n, t in zip(names, inputs, strict=True)}
    return lambda: tuple(torch.from_numpy(np.asarray(x)) for x in session.run(None, given))


def quantised(path: Path, out: Path) -> None:
    """The ONNX file at `path` with int8 weights; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        # Of linear layers alone: a convolution quantised so is slower in ONNX Runtime.
        quantize_dynamic(
            str(path), str(out), op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip


def check_libraries(kind: str) -> None:
    """Raises InputError where what `kind` needs is not installed."""
    if kind == "onnx":
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"{error.name} is not installed: pip install 'ensemble-suite[export]', or take "
                "--format torch_export"
            ) from error


@contextlib.contextmanager
def quiet():
    """Without the exporters' own lines."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        sink = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
