"""Augmentation: each transform against a slow loop, and a pure function of (seed, epoch, sample)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data._loader import as_transforms
from aifs_data.augment import (
    CutOut,
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    RandomRotation,
    RandomShift,
    augment,
)
from aifs_data.draws import Draws
from aifs_utils import DataError

TRANSFORMS = [
    RandomCrop(4),
    RandomCrop(1),
    RandomShift(3),
    RandomShift(50),
    HorizontalFlip(),
    RandomRotation(30),
    CutOut(3),
    GaussianNoise(2.5),
]
NOTHING = [RandomCrop(0), RandomShift(0), HorizontalFlip(0), RandomRotation(0), CutOut(0), GaussianNoise(0)]

types = st.sampled_from(["uint8", "float32", "float64"])
shapes = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 17), st.integers(1, 17)) | st.sampled_from(
    [(5, 3, 32, 32), (4, 1, 28, 28), (2, 1, 8, 64)]
)
seeds = st.integers(0, 2**32)


def images_of(shape, dtype, seed=0):
    """Return noise without zeros, which are what comes in from outside."""
    return np.random.default_rng(seed).integers(1, 256, shape).astype(dtype)


def shifted(image, down, across):
    """Return the image with each pixel taken from so far down and across, one by one."""
    out = np.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + across < width:
                out[:, y, x] = image[:, y + down, x + across]
    return out


def rotated(image, angle):
    """Return the image turned by an angle, pixel by pixel, in double precision."""
    channels, height, width = image.shape
    out = np.zeros((channels, height, width))
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2

    def pixel(y, x):
        return image[:, y, x].astype(float) if 0 <= y < height and 0 <= x < width else np.zeros(channels)

    for row in range(height):
        for column in range(width):
            down, across = row - middle_y, column - middle_x
            y = math.cos(angle) * down + math.sin(angle) * across + middle_y
            x = math.cos(angle) * across - math.sin(angle) * down + middle_x
            top, left = math.floor(y), math.floor(x)
            b, r = y - top, x - left
            out[:, row, column] = (1 - b) * ((1 - r) * pixel(top, left) + r * pixel(top, left + 1)) + b * (
                (1 - r) * pixel(top + 1, left) + r * pixel(top + 1, left + 1)
            )
    return out


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=types, seed=seeds, most=st.integers(0, 20), kind=st.sampled_from([RandomCrop, RandomShift]))
def test_a_shift_moves_every_pixel_by_the_same(shape, dtype, seed, most, kind):
    """And a crop out of a padded image is one."""
    X, rows = images_of(shape, dtype), np.arange(shape[0])
    by = Draws(seed, 0, rows).integers(-most, most + 1, shape=2)
    moved = kind(most)(X, Draws(seed, 0, rows))
    for image, expected, (down, across) in zip(moved, X, by, strict=True):
        np.testing.assert_array_equal(image, shifted(expected, down, across))


def test_a_crop_is_a_window_of_the_padded_image():
    """Every window comes, each as often."""
    X = np.repeat(images_of((1, 3, 8, 8), "uint8"), 4000, axis=0)
    padded = np.pad(X[0], ((0, 0), (1, 1), (1, 1)))
    windows = [padded[:, y : y + 8, x : x + 8].tobytes() for y in range(3) for x in range(3)]
    counts = np.bincount([windows.index(image.tobytes()) for image in RandomCrop(1)(X, Draws(0, 0, np.arange(4000)))])
    assert (np.abs(counts - 4000 / 9) < 5 * np.sqrt(4000 / 9)).all()
    assert len(counts) == 9


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=types, seed=seeds, p=st.floats(0, 1))
def test_a_flip_mirrors_some_images(shape, dtype, seed, p):
    """Those whose number is below p."""
    X, rows = images_of(shape, dtype), np.arange(shape[0])
    chosen = Draws(seed, 1, rows).uniform() < p
    for flipped, image, was_chosen in zip(HorizontalFlip(p)(X, Draws(seed, 1, rows)), X, chosen, strict=True):
        np.testing.assert_array_equal(flipped, image[:, :, ::-1] if was_chosen else image)


@settings(deadline=None, max_examples=40)
@given(shape=shapes, dtype=types, seed=seeds, degrees=st.floats(0, 180))
def test_a_rotation_interpolates_between_four_pixels(shape, dtype, seed, degrees):
    """Rounded to the nearest integer where pixels are."""
    X, rows = images_of(shape, dtype), np.arange(shape[0])
    angles = np.radians(Draws(seed, 1, rows).uniform(-degrees, degrees))
    tolerance = {"uint8": 0.501, "float32": 0.01, "float64": 1e-9}[dtype]
    for turned, image, angle in zip(RandomRotation(degrees)(X, Draws(seed, 1, rows)), X, angles, strict=True):
        np.testing.assert_allclose(turned, rotated(image, angle), atol=tolerance)


def test_a_rotation_by_a_right_angle_is_exact(monkeypatch):
    """Counter-clockwise as it is seen."""
    X = images_of((3, 2, 9, 9), "uint8")
    monkeypatch.setattr(Draws, "uniform", lambda self, low, high: np.full(len(self), high))
    np.testing.assert_array_equal(RandomRotation(90)(X, Draws(0, 0, np.arange(3))), np.rot90(X, axes=(2, 3)))


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=types, seed=seeds, size=st.integers(0, 20))
def test_cut_out_blanks_a_square(shape, dtype, seed, size):
    """Around a pixel of the image."""
    X, rows = images_of(shape, dtype), np.arange(shape[0])
    draws = Draws(seed, 1, rows)
    centres = np.stack([draws.integers(0, shape[2]), draws.integers(0, shape[3])], axis=1)
    for cut, image, (y, x) in zip(CutOut(size)(X, Draws(seed, 1, rows)), X, centres, strict=True):
        expected = image.copy()
        top, left = y - size // 2, x - size // 2
        expected[:, max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = 0
        np.testing.assert_array_equal(cut, expected)


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=types, seed=seeds, std=st.floats(0, 300))
def test_noise_is_added_value_by_value(shape, dtype, seed, std):
    """And pixels are rounded and stay in range."""
    X, rows = images_of(shape, dtype), np.arange(shape[0])
    exact = X + std * Draws(seed, 1, rows).normal(shape[1:]).astype(np.float64)
    noisy = GaussianNoise(std)(X, Draws(seed, 1, rows))
    if dtype == "uint8":
        exact = np.clip(exact, 0, 255)
    np.testing.assert_allclose(noisy, exact, rtol=1e-5, atol=0.501 if dtype == "uint8" else 1e-3)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@settings(deadline=None, max_examples=30)
@given(shape=shapes, dtype=types, seed=seeds, epoch=st.integers(0, 10**6), data=st.data())
def test_a_sample_is_treated_alike_in_whatever_batch(transform, shape, dtype, seed, epoch, data):
    """Alone, reordered, among others; type and shape stay, and so does the input."""
    X, rows = images_of(shape, dtype), np.arange(100, 100 + shape[0])
    before = X.copy()
    whole = transform(X, Draws(seed, epoch, rows))
    np.testing.assert_array_equal(X, before)
    assert (whole.shape, whole.dtype) == (X.shape, X.dtype)
    assert not np.shares_memory(whole, X)
    chosen = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=12)))
    np.testing.assert_array_equal(transform(X[chosen], Draws(seed, epoch, rows[chosen])), whole[chosen])


@pytest.mark.parametrize("transform", NOTHING, ids=repr)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_nothing_is_the_identity(transform, dtype):
    """No pixels, no degrees, no probability."""
    X = images_of((5, 3, 12, 16), dtype)
    np.testing.assert_array_equal(transform(X, Draws(0, 0, np.arange(5))), X)


@pytest.mark.parametrize("transform", [*TRANSFORMS, *NOTHING], ids=repr)
def test_images_may_lie_in_memory_as_they_like(transform):
    """Views, reversed, with the channels last in memory; and there may be none."""
    X = np.moveaxis(images_of((6, 16, 10, 3), "uint8"), 3, 1)[::-2, :, ::-1]
    draws, same = Draws(0, 0, np.arange(3)), Draws(0, 0, np.arange(3))
    np.testing.assert_array_equal(transform(X, draws), transform(np.ascontiguousarray(X), same))
    assert transform(X[:0], Draws(0, 0, np.arange(0))).shape == (0, 3, 16, 10)


def test_transforms_one_after_another_are_independent():
    """The same one twice draws other numbers; the order counts."""
    X, rows = images_of((64, 1, 8, 8), "uint8"), np.arange(64)
    twice = augment([HorizontalFlip(), HorizontalFlip()], X, Draws(0, 0, rows))
    unchanged = (twice == X).all(axis=(1, 2, 3)).sum()
    assert 16 < unchanged < 48
    assert not np.array_equal(twice, augment([HorizontalFlip()], X, Draws(0, 0, rows)))


def test_a_function_will_do():
    """It gets the images and the draws of its place in the order."""

    def shifted_brightness(X, draws):
        return X + draws.uniform(shape=(1, 1, 1)).astype(np.float32)

    X, draws = np.zeros((3, 1, 2, 2), np.float32), Draws(0, 0, np.arange(3))
    brighter = augment(as_transforms(shifted_brightness), X, draws)
    np.testing.assert_array_equal(brighter[:, 0, 0, 0], draws.child(0).uniform().astype(np.float32))


def test_a_transform_that_loses_samples_is_refused():
    """Targets would no longer belong to their inputs."""
    with pytest.raises(DataError, match="as many samples as it gets, got 2 of 3"):
        augment([lambda X, draws: X[:2]], np.zeros((3, 1, 2, 2)), Draws(0, 0, np.arange(3)))
    with pytest.raises(DataError, match="as many samples as it gets, got None"):
        augment([lambda X, draws: None], np.zeros((3, 1, 2, 2)), Draws(0, 0, np.arange(3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCrop(-1), "padding is an integer of at least 0, got -1"),
        (lambda: RandomShift(1.5), r"pixels is an integer of at least 0, got 1\.5"),
        (lambda: HorizontalFlip(1.1), r"p is a probability, from 0 to 1, got 1\.1"),
        (lambda: HorizontalFlip(-0.1), r"p is a finite number at least 0, got -0\.1"),
        (lambda: RandomRotation(181), "degrees is an angle from 0 to 180, got 181"),
        (lambda: CutOut("3"), "size is an integer of at least 0, got '3'"),
        (lambda: GaussianNoise(math.nan), "std is a finite number at least 0, got nan"),
        (lambda: as_transforms([3]), "a transform is a callable .*, got 3"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(make, message):
    """When the transform is made."""
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@pytest.mark.parametrize("X", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 1, 8, 8), np.int64)], ids=["rank", "type"])
def test_what_is_no_batch_of_images_is_refused(transform, X):
    """With the shape that is wanted."""
    with pytest.raises(DataError, match=r"shape \(n, channels, height, width\), got (uint8|int64) of shape"):
        transform(X, Draws(0, 0, np.arange(2)))
