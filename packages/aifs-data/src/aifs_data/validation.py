"""What was loaded is what the registry says: no run begins on data of another shape, type or range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged
from aifs_utils import DataError

if TYPE_CHECKING:
    from aifs_data.dataset import ArraySpec, Dataset


def check_dataset(dataset: Dataset) -> None:
    """Raise DataError unless every array of every part is what ``dataset.info.specs`` says, and every class is there.

    Raises
    ------
    DataError
        With what was expected and what came.
    """
    specs = dataset.info.specs
    for part_name, part in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test)):
        where = f"{dataset.name}, {part_name}"
        _require(f"{where}: the arrays", sorted(specs), sorted(part.arrays))
        for name, spec in specs.items():
            _check_array(f"{where}: {name}", part.arrays[name], spec)
    if len(dataset.train) == 0:
        raise DataError(f"{dataset.name}: the training part has no samples")
    targets = dataset.train.y
    if dataset.info.task == "classification" and isinstance(targets, np.ndarray):
        missing = np.flatnonzero(np.bincount(targets, minlength=dataset.n_classes) == 0)
        names = ", ".join(dataset.class_names[k] for k in missing)
        if names:
            raise DataError(f"{dataset.name}: the training part has no sample of {names}")


def _check_array(what: str, array: Any, spec: ArraySpec) -> None:
    is_ragged = isinstance(array, Ragged)
    values = array.values if is_ragged else array
    shape = (len(array), "length", *values.shape[1:]) if is_ragged else values.shape
    _require(f"{what}: the type", spec.dtype, str(values.dtype))
    fits = len(shape) == len(spec.shape) and all(
        isinstance(wanted, str) or wanted == got for wanted, got in zip(spec.shape, shape, strict=True)
    )
    if not fits or is_ragged != ("length" in spec.shape):
        raise DataError(f"{what}: expected the shape ({', '.join(map(str, spec.shape))}), got {shape}")
    if values.size and not _is_full_range(values.dtype, spec):
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError(f"{what}: expected finite numbers, got NaN or infinity")
        if (spec.low is not None and low < spec.low) or (spec.high is not None and high > spec.high):
            raise DataError(f"{what}: expected values from {spec.low} to {spec.high}, got {low} to {high}")


def _is_full_range(dtype: np.dtype[Any], spec: ArraySpec) -> bool:
    """Whether no value of the type can be out of range, so that there is nothing to look at."""
    if not np.issubdtype(dtype, np.integer):
        return False
    limits = np.iinfo(dtype)
    return (spec.low is None or spec.low <= limits.min) and (spec.high is None or spec.high >= limits.max)


def _require(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise DataError(f"{what}: expected {expected}, got {got}")
