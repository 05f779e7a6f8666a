"""Batches of arrays in memory, in an order that is a pure function of (seed, epoch).

A loader has no state: where a run stands is two integers, the epoch and the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import Dataset
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Batch = tuple[NDArray[Any], NDArray[Any]]

# Evaluation learns nothing from small batches, and a batch of one costs a Python call for every sample.
_LEAST_EVAL_BATCH_SIZE = 256


class ArrayLoader:
    """Batches of two arrays.

    Parameters
    ----------
    X : ndarray, shape (n_samples, …)
        Inputs.
    y : ndarray, shape (n_samples, …)
        Targets.
    batch_size : int
        Samples in a batch; the last one has what is left.
    seed : int
        What the order of an epoch is drawn with, together with the epoch's number.
    shuffle : bool
        Whether each epoch has an order of its own. Otherwise the samples come as they are, as views of `X` and `y`.
    drop_last : bool
        Whether to leave out a last batch that is not full.

    Raises
    ------
    DataError
        When the arrays are empty or of different length, or a size is no positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> loader = ArrayLoader(np.eye(5), np.arange(5), batch_size=2, shuffle=True)
    >>> [len(y) for X, y in loader.batches(epoch=3)]
    [2, 2, 1]
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
    ) -> None:
        if len(X) != len(y) or len(y) == 0:
            raise DataError(f"X and y have one row per sample each, and at least one, got {len(X)} and {len(y)} rows")
        self.X, self.y = X, y
        self.batch_size = require_count("batch_size", batch_size)
        self.seed = require_count("seed", seed, at_least=0)
        self.shuffle, self.drop_last = shuffle, drop_last
        if len(self) == 0:
            raise DataError(
                f"drop_last leaves no batch: {len(y)} samples are less than one batch of {batch_size}; "
                "take a smaller batch_size or drop_last=False"
            )

    @property
    def n_samples(self) -> int:
        """The number of samples there are, those that `drop_last` leaves out included."""
        return len(self.y)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.n_samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches of epoch 0."""
        return self.batches(0)

    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the indices of the samples in the order of that epoch, shape (n_samples,)."""
        epoch = require_count("epoch", epoch, at_least=0)
        if not self.shuffle:
            return np.arange(self.n_samples)
        return random_stream(self.seed, "order", epoch).permutation(self.n_samples)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
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
        return self._shuffled(self.order(epoch), start) if self.shuffle else self._in_place(start)

    def _slices(self, start: int) -> Iterator[slice]:
        size = self.batch_size
        return (slice(i * size, (i + 1) * size) for i in range(start, len(self)))

    def _in_place(self, start: int) -> Iterator[Batch]:
        return ((self.X[rows], self.y[rows]) for rows in self._slices(start))

    def _shuffled(self, order: NDArray[np.intp], start: int) -> Iterator[Batch]:
        # Gathered batch by batch: permuting the whole set first touches all of its memory twice and is twice as slow.
        # `take` because it is faster than X[chosen] here; its out= would hand every batch the same memory.
        take_X, take_y = self.X.take, self.y.take
        for rows in self._slices(start):
            chosen = order[rows]
            yield take_X(chosen, axis=0), take_y(chosen, axis=0)


class DataLoaders(NamedTuple):
    """The loaders of the three parts of a data set."""

    train: ArrayLoader
    val: ArrayLoader | None
    test: ArrayLoader | None


def create_data_loaders(
    dataset: Dataset,
    batch_size: int,
    seed: int = 0,
    *,
    eval_batch_size: int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> DataLoaders:
    """Return a loader for each part of a data set.

    Parameters
    ----------
    dataset : Dataset
        What to load.
    batch_size : int
        Samples in a batch of the training part.
    seed : int
        What the order of the training part is drawn with.
    eval_batch_size : int, optional
        Samples in a batch of the other parts, which are neither shuffled nor cut; by default `batch_size`, and at
        least 256.
    shuffle, drop_last : bool
        Of the training part.

    Returns
    -------
    DataLoaders
        A named tuple (train, val, test); None stands for a validation or test part without samples.

    Raises
    ------
    DataError
        When a size is no positive integer.
    """
    train = ArrayLoader(dataset.train.X, dataset.train.y, batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last)
    size = max(batch_size, _LEAST_EVAL_BATCH_SIZE) if eval_batch_size is None else eval_batch_size
    size = require_count("eval_batch_size", size)
    val, test = (
        ArrayLoader(part.X, part.y, size, seed=seed) if len(part) else None for part in (dataset.val, dataset.test)
    )
    return DataLoaders(train, val, test)
