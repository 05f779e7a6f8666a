"""Batches of sequences: of different lengths, or cut out of one long stream of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aifs_data._columns import check_rows, column, packed
from aifs_data._loader import Loader
from aifs_data._parts import Part
from aifs_data._tensors import converter
from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

# What torch's losses leave out of the mean by default: no token has this id, so a target that is padded with it cannot
# be taken for one.
IGNORED = -100

# So many batches' samples are drawn at random and then sorted by length. More would pad less and mix less.
_BATCHES_SORTED_TOGETHER = 50


class RaggedLoader(Loader):
    """Batches of sequences of different lengths, each as wide as its longest.

    Shuffled batches are of sequences of similar length: an epoch is put in random order, each run of 50 batches is
    sorted by length, and the batches then come in random order. A last batch that is not full comes last.

    Parameters
    ----------
    X, y : Ragged or ndarray
        Inputs and targets, at least one of them `Ragged`. Integers of `Ragged` arrays are batched as int64.
    batch_size : int
        Samples in a batch.
    X_padding : int or float
        What fills up shorter inputs at their ends, the vocabulary's id for padding. Where it has none, 0, which may
        be a token too: then `y` tells what is padding.
    y_padding : int or float
        What fills up shorter targets. By default -100, which torch's losses leave out.
    seed : int
        What the order of an epoch is drawn with, together with the epoch's number.
    shuffle : bool
        Otherwise the samples come as they are, so that predictions line up with the data set.
    drop_last : bool
        Whether to leave out a last batch that is not full. What is left out is a random choice and not the longest.
    extras : mapping of str to ndarray or Ragged, optional
        What there is beside them. Then a batch is ``(X, {"y": y, **extras})``; Ragged ones are padded with -1.
    framework : {"numpy", "torch"}
    device : str, optional
        Of torch: where each batch is moved.

    Examples
    --------
    >>> from aifs_data.arrays import Ragged
    >>> names = Ragged.of([[5, 13], [1, 14, 14], [2]])
    >>> for X, y in RaggedLoader(names, names, batch_size=2):
    ...     print(X.tolist(), y.tolist())
    [[5, 13, 0], [1, 14, 14]] [[5, 13, -100], [1, 14, 14]]
    [[2]] [[2]]
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        batch_size: int,
        *,
        X_padding: int | float = 0,
        y_padding: int | float = IGNORED,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        extras: Mapping[str, Any] | None = None,
        framework: str = "numpy",
        device: str | None = None,
    ) -> None:
        self.X, self.y, self.extras = X, y, dict(extras or {})
        check_rows(X, y, self.extras)
        self.shuffle = shuffle
        self.X_padding = X_padding if isinstance(X, Ragged) else None
        self.y_padding = y_padding if isinstance(y, Ragged) else None
        self._convert = converter(framework, device)
        # Ordered by the length of the input, and among equals by that of the target.
        sizes = [array.lengths if isinstance(array, Ragged) else np.zeros(len(y), dtype=np.int64) for array in (X, y)]
        self._lengths = sizes[0] * (sizes[1].max() + 1) + sizes[1]
        super().__init__(len(y), batch_size, seed=seed, drop_last=drop_last, epochs_differ=shuffle)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        # What does not fill a batch is last, and left out with drop_last.
        if not self.shuffle:
            return np.arange(self.n_samples)
        rng = random_stream(self.seed, "order", epoch)
        order = rng.permutation(self.n_samples)
        size = self.batch_size
        n_full = self.n_samples // size
        full, rest = order[: n_full * size], order[n_full * size :]
        pool = np.arange(len(full)) // (_BATCHES_SORTED_TOGETHER * size)
        full = full[np.lexsort((self._lengths[full], pool))]
        full = full.reshape(n_full, size)[rng.permutation(n_full)].reshape(-1)
        return np.concatenate([full, rest])

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        if self._part is not None and not self._part.dealt:
            yield from self._pieces(self._part, epoch, start)
            return
        order, convert = self.order(epoch), self._convert
        for first in range(start * self.batch_size, self._end(), self.batch_size):
            rows = order[first : first + self.batch_size]
            yield packed([convert(gather(rows)) for gather in self._columns], self.extras)

    def _pieces(self, part: Part, epoch: int, start: int) -> Iterator[Any]:
        """Return pieces of batches, as wide as the whole batches are."""
        whole_order, size = part.whole.order(epoch), self.batch_size
        order = whole_order.take(part.places())
        arrays = (self.X, self.y, *self.extras.values())
        columns = [
            part.rows_as_wide(array, rows_of, whole_order) for array, rows_of in zip(arrays, self._columns, strict=True)
        ]
        for batch in range(start, len(self)):
            rows = order[batch * size : (batch + 1) * size]
            yield packed([self._convert(rows_of(rows, batch)) for rows_of in columns], self.extras)

    @cached_property
    def _columns(self) -> list[Callable[[NDArray[np.intp]], NDArray[Any]]]:
        X = column(self.X) if self.X_padding is None else column(self.X, self.X_padding)
        y = column(self.y) if self.y_padding is None else column(self.y, self.y_padding)
        return [X, y, *map(column, self.extras.values())]


class WindowLoader(Loader):
    """Batches of windows of one stream of tokens, as int64.

    Shuffled, the windows of an epoch lie one after another from an offset that is drawn anew, and come in random order;
    the tokens before the first and after the last, fewer than two windows, have their turn in other epochs. Otherwise
    the windows begin at 0 and come in their order; what is left at the end is a shorter window in a batch of its own,
    so that every token counts once. Weigh batches by their tokens, ``y.size``, for a mean over tokens.

    Parameters
    ----------
    X, y : ndarray of int, shape (n_tokens,)
        Tokens, and what is to be predicted at each: the next one.
    batch_size : int
        Windows in a batch.
    context_length : int
        Tokens in a window.
    seed : int
        What offset and order of an epoch are drawn with, together with the epoch's number.
    shuffle : bool
        Whether to train on them.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    framework : {"numpy", "torch"}
    device : str, optional
        Of torch: where each batch is moved.

    Examples
    --------
    >>> import numpy as np
    >>> text = np.arange(10)
    >>> for X, y in WindowLoader(text[:-1], text[1:], batch_size=2, context_length=4):
    ...     print(X.tolist(), y.tolist())
    [[0, 1, 2, 3], [4, 5, 6, 7]] [[1, 2, 3, 4], [5, 6, 7, 8]]
    [[8]] [[9]]
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        batch_size: int,
        *,
        context_length: int,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        framework: str = "numpy",
        device: str | None = None,
    ) -> None:
        if X.ndim != 1 or X.shape != y.shape or len(X) == 0:
            raise DataError(f"X and y are streams of as many tokens, and at least one, got shapes {X.shape}, {y.shape}")
        self.X, self.y = X, y
        self.context_length = require_count("context_length", context_length)
        self.shuffle = shuffle
        self._convert = converter(framework, device)
        if shuffle and len(X) < context_length:
            raise DataError(
                f"a window of context_length={context_length} tokens does not fit into a stream of {len(X)}: "
                "take a smaller context_length"
            )
        self._has_short_window = not shuffle and len(X) % context_length > 0
        super().__init__(self._n_windows(), batch_size, seed=seed, drop_last=drop_last, epochs_differ=shuffle)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole = self.n_samples - self._has_short_window
        full, rest = divmod(whole, self.batch_size)
        return full + ((rest > 0) + self._has_short_window) * (not self.drop_last)

    @cached_property
    def _edges(self) -> NDArray[np.intp]:
        edges = np.minimum(np.arange(len(self) + 1) * self.batch_size, self.n_samples - self._has_short_window)
        if self._has_short_window and not self.drop_last:
            edges[-1] = self.n_samples
        return edges

    def _taking(self, part: Part) -> Self:
        taking = super()._taking(part)
        taking._has_short_window = self._has_short_window and not self.drop_last and part.has_last
        return taking

    def _n_windows(self) -> int:
        if not self.shuffle:
            return -(-len(self.X) // self.context_length)
        # So many fit whatever the offset, which is up to context_length - 1 or more.
        return max(1, (len(self.X) - self.context_length + 1) // self.context_length)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        starts = np.arange(self.n_samples) * self.context_length
        if not self.shuffle:
            return starts
        rng = random_stream(self.seed, "windows", epoch)
        spare = len(self.X) - self.n_samples * self.context_length
        return rng.permutation(starts + rng.integers(0, spare + 1))

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        starts, places = self.order(epoch), np.arange(self.context_length)
        whole = self.n_samples - self._has_short_window
        for batch in range(start, len(self)):
            first = batch * self.batch_size
            if first < whole:
                positions = starts[first : min(first + self.batch_size, whole), np.newaxis] + places  # (B, T)
            else:
                positions = np.arange(starts[-1], len(self.X))[np.newaxis]
            yield tuple(
                self._convert(stream.take(positions).astype(np.int64, copy=False)) for stream in (self.X, self.y)
            )
