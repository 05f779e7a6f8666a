"""Pieces of the sets of token sequences that are generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def symbols(n_symbols: int) -> tuple[str, ...]:
    """Return the first letters of the alphabet, at least two of them.

    Raises
    ------
    DataError
        When there are not so many.

    Examples
    --------
    >>> symbols(3)
    ('a', 'b', 'c')
    """
    n_symbols = require_count("n_symbols", n_symbols, at_least=2)
    if n_symbols > len(_LETTERS):
        raise DataError(f"n_symbols is at most {len(_LETTERS)}, the letters of the alphabet, got {n_symbols}")
    return tuple(_LETTERS[:n_symbols])


def require_lengths(min_length: int, length: int) -> tuple[int, int]:
    """Return the least and the greatest length of a sequence; otherwise raise DataError."""
    min_length, length = require_count("min_length", min_length), require_count("length", length)
    if min_length > length:
        raise DataError(f"min_length is at most length, {length}, got {min_length}")
    return min_length, length


def beginnings(table: NDArray[Any], lengths: NDArray[np.int64]) -> Ragged:
    """Return the first `lengths` elements of each row.

    Examples
    --------
    >>> import numpy as np
    >>> list(beginnings(np.array([[7, 8, 9], [5, 0, 0]]), np.array([2, 1])))
    [array([7, 8]), array([5])]
    """
    return Ragged.from_lengths(table[np.arange(table.shape[1]) < lengths[:, np.newaxis]], lengths)
