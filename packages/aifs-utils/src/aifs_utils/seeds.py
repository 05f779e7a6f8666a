"""The global random states: Python's, NumPy's and, where it has been imported, torch's.

Data and models draw from generators of their own (``np.random.default_rng(seed)``). The global states are seeded and
checkpointed for the code that is not ours.
"""

import logging
import operator
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from aifs_utils.exceptions import AIFromScratchError, CheckpointError, ConfigError

logger = logging.getLogger(__name__)


def set_random_seed(seed: int, *, torch: bool | None = None) -> None:
    """Seed the global random states of Python, NumPy and torch.

    Parameters
    ----------
    seed : int
        From 0 up to, not including, 2**32: the seeds that all three accept.
    torch : bool, optional
        None seeds torch (the CPU and every accelerator) if it has been imported, so that a run without torch does not
        pay for its import: call this after ``import torch``. True imports it, False leaves it alone.

    Raises
    ------
    ConfigError
        When `seed` is not such an integer, or torch is asked for and not installed.
    """
    seed = _checked(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy global state is what other people's code draws from
    if torch or (torch is None and "torch" in sys.modules):
        _import_torch(ConfigError).manual_seed(seed)


def get_random_state() -> dict[str, Any]:
    """Return the global random states as nested dicts of arrays and JSON scalars.

    torch's are included if it has been imported, CUDA's only if CUDA is in use.

    Returns
    -------
    dict
        What `restore_random_state` takes. It shares no memory with the generators.
    """
    version, internal, gauss_next = random.getstate()
    state: dict[str, Any] = {
        "python": {"version": version, "state": np.array(internal, dtype=np.uint32), "gauss_next": gauss_next},
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
    }
    if "torch" in sys.modules:
        state["torch"] = _get_torch_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put the global random states back to what `get_random_state` returned.

    Parameters
    ----------
    state : mapping
        A state; it may have been through a file. A state of torch imports torch. A CUDA device that is no longer there
        is left out with a warning.

    Raises
    ------
    CheckpointError
        When the state holds torch's and torch is not installed.
    """
    torch = _import_torch(CheckpointError) if "torch" in state else None
    python = state["python"]
    internal = tuple(np.asarray(python["state"], dtype=np.uint32).tolist())
    random.setstate((python["version"], internal, python["gauss_next"]))
    np.random.set_state(state["numpy"])  # noqa: NPY002
    if torch is not None:
        _restore_torch_state(torch, state["torch"])


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Within the block anyone may draw; afterwards the global random states are what they were.

    Those of torch are included if it has been imported, CUDA's only if CUDA is in use.
    """
    python, numpy_, torch = random.getstate(), np.random.get_state(), sys.modules.get("torch")  # noqa: NPY002
    cpu = torch.get_rng_state() if torch is not None else None
    cuda = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(cpu)
            for device, state in enumerate(cuda):
                torch.cuda.set_rng_state(state, device)


def _checked(seed: int) -> int:
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if isinstance(seed, bool) or not 0 <= value < 2**32:
        raise ConfigError(f"a seed is an integer from 0 to {2**32 - 1}, got {seed!r}")
    return value


def _import_torch(error: type[AIFromScratchError]) -> Any:
    try:
        return import_module("torch")
    except ModuleNotFoundError as cause:
        raise error("torch's random state is asked for and torch is not installed: install torch") from cause


def _get_torch_state() -> dict[str, Any]:
    torch = sys.modules["torch"]
    state: dict[str, Any] = {"cpu": torch.get_rng_state().numpy().copy()}
    # Asking for the state of a CUDA device would start CUDA in a process that does not use it.
    if torch.cuda.is_initialized():
        state["cuda"] = {str(i): s.numpy().copy() for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return state


def _restore_torch_state(torch: Any, state: Mapping[str, Any]) -> None:
    torch.set_rng_state(torch.from_numpy(np.array(state["cpu"], dtype=np.uint8)))
    cuda = state.get("cuda", {})
    n_devices = torch.cuda.device_count() if cuda else 0
    for device, values in cuda.items():
        if int(device) < n_devices:
            torch.cuda.set_rng_state(torch.from_numpy(np.array(values, dtype=np.uint8)), int(device))
        else:
            logger.warning("the random state of CUDA device %s is not restored: there is no such device here", device)
