"""Batches of samples without end: no sample comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data._loader import Loader, as_transforms
from aifs_data.checks import require_count
from aifs_data.dataset import Split

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.augment import Transform

# Sets without end are drawn in blocks of 256 samples, and part of a block costs as much as a whole one.
_DRAWN_AT_ONCE = 256


class FreshLoader(Loader):
    """Batches of samples that are drawn anew in each epoch.

    Epoch e has the samples ``e * n_samples`` to ``(e + 1) * n_samples - 1``, in their order, which is random by itself.

    Of a `split` only the samples of this process are drawn, except where sequences are padded: then whole batches are,
    because the longest sequence of all says how wide the piece is. Part of a block of 256 samples costs as much as a
    whole one in the sets of this package, so pieces save time from batches of more than 256 samples on.

    Parameters
    ----------
    draw : callable
        ``draw(rows)`` returns the `Split` of the samples with these numbers: ``partial(dataset.draw, "train")``.
    n_samples : int
        What is called an epoch.
    batch_size : int
        Samples in a batch; the last one of an epoch has what is left.
    make_loader : callable
        ``make_loader(part, batch_size)`` returns the loader, not shuffled, that makes batches of what was drawn: views
        that cannot be written, or copies, as that loader says.
    seed : int
        Of the `transform`; the samples have the data set's.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    transform : callable or sequence of callables, optional
        Augmentation, see `aifs_data.augment`.
    X_padding, y_padding : int or float, optional
        What those loaders fill up shorter inputs and targets with, for whoever reads it here.
    """

    def __init__(
        self,
        draw: Callable[[NDArray[np.intp]], Split],
        n_samples: int,
        batch_size: int,
        *,
        make_loader: Callable[[Split, int], Loader],
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | Sequence[Transform] | None = None,
        X_padding: int | float | None = None,
        y_padding: int | float | None = None,
    ) -> None:
        self.draw, self.make_loader = draw, make_loader
        self.transforms = as_transforms(transform)
        self.X_padding, self.y_padding = X_padding, y_padding
        n_samples = require_count("n_samples", n_samples)
        super().__init__(n_samples, batch_size, seed=seed, drop_last=drop_last, epochs_differ=True)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return np.arange(epoch * self.n_samples, (epoch + 1) * self.n_samples)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        part, is_padded = self._part, (self.X_padding, self.y_padding) != (None, None)
        if part is None or part.dealt or not is_padded:
            return chain.from_iterable(self._drawn(epoch, start))
        # How wide a batch is shows when all of it is drawn.
        whole: Any = part.whole
        return chain.from_iterable(loader.split(part.rank, part.size) for loader in whole._drawn(epoch, start))

    def _drawn(self, epoch: int, start: int) -> Iterator[Loader]:
        """Return the loaders of some batches each, one after another."""
        order, end = self.order(epoch), self._end()
        at_once = max(1, _DRAWN_AT_ONCE // self.batch_size) * self.batch_size
        for first in range(start * self.batch_size, end, at_once):
            rows = order[first : min(first + at_once, end)]
            part = self.draw(rows)
            if self.transforms:
                from aifs_data.augment import augment
                from aifs_data.draws import Draws

                part = replace(part, X=augment(self.transforms, part.X, Draws(self.seed, epoch, rows)))
            yield self.make_loader(part, self.batch_size)
