"""How torch computes in a run: on how many threads, and whether the same run again gives the same bits."""

import os
from typing import Any

import torch

SMALL = 1_000_000  # parameters; below, a second thread costs more in waiting than it computes


def set_threads(model: Any, wanted: int | None = None) -> int:
    """Set the number of threads that torch computes with on the CPU.

    Parameters
    ----------
    model
        A ``torch.nn.Module``, or None.
    wanted
        The number to use. If it is not given, ``OMP_NUM_THREADS`` decides where it is set; otherwise a model below a
        million parameters gets one thread, since beside a busy neighbour two are slower, and a larger one what torch
        would take.

    Returns
    -------
    int
        The number that is used from now on, by the whole process.
    """
    n_parameters = sum(parameter.numel() for parameter in model.parameters()) if model is not None else 0
    if wanted is None and "OMP_NUM_THREADS" not in os.environ and n_parameters < SMALL:
        wanted = 1
    if wanted is not None:
        torch.set_num_threads(wanted)
    return get_threads()


def get_threads() -> int:
    """The number of threads that torch computes with on the CPU."""
    return int(torch.get_num_threads())


def why_inexact(device: str) -> str:
    """Why a resumed run may differ from one that was never stopped in the last bits; empty if it cannot."""
    if device == "cpu" or torch.are_deterministic_algorithms_enabled():
        return ""
    return (
        f"kernels of {device} may add in another order each time, so a resumed run may differ in the last bits; "
        "torch.use_deterministic_algorithms(True) forbids such kernels"
    )
