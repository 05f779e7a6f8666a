"""Rows of arrays, of whichever kind, as the arrays of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged, padder
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

# Extras of different lengths are padded as generated scenes pad theirs: no box has a corner at -1.
EXTRAS_PADDING = -1


def column(array: Any, fill: int | float = EXTRAS_PADDING) -> Callable[[NDArray[np.intp]], NDArray[Any]]:
    """Return a function from indices to these rows of an array; sequences are filled up at their ends.

    Integers in sequences come as int64, which is what embeddings and losses take.
    """
    if isinstance(array, Ragged):
        return padder(array, fill, np.int64 if array.dtype.kind in "iu" else array.dtype)
    # Faster than array[rows] here; take's out= would hand every batch the same memory.
    return partial(array.take, axis=0)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array that cannot be written through."""
    view = array.view(np.ndarray)  # of a file in memory too: its own class makes every slice slower
    view.flags.writeable = False
    return view


def cut(arrays: list[Any], size: int) -> Iterator[list[Any]]:
    """Return these arrays in pieces of so many rows."""
    return map(list, zip(*(slices(array, size) for array in arrays), strict=True))


def joined(parts: Iterator[list[Any]], n: int) -> list[Any]:
    """Return arrays of `n` rows made of such as `cut` gives."""
    wholes: list[Any] = []
    first = 0
    for arrays in parts:
        wholes = wholes or [np.empty((n, *array.shape[1:]), array.dtype) for array in arrays]
        for whole, array in zip(wholes, arrays, strict=True):
            whole[first : first + len(array)] = array
        first += len(arrays[0])
    return wholes


def slices(array: Any, size: int) -> Iterator[Any]:
    """Return an array in pieces of so many rows."""
    return (array[first : first + size] for first in range(0, len(array), size))


def packed(arrays: Sequence[Any], extras: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return a batch: (X, y), or (X, {"y": y, …}) where there are extras."""
    if not extras:
        return arrays[0], arrays[1]
    X, y, *others = arrays
    return X, {"y": y, **dict(zip(extras, others, strict=True))}


def check_rows(X: Any, y: Any, extras: Mapping[str, Any]) -> None:
    """Raise DataError unless there is a row for each sample in every array, and a sample."""
    if len(X) != len(y) or len(y) == 0:
        raise DataError(f"X and y have one row per sample each, and at least one, got {len(X)} and {len(y)} rows")
    for name, array in extras.items():
        if len(array) != len(y):
            raise DataError(f"y and {name} have one row per sample each, got {len(y)} and {len(array)} rows")
