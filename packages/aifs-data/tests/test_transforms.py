"""Scaling by the training part, and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aifs_data import Split, Standardizer, load_dataset, standardize
from aifs_data.transforms import Normalize
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


def test_standardizing_keeps_what_is_beside_inputs_and_targets():
    """Boxes and the like belong to the same rows."""
    moons = load_dataset("moons", seed=0)
    extras = {"weights": np.arange(len(moons.train))}
    scaled = standardize(replace(moons, train=Split(moons.train.X, moons.train.y, extras)))
    np.testing.assert_array_equal(scaled.train.extras["weights"], extras["weights"])


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_normalize_computes_what_its_name_says(dtype):
    """In float32, channel by channel, and the input stays as it is."""
    X = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 5)).astype(dtype)
    before, mean, std = X.copy(), np.array([1.0, 100.0, 200.0]), np.array([3.0, 0.5, 70.0])
    normalized = Normalize(mean, std).apply(X)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized, (X - mean[:, None, None]) / std[:, None, None], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_allclose(Normalize(3, 2).apply(X[:, 0, 0]), (X[:, 0, 0] - 3.0) / 2, rtol=1e-6)


def test_unit_pixels_are_from_0_to_1_exactly():
    """All of them are the nearest float32."""
    pixels = np.arange(256, dtype=np.uint8)
    unit = Normalize.unit().apply(pixels)
    assert (unit[0], unit[-1]) == (0, 1)
    np.testing.assert_allclose(unit, pixels / 255, rtol=2e-7)


def test_normalize_in_place_changes_float32_only_where_that_is_permitted():
    """A batch that is the loader's own needs no second copy."""
    X = np.ones((2, 1, 2, 2), np.float32)
    assert not np.shares_memory(Normalize(1, 2).apply(X), X)
    assert Normalize(1, 2).apply(X, in_place=True) is X
    np.testing.assert_array_equal(X, 0)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 40), channels=st.integers(1, 3), shift=st.floats(-1e4, 1e4), piece=st.integers(1, 500))
def test_normalize_is_fitted_channel_by_channel_and_piece_by_piece(n, channels, shift, piece):
    """However large the pieces are that are read, mean and deviation are those of the whole."""
    X = np.random.default_rng(n).normal(shift, 3, (n, channels, 5, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aifs_data.transforms._READ_AT_ONCE", piece)
        fitted = Normalize.fit(X)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=(0, 2, 3)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fitted.std, X.std(axis=(0, 2, 3)), rtol=1e-9)


def test_a_constant_channel_is_only_shifted():
    """Rounding must not pass for a deviation."""
    X = np.stack([np.full((50, 8, 8), 0.1), np.random.default_rng(0).random((50, 8, 8))], axis=1)
    fitted = Normalize.fit(X)
    assert fitted.std[0] == 1
    np.testing.assert_allclose(fitted.apply(X)[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normalize(0, 0), "std is above 0, got mean=0 and std=0"),
        (lambda: Normalize([0, 1], 1), "one for each channel in both"),
        (lambda: Normalize(np.nan, 1), "finite numbers"),
        (lambda: Normalize.fit(np.zeros((0, 3, 2, 2))), r"at least one sample, got \(0, 3, 2, 2\)"),
        (lambda: Normalize.fit(np.zeros((4, 3))), "use `standardize` for samples that are lists of features"),
        (lambda: Normalize.fit(np.full((4, 3, 1, 1), np.inf)), "holds NaN or infinity, remove those samples"),
    ],
)
def test_what_cannot_be_normalized_is_refused(make, message):
    """When it is fitted or made."""
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("name", ["reversal", "copy", "karate", "digit-scenes", "adding"])
def test_only_a_table_of_measurements_is_standardized(name):
    """Ids and nodes have no mean, and images are normalized when they are batched."""
    with pytest.raises(DataError, match=rf"those of {name} are .*: leave ids as they are"):
        standardize(load_dataset(name))


def test_the_specs_of_standardized_inputs_are_true():
    """They are those of the new numbers."""
    from aifs_data.validation import check_dataset

    dataset = standardize(load_dataset("letters"))
    check_dataset(dataset)
    assert dataset.info.specs["X"].dtype == "float64"
