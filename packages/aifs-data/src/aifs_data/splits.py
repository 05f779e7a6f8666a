"""Splits into train, validation and test: disjoint, covering, seeded, and with every class in each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import take_rows_of_file
from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Split
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import ArrayLike, NDArray

    Indices = NDArray[np.intp]


def split_indices(
    y: ArrayLike,
    *,
    seed: int,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    stratify: bool = True,
) -> tuple[Indices, Indices, Indices]:
    """Split samples at random, each class in the same proportions.

    Parameters
    ----------
    y : array-like, shape (n_samples,)
        Labels.
    seed : int
        At least 0. The split is a pure function of `seed`, of the fractions and of `y`.
    val_fraction, test_fraction : float
        From 0 up to, not including, 1; together less than 1. Of each class, the nearest whole number of samples goes
        to the part, and at least one unless the fraction is 0.
    stratify : bool
        False treats all samples as one class.

    Returns
    -------
    train, val, test : ndarray of intp
        Indices into `y`, each part in random order.

    Raises
    ------
    DataError
        When a class is too small to have a sample in each part.

    Examples
    --------
    >>> train, val, test = split_indices([0] * 50 + [1] * 50, seed=0)
    >>> len(train), len(val), len(test)
    (60, 20, 20)
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.size == 0:
        raise DataError(f"y has one label per sample, shape (n_samples,) with n_samples > 0, got shape {labels.shape}")
    rng = random_stream(require_count("seed", seed, at_least=0), "split")
    fractions = _checked(val_fraction, test_fraction)
    _, classes = np.unique(labels if stratify else np.zeros(len(labels)), return_inverse=True)
    parts: tuple[list[Indices], ...] = ([], [], [])
    for k in range(classes.max() + 1):
        members = np.flatnonzero(classes == k)
        sizes = _sizes(len(members), fractions, label=labels[members[0]] if stratify else None)
        for part, chosen in zip(parts, np.split(rng.permutation(members), np.cumsum(sizes[:2])), strict=True):
            part.append(chosen)
    # Class by class until here; in random order, so that a loader that does not shuffle sees them mixed.
    train, val, test = (rng.permutation(np.concatenate(part)) for part in parts)
    return train, val, test


def split_dataset(
    info: DatasetInfo, X: NDArray[Any], y: NDArray[np.int64], *, seed: int, source: str = "generated"
) -> Dataset:
    """Return the samples as a Dataset, split 60 : 20 : 20 by `split_indices`."""
    train, val, test = (Split(X[part], y[part]) for part in split_indices(y, seed=seed))
    return Dataset(info, train, val, test, source=source, seed=seed)


def carve_validation(part: Split, *, seed: int, val_fraction: float) -> tuple[Split, Split]:
    """Take a validation part out of an official training part: seeded, stratified, both in the order of `part`.

    Parameters
    ----------
    part : Split
        With class indices as targets. Its arrays may be mapped from a file; nobody has written to them yet.
    seed, val_fraction
        See `split_indices`. With a fraction of 0 the training part is `part` itself.

    Returns
    -------
    train, val : Split
    """
    train, val, _ = split_indices(part.y, seed=seed, val_fraction=val_fraction, test_fraction=0)
    # Sorted, so that a file is read from front to back.
    return _rows_of(part, np.sort(train)) if len(val) else part, _rows_of(part, np.sort(val))


def _rows_of(part: Split, rows: Indices) -> Split:
    arrays = {name: take_rows_of_file(array, rows) for name, array in part.arrays.items()}
    return Split(arrays.pop("X"), arrays.pop("y"), arrays)


def _checked(val_fraction: float, test_fraction: float) -> tuple[float, float]:
    val = require_number("val_fraction", val_fraction, at_least=0, below=1)
    test = require_number("test_fraction", test_fraction, at_least=0, below=1)
    if val + test >= 1:
        raise DataError(f"val_fraction + test_fraction is below 1, to leave samples to train on, got {val} + {test}")
    return val, test


def _sizes(n: int, fractions: tuple[float, float], label: object) -> tuple[int, int, int]:
    """Return how many of the n samples of a class go to train, val and test."""
    val, test = (max(1, round(fraction * n)) if fraction else 0 for fraction in fractions)
    train = n - val - test
    if train < 1:
        whose = "the set" if label is None else f"class {label}"
        raise DataError(
            f"{whose} has {n} sample{'s' * (n != 1)}, too few for one in each of train, validation and test: "
            "give more samples or other fractions" + ("" if label is None else ", or stratify=False")
        )
    return train, val, test
