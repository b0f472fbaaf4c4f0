"""Finds and reads checkpoints: weights only, strictly, and only of the class that is asked for.

What stands in one is data from outside: it is compared with the constructor's signature, its sizes
are bounded before anything is allocated, and it can name no file that would then be opened.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, TypeVar

import torch

from experiments.shared.bounds import Bounded
from experiments.shared.errors import InputError, first_line
from experiments.shared.folder import Folder
from experiments.shared.reading import regular
from experiments.shared.signatures import misfits, parameters_of, unknown

M = TypeVar("M", bound=torch.nn.Module)
MOST_BYTES = 1 << 28  # of a file that a checkpoint names
SLACK = 1 << 23  # numbers that a constructor may use beside its weights


def class_name(module: torch.nn.Module | type) -> str:
    """The name under which a checkpoint says whose it is."""
    cls = module if isinstance(module, type) else type(module)
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve(run_or_file: str | Path) -> Path:
    """A checkpoint file, or a run folder's best (else last) checkpoint.

    Raises:
        InputError: nothing is there.
    """
    path = Path(run_or_file)
    for candidate in (path, Folder(path).best, Folder(path).last):
        if candidate.is_file():
            return candidate
        if os.path.lexists(candidate) and not candidate.is_dir():
            regular(candidate, "a checkpoint")
    raise InputError(f"no checkpoint at {path}: expected a .ckpt file, or a run folder with one")


def read(path: Path) -> dict:
    """The checkpoint as a dictionary on the CPU.

    Raises:
        InputError: the file is truncated, or is no checkpoint.
    """
    regular(path, "a checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a broken archive
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as a checkpoint ({reason}): expected one as experiments.run "
            "writes it; copy it again, or take another of that run"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(
            f"{path} is no training checkpoint: it has no state_dict; expected one as "
            "experiments.run writes it"
        )
    return checkpoint


def check_class(checkpoint: dict, cls: type, path: Path) -> None:
    """Stop unless the checkpoint was written by a module of class `cls`."""
    owner = checkpoint.get("class")
    if owner != class_name(cls):
        raise InputError(f"{path} is a checkpoint of {owner}, expected {class_name(cls)}")


def hyperparameters(
    checkpoint: dict, cls: type, path: Path, changes: dict[str, Any]
) -> dict[str, Any]:
    """What to build a module of class `cls` with: data from outside, compared with its signature.

    Raises:
        InputError: there are none, or an unknown, missing or unfit one among them.
    """
    given = checkpoint.get("hyper_parameters")
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise InputError(
            f"{path}: its hyper_parameters are no mapping of names: expected a checkpoint as "
            "experiments.run writes it"
        )
    given = {**given, **changes}
    place, parameters = "hyper_parameters", parameters_of(cls) or {}
    wrong = [*unknown(cls, given, place), *misfits(cls, given, place)]
    for name, parameter in parameters.items():
        named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if named and parameter.default is parameter.empty and name not in given:
            wrong.append(f"{place}.{name}: missing")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"{path}: {wrong[0]}{more}: expected a checkpoint of this version, as it was written"
        )
    return given


def check_files(checkpoint: dict, values: Any, path: Path) -> None:
    """Stop unless each file that `values` name has the content that it had in training.

    A checkpoint from elsewhere could name any file of this machine, to have it opened.

    Raises:
        InputError: another content, or none that the checkpoint knows of.
    """
    known = checkpoint.get("files")
    for name in named_files(values):
        try:
            same = isinstance(known, dict) and known.get(name) == hash_of(name)
        except InputError:
            same = False
        if not same:
            raise InputError(
                f"{path} names the file {name}, which is not opened because a checkpoint says so: "
                "its content is not the one of training; give the file yourself (infer --pdb or "
                "--force-field, evaluate data.KEY=FILE)"
            )


def named_files(value: Any) -> list[str]:
    """Every text in `value` that is the path of something that is there and no folder."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [name for item in value for name in named_files(item)]
    looks = isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value
    if not looks or not (Path(value).suffix or "/" in value):
        return []
    return [value] if os.path.lexists(value) and not Path(value).is_dir() else []


def hash_of(name: str) -> str:
    """SHA-256 of a file of moderate size."""
    return hashlib.sha256(regular(name, most=MOST_BYTES).read_bytes()).hexdigest()


def files_of(values: Any) -> dict[str, str]:
    """{path: hash} of the files that hyperparameters name, for a checkpoint to vouch for."""
    return {name: hash_of(name) for name in named_files(values)}


def numbers_in(checkpoint: dict) -> int:
    """How many numbers the checkpoint's weights are."""
    state = checkpoint["state_dict"]
    tensors = state.values() if isinstance(state, dict) else []
    return sum(value.numel() for value in tensors if isinstance(value, torch.Tensor))


def build(cls: type[M], given: dict[str, Any], checkpoint: dict, path: Path) -> M:
    """The module; allocates little more than the checkpoint's own weights take.

    Raises:
        InputError: the values make no module, or one that is far larger.
    """
    try:
        tensors = 1000 + 20 * len(checkpoint["state_dict"])
        with Bounded(8 * numbers_in(checkpoint) + SLACK, str(path), tensors):
            return cls(**given)
    except InputError:
        raise
    except Exception as error:  # a constructor raises whatever the odd value provokes
        raise InputError(
            f"{path}: no {cls.__name__} can be made of its hyper_parameters "
            f"({type(error).__name__}: {first_line(error)}): expected a checkpoint as it was "
            "written, of this version"
        ) from error


def fill(module: Any, checkpoint: dict, path: Path) -> None:
    """Put the checkpoint's weights into `module`, strictly, and into eval mode.

    Raises:
        InputError: they do not fit.
    """
    try:
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except InputError:
        raise
    except Exception as error:  # a stranger's state may be anything
        more = len(str(error).splitlines()) - 1
        raise InputError(
            f"{path} does not fit its model: {str(error)[:600].replace(chr(10), ' ')}"
            f"{' ...' * (more > 3)}: expected weights of the same sizes and version"
        ) from error
    module.eval()


def load(cls: type[M], run_or_file: str | Path, **changes) -> M:
    """The module of class `cls` with the weights of a run or checkpoint file, in eval mode.

    `changes` are hyper-parameters to set otherwise than they were in training.

    Raises:
        InputError: no such file, a truncated one, another experiment's, or other weights; unfit
            hyperparameters, or such that name a file that is not what it was.
    """
    path = resolve(run_or_file)
    checkpoint = read(path)
    check_class(checkpoint, cls, path)
    given = hyperparameters(checkpoint, cls, path, changes)
    check_files(checkpoint, {k: v for k, v in given.items() if k not in changes}, path)
    module = build(cls, given, checkpoint, path)
    fill(module, checkpoint, path)
    return module
