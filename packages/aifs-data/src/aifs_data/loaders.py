"""Batches of arrays in memory, in an order that is a pure function of (seed, epoch).

Where a run stands is two integers, the epoch and the next batch, and the run keeps them. `create_data_loaders` chooses
the loader by what the arrays are; the loaders themselves are in `array_loader`, `sequence_loaders` and `fresh_loader`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_data._loader import Loader, as_transforms
from aifs_data.array_loader import ArrayLoader
from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, Split
from aifs_data.fresh_loader import FreshLoader
from aifs_data.sequence_loaders import RaggedLoader, WindowLoader
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.augment import Transform
    from aifs_data.transforms import Normalize

# Evaluation learns nothing from small batches, and a batch of one costs a Python call for every sample.
_LEAST_EVAL_BATCH_SIZE = 256


class DataLoaders(NamedTuple):
    """The loaders of the three parts of a data set."""

    train: Loader
    val: Loader | None
    test: Loader | None


def create_data_loaders(
    dataset: Dataset,
    batch_size: int,
    seed: int = 0,
    *,
    eval_batch_size: int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    normalize: Normalize | str | None = "auto",
    transform: Transform | Sequence[Transform] | None = None,
    framework: str = "numpy",
    device: str | None = None,
    context_length: int | None = None,
    fresh: bool = False,
) -> DataLoaders:
    """Return a loader for each part of a data set, of the kind that its arrays need.

    =================================== ============== ==========================================================
    the set has                         loader         a batch
    =================================== ============== ==========================================================
    an array row for each sample        `ArrayLoader`  ``(X, y)``; with extras ``(X, {"y": y, "boxes": …})``
    sequences of different lengths      `RaggedLoader` ``(X, y)``, padded
    one stream of tokens                `WindowLoader` ``(X, y)`` of shape (batch_size, context_length)
    samples without end, ``fresh=True`` `FreshLoader`  as above, of other samples in each epoch
    =================================== ============== ==========================================================

    Token ids are batched as int64. Train with ``loaders.train.batches(epoch)``; a plain loop is epoch 0 every time.

    Shorter sequences of a batch are filled up at their ends, inputs with ``loader.X_padding`` and targets with
    ``loader.y_padding``. These are the ids for padding in the vocabularies of X and of y: of y too, since targets are
    also fed to a decoder, whose input must be a token; so give a loss of torch ``ignore_index=loader.y_padding``. Where
    a vocabulary has no such id they are 0, which is a token, and -100, which is none and which torch's losses leave
    out. A mask is ``y != loader.y_padding``, or ``X != loader.X_padding`` where the vocabulary has an id for padding;
    the lengths are ``mask.sum(1)``.

    Parameters
    ----------
    dataset : Dataset
        What to load.
    batch_size : int
        Samples in a batch of the training part.
    seed : int
        What the order of the training part, and its augmentation, are drawn with.
    eval_batch_size : int, optional
        Samples in a batch of the other parts, which are neither shuffled nor cut nor augmented; by default
        `batch_size`, and at least 256.
    shuffle, drop_last : bool
        Of the training part.
    normalize : {"auto", "standard"}, Normalize or None
        "auto" makes float32 from 0 to 1 of uint8 images and leaves other inputs alone; "standard" shifts and scales
        images by the mean and standard deviation of each channel over the training part. None leaves uint8 as it is.
    transform : callable or sequence of callables, optional
        Augmentation of the training part, see `aifs_data.augment`. Where the set has masks, or extras such as boxes,
        only transforms whose attribute `moves_pixels` is False.
    framework : {"numpy", "torch"}
        What the batches are made of.
    device : str, optional
        Of torch: where the batches are.
    context_length : int, optional
        Tokens in a sample of a stream.
    fresh : bool
        Whether each epoch has new training samples, where the set can draw them without end. Their order is random by
        itself.

    Returns
    -------
    DataLoaders
        A named tuple (train, val, test); None stands for a validation or test part without samples.

    Raises
    ------
    DataError
        When a size is no positive integer, or an option does not fit the data set.
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"loaders are made of a Dataset, as load_dataset returns it, got {dataset!r}")
    batch_size = require_count("batch_size", batch_size)
    size = max(batch_size, _LEAST_EVAL_BATCH_SIZE) if eval_batch_size is None else eval_batch_size
    size = require_count("eval_batch_size", size)
    transforms = as_transforms(transform)
    options = {"seed": seed, "framework": framework, "device": device}
    make = _maker(dataset, context_length, transforms, normalize, options)
    augmentation = {"transform": transforms} if transforms else {}
    train: Loader
    if fresh:
        if not shuffle:
            raise DataError("fresh=True draws samples whose order is random by itself: leave shuffle=False out")
        train = _fresh_loader(dataset, batch_size, make, seed=seed, drop_last=drop_last, **augmentation)
    else:
        train = make(dataset.train, batch_size, shuffle=shuffle, drop_last=drop_last, **augmentation)
    val, test = (make(part, size) if len(part) else None for part in (dataset.val, dataset.test))
    return DataLoaders(train, val, test)


def _maker(
    dataset: Dataset,
    context_length: int | None,
    transforms: tuple[Transform, ...],
    normalize: Normalize | str | None,
    options: dict[str, Any],
) -> Callable[..., Loader]:
    """Return a function (part, batch_size, **options) to the loader that the arrays of a data set need."""
    kind = _kind(dataset, context_length)
    if transforms:
        _check_transforms(dataset, kind, transforms)
    normalize = _normalizing(dataset, kind, normalize)
    # Partial functions and no closures: a loader of fresh samples keeps its own, and is pickled with it.
    if kind == "ragged":
        return partial(_ragged_loader, **_paddings(dataset), **options)
    if kind == "stream":
        return partial(_window_loader, context_length=context_length, **options)
    return partial(_array_loader, as_ids=dataset.vocabulary is not None, normalize=normalize, **options)


def _ragged_loader(part: Split, batch_size: int, **options: Any) -> RaggedLoader:
    return RaggedLoader(part.X, part.y, batch_size, extras=part.extras, **options)


def _window_loader(part: Split, batch_size: int, **options: Any) -> WindowLoader:
    return WindowLoader(part.X, part.y, batch_size, **options)


def _array_loader(part: Split, batch_size: int, *, as_ids: bool, **options: Any) -> ArrayLoader:
    X, y = (_as_ids(part.X), _as_ids(part.y)) if as_ids else (part.X, part.y)
    return ArrayLoader(X, y, batch_size, extras=part.extras, **options)


def _fresh_loader(dataset: Dataset, batch_size: int, make: Callable[..., Loader], **options: Any) -> FreshLoader:
    if dataset.draw is None:
        raise DataError(f"fresh=True is for samples without end, which {dataset.name} does not have: leave it out")
    same_kind = make(dataset.train, batch_size)
    return FreshLoader(
        partial(dataset.draw, "train"),
        len(dataset.train),
        batch_size,
        make_loader=make,
        X_padding=same_kind.X_padding,
        y_padding=same_kind.y_padding,
        **options,
    )


def _kind(dataset: Dataset, context_length: int | None) -> str:
    """Return what the arrays of a data set are: "rows", "ragged" or "stream"."""
    X, y = dataset.train.X, dataset.train.y
    if isinstance(X, Ragged) or isinstance(y, Ragged):
        kind = "ragged"
    elif dataset.vocabulary is not None and X.ndim == y.ndim == 1:
        kind = "stream"
    else:
        kind = "rows"
    if kind == "stream" and context_length is None:
        raise DataError(f"{dataset.name} is one stream of tokens: context_length= says how many of them are a sample")
    if kind != "stream" and context_length is not None:
        raise DataError(f"context_length is for one stream of tokens, which {dataset.name} is not: leave it out")
    return kind


def _check_transforms(dataset: Dataset, kind: str, transforms: tuple[Transform, ...]) -> None:
    if kind != "rows" or dataset.train.X.ndim != 4:
        raise DataError(f"a transform is for images, which the inputs of {dataset.name} are not: leave it out")
    if not dataset.train.extras and dataset.train.y.ndim <= 2:
        return
    for transform in transforms:
        moves = getattr(transform, "moves_pixels", None)
        if moves is not False:
            name = getattr(transform, "__name__", type(transform).__name__)
            raise DataError(
                f"{name} {'moves' if moves else 'may move'} pixels, and the boxes or masks of {dataset.name} would "
                "stay where they are: take transforms that move none, and where one of your own does not, "
                "say so with transform.moves_pixels = False"
            )


def _normalizing(dataset: Dataset, kind: str, normalize: Normalize | str | None) -> Normalize | None:
    """Return how the inputs of a data set are normalized."""
    X = dataset.train.X
    images = kind == "rows" and X.ndim == 4
    # Comparing an array, which somebody may take for an option, gives an array: hence the type first.
    way = normalize if isinstance(normalize, str) else ""
    if normalize is None or (way == "auto" and not (images and X.dtype == np.uint8)):
        return None
    from aifs_data.transforms import Normalize  # here, since it costs a run without images its start

    if way not in ("auto", "standard") and not isinstance(normalize, Normalize):
        raise DataError(f"normalize is 'auto', 'standard', a Normalize or None, got {normalize!r}")
    if not images:
        raise DataError(
            f"normalize={normalize!r} is for images, which the inputs of {dataset.name} are not: leave it out, "
            "and `standardize` the data set where its samples are lists of features"
        )
    if isinstance(normalize, Normalize):
        return normalize
    return Normalize.unit() if way == "auto" else Normalize.fit(X)


def _paddings(dataset: Dataset) -> dict[str, Any]:
    """Return what sequences are padded with: the vocabulary's token for it, where there is one."""
    inputs = dataset.vocabulary
    targets = dataset.target_vocabulary or inputs
    ids = {
        "X_padding": None if inputs is None else inputs.pad,
        "y_padding": None if targets is None else targets.pad,
    }
    return {name: pad for name, pad in ids.items() if pad is not None}


def _as_ids(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else array
