"""Tensors as what a checkpoint holds, and back: of modules, optimizers, schedulers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from aifs_engine.checkpoint import Bfloat16


def to_arrays(value: Any, *, sort: bool = False) -> Any:
    """`value` with arrays for its tensors, lists for its tuples and strings for its keys.

    Parameters
    ----------
    value
        Nested dicts, lists and tuples of tensors, numbers, strings and None. On the CPU arrays share the memory of
        their tensors: copy what shall stay as it is.
    sort
        Whether to bring the keys of dicts in order, where equal states may come with another one.
    """
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        # NumPy has no bfloat16: its bits travel.
        return Bfloat16(_bits(tensor)) if tensor.dtype == torch.bfloat16 else tensor.numpy()
    if isinstance(value, Mapping):
        keys = sorted(value, key=str) if sort else value
        return {str(key): to_arrays(value[key], sort=sort) for key in keys}
    if isinstance(value, list | tuple):
        return [to_arrays(item, sort=sort) for item in value]
    return value


def to_tensors(saved: Any, like: Any = None) -> Any:
    """What `to_arrays` was given: tensors on the CPU, which share no memory with `saved`.

    Parameters
    ----------
    saved
        Nested dicts and lists of arrays, numbers, strings and None.
    like
        A fresh state of the same kind: its keys, tuples and counters are what strings, lists and dicts become.
    """
    if isinstance(saved, Mapping):
        keys = {str(key): key for key in like} if isinstance(like, Mapping) else {}
        items = {keys.get(name, name): item for name, item in saved.items()}
        tensors = {key: to_tensors(item, like[key] if keys and key in like else None) for key, item in items.items()}
        return Counter(tensors) if isinstance(like, Counter) else tensors
    if isinstance(saved, list):
        likes = like if isinstance(like, list | tuple) and len(like) == len(saved) else [None] * len(saved)
        values = [to_tensors(item, each) for item, each in zip(saved, likes, strict=True)]
        return tuple(values) if isinstance(like, tuple) else values
    if isinstance(saved, Bfloat16):
        return torch.tensor(saved.bits.view("int16")).view(torch.bfloat16)
    return torch.tensor(saved) if hasattr(saved, "dtype") else saved


def on_device(batch: Any, device: Any) -> Any:
    """A nest of tuples, lists and dicts with its tensors moved to the device; those that are there stay."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: on_device(item, device) for key, item in batch.items()}
    if isinstance(batch, list | tuple):
        return tuple(on_device(item, device) for item in batch)
    return batch


def _bits(tensor: Any) -> Any:
    return tensor.contiguous().view(torch.int16).numpy().view("uint16")
