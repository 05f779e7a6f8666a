"""Weights that other programs saved, as arrays: PyTorch's ``.pt`` and ``.pth``, and anybody's safetensors.

A file of PyTorch is a pickle, and loading one runs what its author put there. So it is read by PyTorch with
``weights_only=True``, which knows tensors and containers and runs nothing, and anything else in it is refused.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_engine._tensor_file import Bfloat16, read_tensors
from aifs_utils.exceptions import CheckpointError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

WRAPPERS = ("state_dict", "model_state_dict", "model")  # where training scripts keep the weights, beside other things
# What PyTorch raises over a file that is damaged, or is none of its own.
_UNREADABLE = (
    *(AssertionError, AttributeError, EOFError, LookupError, OSError),
    *(OverflowError, RuntimeError, TypeError, ValueError, struct.error),
)


def load_foreign_weights(path: Path | str) -> dict[str, NDArray[Any]]:
    """Read a state dict that was saved by another program.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a file of ``torch.save`` under any other name: a state dict, or a dict that has it
        as ``"state_dict"``, ``"model_state_dict"`` or ``"model"``. To read one of PyTorch, PyTorch must be installed.

    Returns
    -------
    dict of str to ndarray
        The tensors by name, independent of the file; entries of a state dict that are no tensors are left out. Types
        that NumPy lacks (bfloat16 and the 8-bit floats of PyTorch) are float32, which holds them exactly.

    Raises
    ------
    CheckpointError
        If there is no such file, it is damaged, it needs code to be run, or there are no weights in it.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    return _from_safetensors(path) if path.suffix == ".safetensors" else _from_torch(path)


def _from_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            _, tensors = read_tensors(file)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged, or no safetensors file of types that NumPy has ({error})") from error
    return {
        name: value.to_float32() if isinstance(value, Bfloat16) else np.array(value) for name, value in tensors.items()
    }


def _from_torch(path: Path) -> dict[str, NDArray[Any]]:
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(f"to read {path}, install PyTorch: pip install 'aifs-engine[torch]'") from error
    loaded = _load(path)
    weights = {name: value for name, value in _state_dict(loaded).items() if isinstance(value, torch.Tensor)}
    if not weights:
        found = ", ".join(map(str, loaded)) or "nothing" if isinstance(loaded, Mapping) else type(loaded).__name__
        raise CheckpointError(
            f"{path} holds no weights ({found}): save model.state_dict(), alone or in a dict as {WRAPPERS[0]!r}"
        )
    return {str(name): _to_array(value, f"{path}: {name!r}") for name, value in weights.items()}


def _load(path: Path) -> Any:
    import torch

    refused = torch.serialization.pickle.UnpicklingError  # by way of PyTorch: nothing here unpickles
    try:
        with warnings.catch_warnings(action="ignore"):  # over what it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except refused as error:
        raise CheckpointError(f"{path} is refused: {_why(str(error))}") from error
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged or not a file of PyTorch ({_first_line(error)})") from error


def _state_dict(loaded: Any) -> Mapping[Any, Any]:
    """The innermost mapping under the usual names."""
    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    return loaded if isinstance(loaded, Mapping) else {}


def _to_array(tensor: Any, name: str) -> NDArray[Any]:
    """A copy, so that weights that are tied in the model are two arrays."""
    import torch

    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    try:
        return np.array(tensor.numpy(force=True))
    except (TypeError, RuntimeError) as error:
        raise CheckpointError(f"{name} is no array that NumPy has ({_first_line(error)})") from error


def _why(message: str) -> str:
    """What PyTorch would not load, from the many lines that it says."""
    match = re.search(r"GLOBAL ([\w.]+)", message)
    found = f"asks for {match[1]}, and any code could be run that way" if match else "is damaged or holds other things"
    return f"it {found}; ask its author for safetensors, or convert it where you trust it"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
