"""The letters of the associative memory."""

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_data.validation import check_dataset
from aifs_utils import DataError


def distances(X):
    """Return in how many pixels any two patterns differ."""
    return (X[:, np.newaxis] != X).sum(axis=2)


def test_there_are_26_letters_that_can_be_told_apart():
    """By two pixels at least."""
    dataset = load_dataset("letters")
    check_dataset(dataset)
    assert dataset.train.X.shape == (26, 25)
    assert set(dataset.train.X.ravel().tolist()) == {-1, 1}
    assert "".join(dataset.class_names[k] for k in dataset.train.y) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert (distances(dataset.train.X) + 99 * np.eye(26)).min() >= 2


def test_the_letters_look_like_letters():
    """Some are their own mirror image, left to right or upside down, and stand in their place."""
    X = load_dataset("letters").train.X.reshape(26, 5, 5)
    letters = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", X, strict=True))
    assert "".join(k for k, image in letters.items() if (image == image[:, ::-1]).all()) == "AHIMOTUVWXY"
    assert "".join(k for k, image in letters.items() if (image == image[::-1]).all()) == "BCDEHIKOX"
    assert "".join(k for k, image in letters.items() if (image == image[::-1, ::-1]).all()) == "HINOSXZ"


@pytest.mark.parametrize(("flip", "n_flipped"), [(0, 0), (0.1, 2), (0.2, 5), (1, 25)])
def test_cues_are_letters_with_some_pixels_inverted(flip, n_flipped):
    """As many in each."""
    dataset = load_dataset("letters", flip=flip, n_cues=300)
    for part in (dataset.val, dataset.test):
        changed = dataset.train.X[part.y] != part.X
        np.testing.assert_array_equal(changed.sum(axis=1), n_flipped)
        counts = np.bincount(part.y, minlength=26)
        assert counts.max() - counts.min() <= 1
        assert changed.any(axis=0).all() == (n_flipped > 0)  # any pixel can be


def test_cues_are_drawn_by_seed_and_part():
    """Validation and test ask for other things."""
    one, other = load_dataset("letters", seed=0), load_dataset("letters", seed=1)
    assert one.digest == load_dataset("letters", seed=0).digest != other.digest
    assert not np.array_equal(one.val.X, one.test.X)
    np.testing.assert_array_equal(one.train.X, other.train.X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"flip": 1.1}, "flip is a share of the pixels, from 0 to 1, got 1.1"),
        ({"flip": -0.1}, "flip is a finite number at least 0, got -0.1"),
        ({"n_cues": 0}, "n_cues is an integer of at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        load_dataset("letters", **parameters)
