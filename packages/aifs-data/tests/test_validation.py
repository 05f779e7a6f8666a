"""A load is refused where data are not what the registry says."""

from dataclasses import replace

import numpy as np
import pytest

from aifs_data import Split, load_dataset
from aifs_data.arrays import Ragged
from aifs_data.dataset import ArraySpec
from aifs_data.validation import check_dataset
from aifs_utils import DataError

MOONS = load_dataset("moons", n_samples=20)


def with_train(X=None, y=None, extras=None):
    """Return the moons with other arrays in the training part."""
    train = Split(MOONS.train.X if X is None else X, MOONS.train.y if y is None else y, extras or {})
    return replace(MOONS, train=train)


def with_specs(dataset, **specs):
    """Return a data set whose info asks for these arrays."""
    return replace(dataset, info=replace(dataset.info, arrays={**dataset.info.specs, **specs}))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (with_train(X=np.zeros((12, 2), np.float32)), r"moons, train: X: the type: expected float64, got float32$"),
        (with_train(X=np.zeros((12, 3))), r"X: expected the shape \(n_samples, 2\), got \(12, 3\)$"),
        (with_train(X=np.zeros((12, 2, 1))), r"X: expected the shape \(n_samples, 2\), got \(12, 2, 1\)$"),
        (with_train(X=np.full((12, 2), np.nan)), "X: expected finite numbers, got NaN or infinity"),
        (with_train(y=np.full(12, 2)), "y: expected values from 0 to 1, got 2 to 2"),
        (with_train(y=np.arange(12) - 1), "y: expected values from 0 to 1, got -1 to 10"),
        (with_train(y=np.zeros(12, np.int64)), "the training part has no sample of lower"),
        (with_train(extras={"boxes": np.zeros(12)}), r"the arrays: expected \['X', 'y'\], got \['X', 'boxes', 'y'\]"),
        (replace(MOONS, train=MOONS.train.take(np.array([], np.intp))), "the training part has no samples"),
        (
            with_specs(MOONS, X=ArraySpec(dtype="float64", shape=("n_samples", "length"))),
            r"expected the shape \(n_samples, length\), got \(12, 2\)",
        ),
        (with_train(X=Ragged.of([[1.0, 2.0]] * 12, np.float64)), r"X: expected the shape .*, got \(12, 'length'\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected_and_what_came(dataset, message):
    """By part and array."""
    with pytest.raises(DataError, match=message):
        check_dataset(dataset)


def test_what_fits_passes():
    """With sequences and extras too."""
    check_dataset(MOONS)
    ragged = [Ragged.of([[1], [2, 3]] * (len(part) // 2)) for part in (MOONS.train, MOONS.val, MOONS.test)]
    parts = [Split(X, part.y) for X, part in zip(ragged, (MOONS.train, MOONS.val, MOONS.test), strict=True)]
    dataset = replace(MOONS, train=parts[0], val=parts[1], test=parts[2])
    check_dataset(with_specs(dataset, X=ArraySpec(dtype="int32", shape=("n_samples", "length"), low=1, high=3)))


def test_an_image_of_all_bytes_is_not_looked_at(monkeypatch):
    """No value of uint8 can be out of 0 to 255, and a data set may be large."""
    images = Split(np.zeros((12, 1, 2, 2), np.uint8), MOONS.train.y)
    spec = ArraySpec(dtype="uint8", shape=("n_samples", 1, 2, 2), low=0, high=255)
    dataset = with_specs(replace(MOONS, train=images, val=images, test=images), X=spec)
    check_dataset(dataset)
    too_dark = with_specs(dataset, X=replace(spec, low=1))
    with pytest.raises(DataError, match="expected values from 1 to 255, got 0 to 0"):
        check_dataset(too_dark)
