"""Batches of arrays in memory that have a row for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data._columns import check_rows, column, cut, joined, packed, read_only, slices
from aifs_data._loader import Loader, as_transforms
from aifs_data._tensors import converter, normalizer
from aifs_data.arrays import Ragged
from aifs_data.streams import epoch_order
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.augment import Transform
    from aifs_data.transforms import Normalize

    Gather = Callable[[slice], list[Any]]

# Samples. With more of them at once the arrays in between would not stay in the processor's cache, and the system would
# hand out new memory for each.
_FINISHED_AT_ONCE = 64
_TRANSFORMED_AT_ONCE = 128


class ArrayLoader(Loader):
    """Batches of arrays that have a row for each sample.

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
        Whether each epoch has an order of its own. Otherwise the samples come as they are.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    extras : mapping of str to ndarray or Ragged, optional
        What there is beside them. Then a batch is ``(X, {"y": y, **extras})``; Ragged ones are padded with -1.
    transform : callable or sequence of callables, optional
        Augmentation, see `aifs_data.augment`: of the images as they are stored, before they are normalized. What is
        not shuffled it gets as views that cannot be written.
    normalize : Normalize, optional
        How images become float32.
    framework : {"numpy", "torch"}
        What the batches are made of; tensors have the same order and the same numbers.
    device : str, optional
        Of torch. The arrays are moved there once and batches gathered there; with a `transform` each batch is moved.

    Raises
    ------
    DataError
        When the arrays are empty or of different length, or a size is no positive integer; when torch is asked for
        and is not there.

    Notes
    -----
    No batch can change the data. Shuffled ones are copies, to be kept or overwritten. Others are views where they are
    of NumPy and neither transformed nor normalized, and writing to one raises ValueError; tensors, which cannot be
    protected, are copies. On the CPU a loader of tensors takes no memory for the set beside that of the arrays, where
    they may be written and torch has their type.

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
        extras: Mapping[str, Any] | None = None,
        transform: Transform | Sequence[Transform] | None = None,
        normalize: Normalize | None = None,
        framework: str = "numpy",
        device: str | None = None,
    ) -> None:
        self.X, self.y, self.extras = X, y, dict(extras or {})
        check_rows(X, y, self.extras)
        self.shuffle = shuffle
        self.transforms = as_transforms(transform)
        self.normalize = normalize
        self.framework, self.device = framework, device
        self._convert = converter(framework, device)
        epochs_differ = shuffle or bool(self.transforms)
        super().__init__(len(y), batch_size, seed=seed, drop_last=drop_last, epochs_differ=epochs_differ)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return epoch_order(self.n_samples, seed=self.seed, epoch=epoch, shuffle=self.shuffle)

    @property
    def _gathers(self) -> bool:
        """Whether batches are gathered by index: the others, which have the rows as they lie, are slices."""
        return self.shuffle or self._part is not None

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        if self.framework == "torch" and not self.transforms and not self._has_ragged:
            batches = self._tensor_batches(epoch, start)
        elif self._gathers and not self.transforms and not (self._has_ragged and self._part is not None):
            batches = self._gathered_batches(epoch, start)
        else:
            batches = self._array_batches(epoch, start)
        return (packed(batch, self.extras) for batch in batches) if self.extras else batches

    def _gathered_batches(self, epoch: int, start: int) -> Iterator[tuple[Any, ...]]:
        """Return what `_array_batches` does, for the most common loaders, in loops of C: a microsecond less a batch."""
        at_once = self._whole_batches(_FINISHED_AT_ONCE)
        order = self.order(epoch)[start * self.batch_size : self._end()]
        rows = list(slices(order, at_once))
        columns: list[Iterator[Any]] = [
            slices(array.take(order), at_once) if _is_flat(array) else map(column(array), rows)
            for array in (self.X, self.y, *self.extras.values())
        ]
        if self.normalize is not None:
            columns[0] = map(partial(self.normalize.apply, in_place=True), columns[0])
        if self.framework != "numpy":
            columns = [map(self._convert, each) for each in columns]
        pieces: Iterator[tuple[Any, ...]] = zip(*columns, strict=True)
        if at_once == self.batch_size:
            return pieces
        size = self.batch_size
        return (batch for piece in pieces for batch in zip(*(slices(array, size) for array in piece), strict=True))

    def _array_batches(self, epoch: int, start: int) -> Iterator[tuple[Any, ...]]:
        # Gathered batch by batch: permuting the whole set first touches all of its memory twice and is twice as slow.
        # Small batches are cut from larger ones, because a call of NumPy costs as much as many samples.
        size, end = self.batch_size, self._end()
        finished = self._whole_batches(_FINISHED_AT_ONCE)
        gathered = self._whole_batches(_TRANSFORMED_AT_ONCE) if self.transforms else finished
        gather, finish = self._stages(epoch)
        if gathered == size:
            for first in range(start * size, end, size):
                yield tuple(finish(gather(slice(first, first + size))))
        else:
            for first in range(start * size, end, gathered):
                for piece in cut(gather(slice(first, min(first + gathered, end))), finished):
                    yield from zip(*(slices(array, size) for array in finish(piece)), strict=True)

    def _whole_batches(self, n_samples: int) -> int:
        # What is padded is as long as the longest sample of its batch, whatever other batches hold.
        return self.batch_size * (1 if self._has_ragged else max(1, n_samples // self.batch_size))

    @property
    def _has_ragged(self) -> bool:
        return any(isinstance(array, Ragged) for array in self.extras.values())

    def _stages(self, epoch: int) -> tuple[Gather, Callable[[list[Any]], list[Any]]]:
        """Return how samples are gathered, by a piece of the epoch's order, and how they are then finished."""
        order = self.order(epoch) if self._gathers else None
        gather = self._rows_in_place() if order is None else self._rows_gathered(order, epoch)
        if self.transforms:
            gather = self._rows_transformed(gather, epoch, order)
        normalize, in_place = None if self.normalize is None else self.normalize.apply, self._gathers
        convert = None if self.framework == "numpy" else self._convert

        def finish(arrays: list[Any]) -> list[Any]:
            if normalize is not None:
                arrays[0] = normalize(arrays[0], in_place=in_place)
            return arrays if convert is None else [convert(array) for array in arrays]

        return gather, finish

    def _rows_transformed(self, gather: Gather, epoch: int, order: NDArray[np.intp] | None) -> Gather:
        # Here, since most loaders have no transforms, and a short run is over in the time that the import takes.
        from aifs_data.augment import augment
        from aifs_data.draws import Draws

        def transformed(piece: slice) -> list[Any]:
            first, end, _ = piece.indices(self.n_samples)
            if end - first > _TRANSFORMED_AT_ONCE and not self._has_ragged:
                firsts = range(first, end, _TRANSFORMED_AT_ONCE)
                return joined((transformed(slice(i, min(i + _TRANSFORMED_AT_ONCE, end))) for i in firsts), end - first)
            X, *others = gather(piece)
            rows = np.arange(first, end) if order is None else order[piece]
            augmented = augment(self.transforms, X, Draws(self.seed, epoch, rows))
            if self.normalize is not None and augmented.dtype != X.dtype:
                raise DataError(
                    f"transforms keep the type of the images, which are normalized after them: expected {X.dtype}, "
                    f"got {augmented.dtype}; keep it, or load with normalize=None"
                )
            return [augmented, *others]

        return transformed

    def _rows_in_place(self) -> Gather:
        rows = np.arange(self.n_samples)
        columns = [
            _in_order(column(array), rows) if isinstance(array, Ragged) else read_only(array).__getitem__
            for array in (self.X, self.y, *self.extras.values())
        ]
        return lambda piece: [rows_of(piece) for rows_of in columns]

    def _rows_gathered(self, order: NDArray[np.intp], epoch: int) -> Gather:
        # Labels are gathered once for the epoch: they are small, and a call for each batch costs more than they do.
        columns = [
            array.take(order).__getitem__ if _is_flat(array) else self._rows_in_order(array, order, epoch)
            for array in (self.X, self.y, *self.extras.values())
        ]
        return lambda piece: [rows(piece) for rows in columns]

    def _rows_in_order(self, array: Any, order: NDArray[np.intp], epoch: int) -> Callable[[slice], NDArray[Any]]:
        rows_of, part, size = column(array), self._part, self.batch_size
        if part is None or part.dealt or not isinstance(array, Ragged):
            return _in_order(rows_of, order)
        rows_as_wide = part.rows_as_wide(array, rows_of, part.whole.order(epoch))
        return lambda piece: rows_as_wide(order[piece], piece.start // size)

    def _tensor_batches(self, epoch: int, start: int) -> Iterator[tuple[Any, ...]]:
        size, first, end = self.batch_size, start * self.batch_size, self._end()
        if first >= end:  # torch splits nothing into one piece of nothing
            return
        at_once = self._whole_batches(_FINISHED_AT_ONCE)
        order = self._convert(self.order(epoch)[first:end]) if self._gathers else None
        columns = [_tensor_pieces(tensor, order, slice(first, end), at_once) for tensor in self._tensors]
        # In their own order the pieces are views of the data, which normalizing copies.
        finish: list[Callable[[Any], Any] | None] = [None if self._gathers else methodcaller("clone")] * len(columns)
        if self.normalize is not None:
            finish[0] = normalizer(self.normalize, self._convert, in_place=self._gathers)
        finished = (column if each is None else map(each, column) for each, column in zip(finish, columns, strict=True))
        pieces: Iterator[tuple[Any, ...]] = zip(*finished, strict=True)
        if at_once == size:
            yield from pieces
        else:
            for piece in pieces:
                yield from zip(*(array.split(size) for array in piece), strict=True)

    @cached_property
    def _tensors(self) -> list[Any]:
        if self._part is not None:  # a device need not hold the set twice
            whole: Any = self._part.whole
            return list(whole._tensors)
        return [self._convert(array) for array in (self.X, self.y, *self.extras.values())]


def _is_flat(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == 1


def _in_order(rows_of: Callable[[Any], NDArray[Any]], order: NDArray[np.intp]) -> Callable[[slice], NDArray[Any]]:
    return lambda piece: rows_of(order[piece])


def _tensor_pieces(tensor: Any, order: Any, rows: slice, size: int) -> Iterator[Any]:
    """Return copies of a tensor's rows in this order, or views of these where there is none, so many at a time."""
    # `split` makes all pieces in one call; a slice of a tensor takes microseconds.
    if order is None:
        return iter(tensor[rows].split(size))
    if tensor.ndim == 1:
        return iter(tensor.index_select(0, order).split(size))
    return map(partial(tensor.index_select, 0), order.split(size))
