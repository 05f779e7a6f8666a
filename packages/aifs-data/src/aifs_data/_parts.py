"""What one of several processes that train together gets of a loader's batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data._loader import Loader


@dataclass(frozen=True)
class Part:
    """What one process gets: a piece of each batch, or, where whole batches are dealt out, some of the batches.

    Parameters
    ----------
    whole : Loader
        Whose batches they are.
    rank, size : int
        The number of the process, from 0, and how many there are.
    dealt : bool
        Whether it gets whole batches.
    """

    whole: Loader
    rank: int
    size: int
    dealt: bool

    def __post_init__(self) -> None:
        taken = self.whole._part
        if taken is not None:
            raise DataError(
                f"this loader has the part of process {taken.rank} of {taken.size} already: split or deal the whole one"
            )
        require_count("size", self.size)
        if require_count("rank", self.rank, at_least=0) >= self.size:
            raise DataError(f"rank is from 0 to {self.size - 1}, as there are {self.size} processes, got {self.rank}")
        if not self.dealt and self.whole.batch_size < self.size:
            raise DataError(
                f"a batch of {self.whole.batch_size} cannot be split over {self.size} processes: "
                f"take a batch_size of at least {self.size}, or fewer processes"
            )

    @property
    def batch_size(self) -> int:
        """Samples that it gets of a full batch."""
        each, more = divmod(self.whole.batch_size, self.size)
        return self.whole.batch_size if self.dealt else each + (self.rank < more)

    @property
    def has_last(self) -> bool:
        """Whether it gets the last batch of an epoch, or a piece of it."""
        return not self.dealt or (len(self.whole) - 1) % self.size == self.rank

    def number(self, batch: int) -> int:
        """Return which batch of the whole loader a batch is, or is a piece of."""
        return self.rank + batch * self.size if self.dealt else batch

    def places(self) -> NDArray[np.intp]:
        """Return which places of an epoch's order it gets, in that order."""
        first, n = self._runs()
        # Place j of the result is place j - (where its batch begins there) + (where that begins in the whole order).
        places: NDArray[np.intp] = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
        return places

    def rows_as_wide(
        self, array: Any, rows_of: Callable[[NDArray[np.intp]], NDArray[Any]], order: NDArray[np.intp]
    ) -> Callable[[NDArray[np.intp], int], NDArray[Any]]:
        """Return a function from rows of an array, and the number of their batch, to what `rows_of` makes of them.

        Sequences are padded to the longest of the whole batch: a model may see where the padding ends. `order` is that
        of the whole loader's epoch.
        """
        if not isinstance(array, Ragged):
            return lambda rows, batch: rows_of(rows)
        edges = self.whole._edges
        end = edges[-1]
        # The largest of these numbers in a batch has the largest length, and says at which place.
        keyed = array.lengths.take(order[:end]) * end + np.arange(end)
        longest = order.take(np.maximum.reduceat(keyed, edges[:-1]) % end)
        return lambda rows, batch: rows_of(np.concatenate((rows, longest[batch : batch + 1])))[:-1]

    def _runs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return, for each of its batches, the first place and how many there are."""
        edges = self.whole._edges
        first, n = edges[:-1], np.diff(edges)
        if self.dealt:
            return first[self.rank :: self.size], n[self.rank :: self.size]
        each, more = np.divmod(n, self.size)
        here = each + (self.rank < more)
        # A batch with fewer samples than there are processes: who would get none gets the first.
        before = np.where(here > 0, self.rank * each + np.minimum(self.rank, more), 0)
        return first + before, np.maximum(here, 1)
