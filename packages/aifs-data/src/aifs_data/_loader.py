"""What all loaders have in common: an order, and a position that is two integers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aifs_data._parts import Part
from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.augment import Transform

logger = logging.getLogger(__name__)


class Loader(ABC):
    """Batches of one part of a data set.

    Batches are a pure function of (seed, epoch): whoever iterates keeps the position, which is an epoch and a batch. A
    loader can be pickled, as long as its transforms can, and its copy gives the same batches.

    Processes that train together each take a `split` of the loader, and of a loader to evaluate on what `deal` gives.

    Parameters
    ----------
    n_samples : int
        The number of samples there are, those that `drop_last` leaves out included.
    batch_size : int
        Samples in a batch; the last one has what is left.
    seed : int
        What everything random is drawn with, together with the epoch's number.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    epochs_differ : bool
        Whether epochs have other batches than epoch 0 has: shuffled, augmented or fresh ones.

    Attributes
    ----------
    X_padding, y_padding : int, float or None
        What shorter inputs, and shorter targets, are filled up with; None where they all have the same shape.
    """

    X_padding: int | float | None = None
    y_padding: int | float | None = None

    _part: Part | None = None

    def __init__(
        self, n_samples: int, batch_size: int, *, seed: int = 0, drop_last: bool = False, epochs_differ: bool = False
    ) -> None:
        self.n_samples = n_samples
        self.batch_size = require_count("batch_size", batch_size)
        self.seed = require_count("seed", seed, at_least=0)
        self.drop_last = drop_last
        self.epochs_differ = epochs_differ
        self._plain_iterations = 0
        if len(self) == 0:
            raise DataError(
                f"drop_last leaves no batch: {n_samples} samples are less than one batch of {batch_size}; "
                "take a smaller batch_size or drop_last=False"
            )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.n_samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """Return the batches of epoch 0, each time; the second time there is a warning if other epochs differ."""
        self._plain_iterations += 1
        if self._plain_iterations == 2 and self.epochs_differ:
            logger.warning(
                "a plain loop over a loader goes through epoch 0, with the same batches every time: "
                "take loader.batches(epoch) to train, which has others in each epoch"
            )
        return self.batches(0)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Return the batches of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        start : int
            The first batch, from 0: a run that was stopped goes on there. ``len(loader)`` gives no batches.

        Returns
        -------
        iterator of (X, y)

        Raises
        ------
        DataError
            When `epoch` is negative, or `start` is not from 0 to the number of batches.
        """
        require_count("epoch", epoch, at_least=0)
        if require_count("start", start, at_least=0) > len(self):
            raise DataError(f"start is from 0 to {len(self)}, the number of batches in an epoch, got {start}")
        return self._batches(epoch, start)

    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the samples of an epoch in the order they come, by number, shape (n_samples,).

        Batches are cut from it, `batch_size` numbers at a time, and nothing else decides which sample is in which
        batch. It is a pure function of (seed, epoch), so processes that each compute it agree on it. The numbers are
        rows of arrays, or of whatever is indexed; of a `FreshLoader` those of samples without end; of a `WindowLoader`
        places in the stream, where the windows begin.

        Raises
        ------
        DataError
            When `epoch` is no integer of at least 0.
        """
        epoch = require_count("epoch", epoch, at_least=0)
        if self._part is None:
            return self._order(epoch)
        return self._part.whole.order(epoch).take(self._part.places())

    def batch_indices(self, epoch: int, batch: int) -> NDArray[np.intp]:
        """Return which samples a batch holds, by the numbers of `order`, shape (n,): to say where something went wrong.

        Parameters
        ----------
        epoch, batch : int
            Both from 0.

        Raises
        ------
        DataError
            When `epoch` is negative, or there is no such batch in an epoch.
        """
        return self._cut(self.order(epoch), self._checked(batch))

    def n_in_batch(self, batch: int) -> int:
        """Return how many samples a batch has; of a `split` loader, the whole batch that it has a piece of.

        Parameters
        ----------
        batch : int
            From 0.

        Raises
        ------
        DataError
            When there is no such batch in an epoch.
        """
        batch = self._checked(batch)
        if self._part is not None:
            return self._part.whole.n_in_batch(self._part.number(batch))
        return int(self._edges[batch + 1] - self._edges[batch])

    def split(self, rank: int, size: int) -> Self:
        """Return the loader of one process's piece of each batch, where `size` processes share the batches.

        It has as many batches, and its batch b is a run of the samples of batch b, as they are there: the pieces of
        all processes, in the order of their ranks, are the batch. Of n samples the first ``n % size`` processes get
        ``n // size + 1``, the others ``n // size``. Where that is none, in a last batch of few samples, they get its
        first sample, which is then there twice: leave it out of sums and means.

        Parameters
        ----------
        rank, size : int
            The number of the process, from 0, and how many there are.

        Returns
        -------
        Loader
            With the same arrays. `n_in_batch` counts the samples of the whole batches.

        Raises
        ------
        DataError
            When a batch has fewer samples than there are processes, or there is no such process; when this loader is
            such a part itself.

        Examples
        --------
        >>> import numpy as np
        >>> from aifs_data import ArrayLoader
        >>> loader = ArrayLoader(np.eye(7), np.arange(7), batch_size=3)
        >>> [[y.tolist() for X, y in loader.split(rank, 2)] for rank in range(2)]
        [[[0, 1], [3, 4], [6]], [[2], [5], [6]]]
        """
        return self._taking(Part(self, rank, size, dealt=False))

    def deal(self, rank: int, size: int) -> Self:
        """Return the loader of the whole batches ``rank``, ``rank + size``, …, as `size` processes share an epoch.

        So each batch is computed once, as it would be by a single process. Where there are fewer batches than
        processes, some loaders have none.

        Parameters
        ----------
        rank, size : int
            The number of the process, from 0, and how many there are.

        Returns
        -------
        Loader
            With the same arrays.

        Raises
        ------
        DataError
            When there is no such process, or this loader is such a part itself.

        Examples
        --------
        >>> import numpy as np
        >>> from aifs_data import ArrayLoader
        >>> loader = ArrayLoader(np.eye(7), np.arange(7), batch_size=3)
        >>> [[y.tolist() for X, y in loader.deal(rank, 2)] for rank in range(2)]
        [[[0, 1, 2], [6]], [[3, 4, 5]]]
        """
        return self._taking(Part(self, rank, size, dealt=True))

    def _taking(self, part: Part) -> Self:
        """Return a copy of this loader that has the batches of a part of it; for a single process the loader itself."""
        if part.size == 1:
            return self
        taking = copy(self)
        taking.batch_size, taking.n_samples = part.batch_size, len(part.places())
        taking._part, taking._plain_iterations = part, 0
        return taking

    def _checked(self, batch: int) -> int:
        if require_count("batch", batch, at_least=0) >= len(self):
            raise DataError(f"batch is from 0 to {len(self) - 1}, the last one of an epoch, got {batch}")
        return batch

    @cached_property
    def _edges(self) -> NDArray[np.intp]:
        """Where in an epoch's order each batch begins, and behind them where the last one ends."""
        return np.minimum(np.arange(len(self) + 1) * self.batch_size, self.n_samples)

    def _cut(self, order: NDArray[np.intp], batch: int) -> NDArray[np.intp]:
        return order[self._edges[batch] : self._edges[batch + 1]]

    @abstractmethod
    def _order(self, epoch: int) -> NDArray[np.intp]:
        """Return what `order` does, of a loader that is whole; the epoch is checked."""

    @abstractmethod
    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        """Return the batches of an epoch from `start` on; both are checked."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: not what is made on first use, which may lie on a device or be a closure."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if not isinstance(getattr(type(self), name, None), cached_property)
        }

    def _end(self) -> int:
        """Return how many samples an epoch has batches for."""
        return min(self.n_samples, len(self) * self.batch_size)


def as_transforms(transform: Transform | Sequence[Transform] | None) -> tuple[Transform, ...]:
    """Return the transforms that were given as one, as several, or as None."""
    transforms = () if transform is None else (transform,) if callable(transform) else tuple(transform)
    for each in transforms:
        if not callable(each):
            raise DataError(f"a transform is a callable transform(X, draws) -> X, got {each!r}")
    return transforms
