"""What all loaders have in common: no state, and a position that is two integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:
    from aifs_data.augment import Transform


class Loader(ABC):
    """Batches of one part of a data set.

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
    """

    def __init__(self, n_samples: int, batch_size: int, *, seed: int = 0, drop_last: bool = False) -> None:
        self.n_samples = n_samples
        self.batch_size = require_count("batch_size", batch_size)
        self.seed = require_count("seed", seed, at_least=0)
        self.drop_last = drop_last
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
        """Return the batches of epoch 0."""
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
    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        """Return the batches of an epoch from `start` on; both are checked."""

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
