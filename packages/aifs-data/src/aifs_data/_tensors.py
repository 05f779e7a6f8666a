"""Arrays as torch tensors, where torch is installed and asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.transforms import Normalize

FRAMEWORKS = ("numpy", "torch")

# Of these torch has the type and hardly anything that computes with it.
_WIDER = {"uint16": "int32", "uint32": "int64"}


def converter(framework: str, device: str | None) -> Callable[[NDArray[Any]], Any]:
    """Return what makes an array one of this framework: for NumPy, what gives it back as it is. It can be pickled.

    Raises
    ------
    DataError
        When there is no such framework, it is not installed, or has no such device.
    """
    if framework == "numpy" and device is None:
        return _as_it_is
    if framework != "torch":
        wanted = "framework is 'numpy', without a device, or 'torch'"
        raise DataError(f"{wanted}, got framework={framework!r} and device={device!r}")
    torch = import_torch()
    if device is not None:
        try:
            torch.empty(0, device=device)
        # What torch raises depends on why: no such word, a build without CUDA, a device that needs another library.
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"torch cannot use device={device!r} here ({reason}): take 'cpu' or None") from error

    return partial(_as_tensor, device=device)


def _as_it_is(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _as_tensor(array: NDArray[Any], *, device: str | None) -> Any:
    import torch  # at each call, since a module cannot be pickled; `converter` has seen that it is there

    wider = _WIDER.get(array.dtype.name)
    array = array if wider is None else array.astype(wider)
    # An array that may not be written, or lies in memory in another order, has no tensor that shares its memory.
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return tensor if device is None else tensor.to(device)


def import_torch() -> Any:
    """Return the module, or say how to get it."""
    try:
        return import_module("torch")
    except ModuleNotFoundError as error:
        raise DataError(
            "framework='torch' needs torch, which is not installed: pip install 'aifs-data[torch]', "
            "or take framework='numpy'"
        ) from error


def normalizer(normalize: Normalize, convert: Callable[[NDArray[Any]], Any], *, in_place: bool) -> Callable[[Any], Any]:
    """Return a function of a tensor that computes what ``normalize.apply`` does, to the bit."""
    torch = import_torch()
    # Numbers stay numbers: as tensors they would have to be on the tensor's device.
    scale, shift = (
        convert(values) if isinstance(values, np.ndarray) else None if values is None else float(values)
        for values in (normalize._scale, normalize._shift)
    )

    def apply(tensor: Any) -> Any:
        scaled = tensor.to(torch.float32, copy=not in_place)
        # Not one addcmul, which rounds once where NumPy rounds twice.
        scaled.mul_(scale)
        return scaled if shift is None else scaled.add_(shift)

    return apply
