"""Choose the device that a run computes on."""

import logging
from importlib import import_module
from typing import Any

from aifs_utils.names import look_up

logger = logging.getLogger(__name__)

_TITLES = {"auto": "the best there is", "cpu": "the CPU", "cuda": "CUDA", "mps": "MPS"}
_FRAMEWORKS = {"numpy": "NumPy", "torch": "torch"}


def setup_device(requested: str = "auto", *, framework: str = "torch") -> str:
    """Return the device to use: what was requested, or the CPU with a warning.

    Parameters
    ----------
    requested : {"auto", "cpu", "cuda", "mps"}
        "auto" takes the first there is of cuda, mps and cpu. "cpu" does not import torch.
    framework : {"torch", "numpy"}
        What the model computes with. NumPy computes on the CPU, whatever was requested.

    Returns
    -------
    str
        "cpu", "cuda" or "mps".

    Raises
    ------
    ConfigError
        When either is none of the above.
    """
    title = look_up(_TITLES, requested, "device")
    library = look_up(_FRAMEWORKS, framework, "framework")
    if framework == "numpy":
        found, why = ["cpu"], f"this model computes with {library}"
    elif requested == "cpu":
        return "cpu"
    else:
        found, why = _torch_devices(), f"{library} finds no such device here"
    if requested == "auto":
        return found[0]
    if requested not in found:
        logger.warning("%s was asked for and is not used (%s): computing on the CPU", title, why)
        return "cpu"
    return requested


def _torch_devices() -> list[str]:
    """List what torch can compute on, best first."""
    try:
        torch: Any = import_module("torch")
    except ModuleNotFoundError:
        return ["cpu"]
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [device for device, there in available.items() if there]
