"""What all loaders have in common: an order, and a position that is two integers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    import numpy as np
    from numpy.typing import NDArray

    from aifs_data.augment import Transform

logger = logging.getLogger(__name__)


class Loader(ABC):
    """Batches of one part of a data set.

    Batches are a pure function of (seed, epoch): whoever iterates keeps the position, which is an epoch and a batch. A
    loader can be pickled, as long as its transforms can, and its copy gives the same batches.

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

    @abstractmethod
    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the samples of an epoch in the order they come, by number, shape (n_samples,).

        Batches are cut from it, `batch_size` numbers at a time, and nothing else decides which sample is in which
        batch. It is a pure function of (seed, epoch), so processes that each compute it agree on it. What the numbers
        are, each loader says: rows of arrays, places in a stream.
        """

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
        if require_count("batch", batch, at_least=0) >= len(self):
            raise DataError(f"batch is from 0 to {len(self) - 1}, the last one of an epoch, got {batch}")
        return self._cut(self.order(epoch), batch)

    def _cut(self, order: NDArray[np.intp], batch: int) -> NDArray[np.intp]:
        return order[batch * self.batch_size : (batch + 1) * self.batch_size]

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
