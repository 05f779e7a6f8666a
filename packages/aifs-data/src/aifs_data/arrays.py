"""Arrays that NumPy has no type for, rows of any of them, and their digests."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

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
    >>> list(words[1:])
    [array([5], dtype=int32)]
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        ends = self.offsets
        if len(ends) == 0 or ends[0] != 0 or ends[-1] != len(self.values) or (np.diff(ends) < 0).any():
            raise DataError(f"offsets rise from 0 to {len(self.values)}, the number of values, got {ends}")

    @classmethod
    def of(cls, sequences: Iterable[Sequence[Any]], dtype: Any = np.int32) -> Ragged:
        """Return these sequences of numbers, or of vectors; `dtype` is that of the numbers."""
        rows = [np.asarray(sequence, dtype=dtype) for sequence in sequences]
        # An empty list does not say what its elements would be: numbers, unless others hold vectors.
        shape = max((row.shape[1:] for row in rows), key=len, default=())
        filled = [row.reshape(0, *shape) if row.shape == (0,) else row for row in rows]
        return cls.from_lengths(np.concatenate([np.empty((0, *shape), dtype), *filled]), [len(row) for row in rows])

    @classmethod
    def from_lengths(cls, values: NDArray[Any], lengths: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Return the sequences of these lengths that lie one after another in `values`.

        Raises
        ------
        DataError
            When the lengths are not those of as many values, or one is negative.
        """
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, i: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, i: slice) -> Ragged: ...

    def __getitem__(self, i: int | slice) -> NDArray[Any] | Ragged:
        """Return sequence i as a view, or those of a slice as a `Ragged`, whose values are a view if they adjoin."""
        chosen = range(len(self))[i]
        if isinstance(chosen, int):
            return self.values[self.offsets[chosen] : self.offsets[chosen + 1]]
        if chosen.step != 1:
            return self.take(np.arange(len(self))[i])
        offsets = self.offsets[chosen.start : chosen.start + len(chosen) + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

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
        # Element j of the result is element j - (where its sequence starts there) + (where it starts here).
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum()) + np.repeat(self.offsets[:-1][rows] - starts, lengths)
        return Ragged.from_lengths(self.values[positions], lengths)

    def padded(self, rows: Sequence[int] | NDArray[np.intp], fill: int | float) -> NDArray[Any]:
        """Return these sequences as an array of shape (len(rows), longest, …), what is shorter filled up at its end."""
        return padder(self, fill)(np.asarray(rows, dtype=np.intp))


def padder(ragged: Ragged, fill: int | float, dtype: Any = None) -> Callable[[NDArray[np.intp]], NDArray[Any]]:
    """Return ``ragged.padded`` as a function of the rows, of another type if one is given.

    For many batches: what is the same for all of them is computed once.
    """
    values, starts, lengths = ragged.values, ragged.offsets[:-1], ragged.lengths
    dtype = values.dtype if dtype is None else dtype
    places = np.arange(int(lengths.max(initial=0)))

    def gather(rows: NDArray[np.intp]) -> NDArray[Any]:
        chosen = lengths.take(rows)[:, np.newaxis]
        here = places[: chosen.max(initial=0)]
        # What lies behind the end of a sequence is read too, clipped to what there is, and then overwritten.
        padded = values.take(starts.take(rows)[:, np.newaxis] + here, axis=0, mode="clip").astype(dtype, copy=False)
        padded[here >= chosen] = fill
        return padded

    return gather


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
