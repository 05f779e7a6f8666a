"""Arrays that NumPy has no type for, rows of any of them, and their digests."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_GATHERED_AT_ONCE = 4 << 20  # bytes


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Sequences of different lengths, one after another in a single array.

    Parameters
    ----------
    values : ndarray, shape (total, …)
        The elements of all sequences.
    offsets : ndarray of int64, shape (n_samples + 1,)
        Sequence i is ``values[offsets[i]:offsets[i + 1]]``.

    Examples
    --------
    >>> words = Ragged.of([[7, 8, 9], [5]])
    >>> len(words), words[0], words.lengths
    (2, array([7, 8, 9], dtype=int32), array([3, 1]))
    >>> words.padded([0, 1], fill=0)
    array([[7, 8, 9],
           [5, 0, 0]], dtype=int32)
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        ends = self.offsets
        if len(ends) == 0 or ends[0] != 0 or ends[-1] != len(self.values) or (np.diff(ends) < 0).any():
            raise DataError(f"offsets rise from 0 to {len(self.values)}, the number of values, got {ends}")

    @classmethod
    def of(cls, sequences: Iterable[Sequence[Any]], dtype: Any = np.int32) -> Ragged:
        """Return these sequences; `dtype` is that of their elements."""
        rows = [np.asarray(sequence, dtype=dtype) for sequence in sequences]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.concatenate(rows) if rows else np.empty(0, dtype=dtype), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> NDArray[Any]:
        """Return sequence i, as a view."""
        i = range(len(self))[i]
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __repr__(self) -> str:
        longest = int(self.lengths.max()) if len(self) else 0
        return f"Ragged({len(self)} sequences of up to {longest} × {self.values.dtype})"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.values.nbytes + self.offsets.nbytes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each sequence, shape (n_samples,)."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.intp]) -> Ragged:
        """Return these sequences, in this order."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        # Element j of the result is element j - (where its sequence starts there) + (where it starts here).
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Ragged(self.values[positions], offsets)

    def padded(self, rows: Sequence[int] | NDArray[np.intp], fill: int | float) -> NDArray[Any]:
        """Return these sequences as an array of shape (len(rows), longest), what is shorter filled up at its end."""
        chosen = self.take(np.asarray(rows, dtype=np.intp))
        lengths = chosen.lengths
        out = np.full((len(lengths), int(lengths.max(initial=0))), fill, dtype=self.values.dtype)
        out[np.arange(out.shape[1]) < lengths[:, np.newaxis]] = chosen.values
        return out


def take_rows(array: Any, rows: NDArray[np.intp]) -> Any:
    """Return these rows of an ndarray, of a `Ragged`, or of a sparse array, as an array of its own."""
    return array.take(rows) if isinstance(array, Ragged) else array[rows]


def take_rows_of_file(array: Any, rows: NDArray[np.intp]) -> Any:
    """Return rows, in ascending order, of an array that may be mapped from a file and that nobody has written to.

    The file is gone through piece by piece, and the pages of each are let go: the memory in use grows by the result.
    """
    if not isinstance(array, np.memmap):
        return take_rows(array, rows)
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    step = max(1, _GATHERED_AT_ONCE * len(array) // max(1, array.nbytes))
    start = 0
    for end in np.searchsorted(rows, np.arange(step, len(array) + step, step)):
        # mode="clip", since "raise" goes through a buffer; the rows are all there.
        array.take(rows[start:end], axis=0, out=out[start:end], mode="clip")
        let_go(array)
        start = end
    return out


def let_go(array: Any) -> None:
    """Tell the system that the pages of a file in memory are not needed now; they come back when they are read.

    Only for an array that nobody has written to: what was written would be lost.
    """
    mapped: Any = getattr(array, "_mmap", None)
    if hasattr(mapped, "madvise"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def components(array: Any) -> Iterator[NDArray[Any]]:
    """Return the plain arrays that an array consists of: itself, or those of a Ragged or of a sparse CSR array."""
    if isinstance(array, Ragged):
        return iter((array.values, array.offsets))
    if hasattr(array, "indptr"):
        return iter((array.data, array.indices, array.indptr))
    return iter((np.ascontiguousarray(array),))
