"""Digits with room around them."""

import numpy as np
import pytest

from aifs_data import load_dataset
from mlp.shifted import DIRECTIONS, framed, place


@pytest.fixture(scope="module")
def digits():
    """The set as it is loaded, with centred and with shifted test images."""
    plain = load_dataset("digits", seed=3)
    return plain, framed(plain, shift_test=False), framed(plain, shift_test=True)


def images(split, side):
    return split.X.reshape(-1, side, side)


def test_a_frame_of_two_black_pixels_is_around_each_digit(digits):
    plain, centred, _ = digits
    assert (centred.n_features, centred.info.image_shape) == (144, (12, 12))
    for part in ("train", "val", "test"):
        before, after = images(getattr(plain, part), 8), images(getattr(centred, part), 12)
        assert np.array_equal(after[:, 2:-2, 2:-2], before)
        assert after.sum() == before.sum()


def test_each_test_digit_is_moved_whole_in_one_of_eight_directions(digits):
    _, centred, shifted = digits
    drawn = []
    for before, after in zip(images(centred.test, 12), images(shifted.test, 12), strict=True):
        moved = [d for d in DIRECTIONS if np.array_equal(np.roll(before, 2 * np.array(d), axis=(0, 1)), after)]
        assert len(moved) == 1
        drawn += moved
        assert after.sum() == before.sum()
    assert set(drawn) == set(DIRECTIONS)
    assert len(DIRECTIONS) == 8


def test_the_directions_are_drawn_with_the_data_s_seed(digits):
    plain, _, shifted = digits
    assert np.array_equal(framed(plain, shift_test=True).test.X, shifted.test.X)
    drawn = np.random.default_rng((3, 2)).integers(8, size=len(plain.test))
    first = np.roll(images(digits[1].test, 12)[0], 2 * np.array(DIRECTIONS[drawn[0]]), axis=(0, 1))
    assert np.array_equal(images(shifted.test, 12)[0], first)


def test_what_is_learned_from_and_chosen_by_is_the_same(digits):
    plain, centred, shifted = digits
    for part in ("train", "val"):
        assert np.array_equal(getattr(centred, part).X, getattr(shifted, part).X)
    assert all(np.array_equal(shifted.test.y, each.test.y) for each in (plain, centred))
    assert plain.test.X.shape[1] == 64, "the set that was given is left as it is"


def test_the_manifest_says_what_was_done(digits):
    assert digits[1].provenance["transforms"] == ["frame(2)"]
    assert digits[2].provenance["transforms"] == ["frame(2)", "shift test by 2"]


def test_images_are_placed_by_their_own_shifts():
    placed = place(np.ones((2, 1, 2)), (3, 4), np.array([[0, 0], [1, -1]]))
    assert placed[0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert placed[1].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
