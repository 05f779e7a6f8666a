"""What is reported beside the loss, computed on the device: of tensors, and without waiting for them."""

from typing import Any

import torch

from aifs_utils.exceptions import ModelError


def accuracy(outputs: Any, targets: Any) -> Any:
    """Share of samples whose label is predicted, a 0-d tensor in [0, 1].

    Parameters
    ----------
    outputs : Tensor, shape (n, n_classes, …), or (n,) or (n, 1)
        Scores of the classes, of which the largest counts; or single logits, of which the sign does.
    targets : Tensor, shape (n, …)
        Class numbers; for single logits 0 and 1, or -1 and 1.

    Raises
    ------
    ModelError
        If the shapes are others.
    """
    if outputs.ndim == targets.ndim + 1 and outputs.shape[1] > 1:
        return _share(outputs.argmax(1) == targets)
    if outputs.numel() == targets.numel() and (outputs.ndim == 1 or outputs.shape[1] == 1):
        return _share((outputs.reshape(targets.shape) > 0) == (targets > 0))
    raise ModelError(
        "accuracy expects outputs (n, n_classes, …) and targets (n, …), or as many single logits as targets; "
        f"got {tuple(outputs.shape)} and {tuple(targets.shape)}"
    )


def _share(right: Any) -> Any:
    """The mean of booleans, in float64 where the device has it: 0.96 is then not less than a claim of 0.96."""
    return right.to(torch.float32 if right.device.type == "mps" else torch.float64).mean()
