"""What comes in, checked at the boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifs_utils.exceptions import DataError

Array = NDArray[Any]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

HUGE = 1e100  # from here on differences overflow while matplotlib draws


def as_floats(values: ArrayLike, name: str) -> Floats:
    """Return `values` as float64; DataError names what is not a number."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}") from None


def as_finite(values: ArrayLike, name: str, ndim: int) -> Floats:
    """Return `values` as a float64 array of `ndim` axes with at least one value, each of them fit for drawing."""
    array = as_floats(values, name)
    if array.ndim != ndim or array.size == 0:
        raise DataError(f"{name} must be a non-empty {ndim}-dimensional array, got shape {array.shape}")
    n_bad = array.size - int((np.abs(array) < HUGE).sum())
    if n_bad:
        raise DataError(f"{name} must be finite, got {n_bad:,} NaN, infinite or huge of {array.size:,} values")
    return array


def as_labels(labels: ArrayLike, name: str, n: int | None = None) -> Array:
    """Return `labels` as a one-dimensional array of `n` labels."""
    array = np.asarray(labels)
    if array.dtype == object:  # as from pandas
        array = np.asarray(array.tolist())
    if array.ndim != 1 or array.size == 0:
        raise DataError(f"{name} must be a non-empty 1-dimensional array of labels, got shape {array.shape}")
    if n is not None and len(array) != n:
        raise DataError(f"{name} must have one label for each of the {n} samples, got {len(array)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{name} must be finite, got NaN or infinite labels")
    if array.dtype.kind not in "biufU":
        raise DataError(f"{name} must be numbers or strings, got {array.dtype}")
    return array


@dataclass(frozen=True)
class Classes:
    """The classes of a figure: their label values, in ascending order, and their names."""

    values: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, labels: Array) -> Indices:
        """Return the index of each label's class."""
        return np.searchsorted(self.values, labels).astype(np.int64, copy=False)

    @classmethod
    def of(cls, *labels: Array, names: Sequence[str] | None = None) -> Classes:
        """Take the classes from the labels that occur; with names, labels are 0, 1, … or as many values as names."""
        if len({array.dtype.kind == "U" for array in labels}) > 1:
            raise DataError("labels must be all numbers or all strings, true and predicted ones alike")
        found = np.unique(np.concatenate([np.unique(array) for array in labels]))
        if names is None:
            return cls(found, tuple(_name(value) for value in found))
        names = tuple(str(name) for name in names)
        if found.dtype.kind in "biuf" and np.isin(found, np.arange(len(names))).all():
            return cls(np.arange(len(names)), names)
        if len(found) == len(names):
            return cls(found, names)
        shown = ", ".join(_name(value) for value in found[:8])
        raise DataError(
            f"class_names has {len(names)} names: expected labels 0 to {len(names) - 1} or {len(names)} distinct ones, "
            f"got {len(found)}: {shown}{', …' if len(found) > 8 else ''}"
        )


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
