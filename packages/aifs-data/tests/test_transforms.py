"""Scaling by the training part, and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aifs_data import Split, Standardizer, load_dataset, standardize
from aifs_utils import DataError


def test_the_training_part_gets_mean_0_and_deviation_1():
    """And the others the same shift and scale, not the same mean."""
    wine = load_dataset("wine")
    scaled = standardize(wine)
    np.testing.assert_allclose(scaled.train.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.train.X.std(axis=0), 1)
    assert np.abs(scaled.test.X.mean(axis=0)).max() > 1e-3
    scaler = Standardizer.fit(wine.train.X)
    np.testing.assert_allclose(scaled.test.X * scaler.scale + scaler.mean, wine.test.X)


@settings(deadline=None, max_examples=25)
@given(rows=arrays(np.float64, (36, 13), elements=st.floats(-1e6, 1e6)))
def test_the_other_parts_do_not_leak_into_the_scaling(rows):
    """Whatever is in the test and the validation part, training sees the same numbers."""
    wine = load_dataset("wine")
    other = replace(wine, val=Split(rows[::-1], wine.val.y), test=Split(rows, wine.test.y))
    np.testing.assert_array_equal(standardize(other).train.X, standardize(wine).train.X)
    np.testing.assert_array_equal(standardize(replace(wine, val=other.val)).test.X, standardize(wine).test.X)


def test_the_data_set_that_was_given_stays_as_it_is():
    """And the new one says what was done to it."""
    wine = load_dataset("wine")
    before = wine.digest
    scaled = standardize(wine)
    assert replace(wine).digest == before
    assert scaled.digest != before
    assert (wine.transforms, scaled.transforms) == ((), ("standardize",))
    assert scaled.provenance["transforms"] == ["standardize"]
    np.testing.assert_array_equal(scaled.train.y, wine.train.y)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 + 0.1, -7e-300])
def test_a_constant_feature_is_shifted_and_not_blown_up(constant):
    """Rounding must not pass for a deviation; a blank pixel that is set in a test image stays moderate."""
    X = np.c_[np.full(1000, constant), np.arange(1000.0)]
    scaler = Standardizer.fit(X)
    assert scaler.scale[0] == 1
    np.testing.assert_allclose(scaler.apply(X)[:, 0], 0, atol=1e-4)
    np.testing.assert_allclose(scaler.apply(X + 1)[:, 0], 1, atol=1e-4)


@pytest.mark.parametrize(
    ("given_type", "expected"), [("float32", "float32"), ("float64", "float64"), ("uint8", "float64")]
)
def test_the_floating_type_is_kept(given_type, expected):
    """Statistics are in double precision all the same."""
    X = np.random.default_rng(0).integers(0, 255, (50, 3)).astype(given_type)
    scaler = Standardizer.fit(X)
    assert scaler.mean.dtype == np.float64
    assert scaler.apply(X).dtype == expected


def test_images_are_scaled_pixel_by_pixel():
    """The first axis is that of the samples, whatever the others are."""
    images = np.random.default_rng(0).normal(3, 2, (200, 8, 8))
    np.testing.assert_allclose(Standardizer.fit(images).apply(images).std(axis=0), 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    """Instead of turning a whole feature into NaN."""
    X = np.ones((5, 2))
    X[3, 1] = bad
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="holds NaN or infinity, remove those samples"):
        Standardizer.fit(X)


def test_no_samples_are_refused():
    """There is no mean of nothing."""
    with pytest.raises(DataError, match=r"at least one sample is needed to standardize, got shape \(0, 3\)"):
        Standardizer.fit(np.empty((0, 3)))


def test_the_names_of_the_inputs_say_that_they_were_standardized():
    dataset = load_dataset("moons", seed=0)
    assert standardize(dataset).feature_names == ("x1, standardized", "x2, standardized")
    assert dataset.feature_names == ("x1", "x2")
