"""The pictures that the experiments are made of."""

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_utils.exceptions import DataError
from lenet5.images import LUMA, NORMALIZE, enlarged, framed, in_grey, moved, prepare, printed, shift_test


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", seed=0)


def test_background_and_ink_have_the_values_of_the_paper():
    assert NORMALIZE.apply(np.array([0, 255], np.uint8)) == pytest.approx([-0.1, 1.175])


def test_an_enlarged_digit_is_interpolated_and_keeps_its_mean():
    X = np.random.default_rng(0).integers(0, 17, (5, 64)) / 16
    large = enlarged(X)
    assert large.shape == (5, 1, 24, 24)
    assert large.dtype == np.uint8
    assert large[:, 0, 1::3, 1::3] == pytest.approx(255 * X.reshape(5, 8, 8), abs=0.5)  # centres of the old pixels
    assert large[:, 0, 1, 2] == pytest.approx(255 * (2 * X[:, 0] + X[:, 1]) / 3, abs=0.5)
    assert enlarged(np.ones((1, 64))).min() == 255


def test_every_set_becomes_one_plane_of_32_by_32(digits):
    for dataset in (
        digits,
        load_dataset("mnist", seed=0, source="standin"),
        load_dataset("cifar-10-10k", source="standin"),
    ):
        prepared = prepare(dataset)
        for part in (prepared.train, prepared.val, prepared.test):
            assert part.X.shape[1:] == (1, 32, 32)
            assert part.X.dtype == np.uint8
        assert np.array_equal(prepared.test.y, dataset.test.y)
        assert prepared.transforms[-1] == "in a frame of 32 × 32"
        assert prepared.is_standin == dataset.is_standin
        assert prepared.info.specs["X"].shape == ("n_samples", 1, 32, 32)


def test_a_frame_puts_a_picture_in_the_middle():
    X = np.random.default_rng(0).integers(1, 256, (2, 1, 28, 28)).astype(np.uint8)
    padded = framed(X)
    assert np.array_equal(padded[..., 2:-2, 2:-2], X)
    assert padded.sum() == X.sum()


@pytest.mark.parametrize("shape", [(2, 1, 33, 32), (2, 3, 32, 32)])
def test_a_picture_that_does_not_fit_is_refused(shape):
    with pytest.raises(DataError, match="one plane of at most 32 × 32"):
        framed(np.zeros(shape, np.uint8))


def test_only_the_test_part_is_shifted_and_nothing_leaves_the_frame(digits):
    centred, shifted = prepare(digits), prepare(digits, shift=2)
    for part in ("train", "val"):
        assert np.array_equal(getattr(shifted, part).X, getattr(centred, part).X)
    before, after = centred.test.X[:, 0], shifted.test.X[:, 0]
    assert (before != after).any(axis=(1, 2)).all()
    assert np.array_equal(before.sum(axis=(1, 2), dtype=int), after.sum(axis=(1, 2), dtype=int))
    assert shifted.transforms[-1] == "test part shifted by 2 pixels"
    assert shifted.digest != centred.digest


def test_a_shift_goes_in_one_of_eight_directions_that_the_seed_draws(digits):
    centred, shifted = prepare(digits), prepare(digits, shift=2)
    moves = set()
    for before, after in zip(centred.test.X[:, 0], shifted.test.X[:, 0], strict=True):
        [move] = [
            (down, across)
            for down in (-2, 0, 2)
            for across in (-2, 0, 2)
            if np.array_equal(np.roll(before, (down, across), (0, 1)), after)
        ]
        moves.add(move)
    assert len(moves) == 8
    assert (0, 0) not in moves
    assert shift_test(prepare(digits), 2).digest == shifted.digest


def test_what_is_moved_out_is_gone_and_what_comes_in_is_background():
    X = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
    assert moved(X, np.array([[1, -1]]))[0, 0].tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert moved(X, np.array([[0, 5]])).sum() == 0


def test_grey_is_brightness():
    X = np.zeros((4, 3, 2, 2), np.uint8)
    for channel in range(3):
        X[channel, channel] = 200
    X[3] = 77
    assert in_grey(X)[:, 0, 0, 0].tolist() == [60, 117, 23, 77]


def correlation(one, other):
    return abs(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_printed_digit_is_plain_in_colour_and_gone_in_grey(digits):
    ink = prepare(digits).test.X[:, 0]
    colours = printed(ink[:, None], np.random.default_rng(0)).astype(float)
    assert colours.shape == (len(ink), 3, 32, 32)
    grey = in_grey(colours.astype(np.uint8))[:, 0]
    assert np.mean([correlation(seen, drawn) for seen, drawn in zip(grey, ink, strict=True)]) < 0.05
    for picture, drawn in zip(colours, ink, strict=True):
        differences = picture - np.roll(picture, 1, axis=0)  # of two colours: the speckle is common to them
        hue = differences[np.ptp(differences, axis=(1, 2)).argmax()]
        assert correlation(hue, drawn) > 0.99


def test_ink_and_paper_are_equally_bright():
    X = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(50, axis=2)
    brightness = np.tensordot(printed(X, np.random.default_rng(0)), LUMA, axes=(1, 0)).mean(axis=(1, 2))
    assert brightness == pytest.approx([128, 128], abs=6)


def test_each_part_is_printed_in_hues_of_its_own(digits):
    coloured = prepare(digits, coloured=True)
    assert not np.array_equal(coloured.val.X[:300], coloured.test.X[:300])
    assert prepare(digits, coloured=True).digest == coloured.digest
    assert coloured.transforms == (
        "enlarged to 24 × 24", "printed in colours of equal brightness", "seen in grey", "in a frame of 32 × 32",
    )  # fmt: skip
