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
    Parts = tuple[Indices, Indices, Indices]  # train, val, test


def split_indices(
    y: ArrayLike,
    *,
    seed: int,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    stratify: bool = True,
) -> Parts:
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
    labels = _one_each("y", y)
    fractions = _checked(val_fraction, test_fraction)
    return _split(len(labels), labels if stratify else None, seed, fractions, unit="sample", remedy="stratify=False")


def split_groups(
    groups: ArrayLike,
    *,
    seed: int,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    labels: ArrayLike | None = None,
) -> Parts:
    """Split samples at random so that those of one group are never in two parts.

    Parameters
    ----------
    groups : array-like, shape (n_samples,)
        The group of each sample: who wrote it, say, or which sentence it is a copy of.
    seed : int
        At least 0. The split is a pure function of `seed`, of the fractions, of `groups` and of `labels`.
    val_fraction, test_fraction : float
        From 0 up to, not including, 1; together less than 1. They are shares of the groups, not of the samples. At
        least one group goes to the part unless the fraction is 0.
    labels : array-like, shape (n_samples,), optional
        Classes whose groups are each split in these proportions. Samples of one group have the same.

    Returns
    -------
    train, val, test : ndarray of intp
        Indices of samples. The groups are in random order, and the samples of each follow one another.

    Raises
    ------
    DataError
        When there are too few groups, of a class if there are labels, for one in each part; when the samples of a
        group have different labels.

    Examples
    --------
    >>> split_groups(["Ada", "Bob", "Ada", "Cy", "Cy", "Cy"], seed=1)
    (array([0, 2]), array([3, 4, 5]), array([1]))
    """
    names, group_of = np.unique(_one_each("groups", groups), return_inverse=True)
    of_groups = None if labels is None else _labels_of_groups(labels, group_of, names)
    fractions = _checked(val_fraction, test_fraction)
    parts = _split(len(names), of_groups, seed, fractions, unit="group", remedy="no labels")
    # Each group gets its place in the order that the parts say, and each sample goes to the place of its group.
    place_of = np.empty(len(names), dtype=np.int32)
    place_of[np.concatenate(parts)] = np.arange(len(names), dtype=np.int32)
    places = place_of[group_of]
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.cumsum([len(part) for part in parts])[:2])
    train, val, test = np.split(order, ends)
    return train, val, test


def parts_in_order(sizes: ArrayLike) -> Parts:
    """Return the rows of three parts of these sizes that follow one another, as official splits are stored.

    Examples
    --------
    >>> parts_in_order([3, 1, 2])
    (array([0, 1, 2]), array([3]), array([4, 5]))
    """
    ends = np.cumsum(sizes)
    train, val, test = np.split(np.arange(ends[-1], dtype=np.intp), ends[:2])
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
    return take_in_order(part, train) if len(val) else part, take_in_order(part, val)


def take_in_order(part: Split, rows: Indices) -> Split:
    """Return these rows in the order of `part`, whose arrays may be mapped from a file: it is read front to back.

    Nobody has written to the arrays yet.
    """
    in_order = np.sort(rows)
    arrays = {name: take_rows_of_file(array, in_order) for name, array in part.arrays.items()}
    return Split(arrays.pop("X"), arrays.pop("y"), arrays)


def _one_each(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise DataError(
            f"{name} has one entry per sample, shape (n_samples,) with n_samples > 0, got shape {array.shape}"
        )
    return array


def _labels_of_groups(labels: ArrayLike, group_of: Indices, names: NDArray[Any]) -> NDArray[Any]:
    label_of = _one_each("labels", labels)
    if len(label_of) != len(group_of):
        raise DataError(f"labels has one entry per sample, as groups has, got {len(label_of)} and {len(group_of)}")
    of_groups = np.empty(len(names), dtype=label_of.dtype)
    of_groups[group_of] = label_of
    differing = np.flatnonzero(of_groups[group_of] != label_of)
    if len(differing):
        one = group_of[differing[0]]
        raise DataError(
            f"the samples of a group have the same label, got {label_of[differing[0]]} and {of_groups[one]} "
            f"in group {names[one]}"
        )
    return of_groups


def _split(
    n: int, labels: NDArray[Any] | None, seed: int, fractions: tuple[float, float], *, unit: str, remedy: str
) -> Parts:
    """Split n units, which the error calls `unit`, each class for itself; `remedy` is what helps against classes."""
    rng = random_stream(require_count("seed", seed, at_least=0), "split")
    _, classes = np.unique(np.zeros(n) if labels is None else labels, return_inverse=True)
    parts: tuple[list[Indices], ...] = ([], [], [])
    for k in range(classes.max() + 1):
        members = np.flatnonzero(classes == k)
        sizes = _sizes(len(members), fractions)
        if sizes[0] < 1:
            whose, besides = ("the set", "") if labels is None else (f"class {labels[members[0]]}", f", or {remedy}")
            raise DataError(
                f"{whose} has {len(members)} {unit}{'s' * (len(members) != 1)}, too few for one in each of train, "
                f"validation and test: give more {unit}s or other fractions{besides}"
            )
        for part, chosen in zip(parts, np.split(rng.permutation(members), np.cumsum(sizes[:2])), strict=True):
            part.append(chosen)
    # Class by class until here; in random order, so that a loader that does not shuffle sees them mixed.
    train, val, test = (rng.permutation(np.concatenate(part)) for part in parts)
    return train, val, test


def _checked(val_fraction: float, test_fraction: float) -> tuple[float, float]:
    val = require_number("val_fraction", val_fraction, at_least=0, below=1)
    test = require_number("test_fraction", test_fraction, at_least=0, below=1)
    if val + test >= 1:
        raise DataError(f"val_fraction + test_fraction is below 1, to leave samples to train on, got {val} + {test}")
    return val, test


def _sizes(n: int, fractions: tuple[float, float]) -> tuple[int, int, int]:
    """Return how many of n go to train, val and test; train gets what is left, which may be nothing or less."""
    val, test = (max(1, round(fraction * n)) if fraction else 0 for fraction in fractions)
    return n - val - test, val, test
