"""Weights as images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aifs_plotting import Provenance, style, weights_as_images
from aifs_utils.exceptions import DataError

DIGITS = np.random.default_rng(0).normal(size=(10, 64))


def names(fig):
    return [text.get_text() for text in fig.axes[0].texts]


def test_there_is_a_tile_per_class_and_one_for_the_mean(tidy, words):
    provenance = Provenance(model="perceptron", experiment="digits", data="digits (scikit-learn)", seed=0)
    fig = weights_as_images(DIGITS, (8, 8), class_names=[str(k) for k in range(10)], provenance=provenance)
    tidy(fig)
    images = fig.axes[0].images
    assert names(fig) == [*map(str, range(10)), "mean"]
    np.testing.assert_array_equal(images[3].get_array(), DIGITS[3].reshape(8, 8))
    np.testing.assert_allclose(images[10].get_array(), DIGITS.mean(axis=0).reshape(8, 8))
    assert provenance.text in words(fig)
    assert "weight" in words(fig)


def test_all_tiles_share_one_scale_around_zero():
    fig = weights_as_images(DIGITS, (8, 8))
    limits = {image.get_clim() for image in fig.axes[0].images}
    assert limits == {(-np.abs(DIGITS).max(), np.abs(DIGITS).max())}


def test_zero_is_white_and_signs_differ_in_hue():
    red, _, blue, _ = style.diverging()(0.9)
    assert blue > red
    red, _, blue, _ = style.diverging()(0.1)
    assert red > blue
    assert min(style.diverging()(0.5)[:3]) > 0.98


@pytest.mark.parametrize(
    ("n", "class_names", "shown"),
    [
        (1, ["zero", "one"], ["one against zero"]),
        (1, ["one"], ["one"]),
        (1, None, [""]),
        (2, None, ["0", "1"]),
        (3, None, ["0", "1", "2", "mean"]),
    ],
)
def test_few_outputs(n, class_names, shown, tidy):
    fig = weights_as_images(DIGITS[:n], (8, 8), class_names=class_names)
    tidy(fig)
    assert names(fig) == shown


def test_a_vector_is_one_output():
    assert len(weights_as_images(DIGITS[0], (8, 8)).axes[0].images) == 1


def test_a_hundred_classes_keep_the_numbers_of_their_names(tidy):
    fig = weights_as_images(np.zeros((100, 4)), (2, 2), class_names=[f"class number {k}" for k in range(100)])
    tidy(fig)
    assert names(fig)[42].endswith("42")


def test_of_more_outputs_a_hundred_are_drawn_and_it_says_so(words):
    fig = weights_as_images(np.eye(150), (10, 15))
    assert len(fig.axes[0].images) == 101
    assert "100 of 150 outputs drawn" in words(fig)


@pytest.mark.parametrize("shape", [(4, 16), (16, 4), (64, 1), (1, 64)])
def test_images_of_any_shape(shape, tidy):
    tidy(weights_as_images(DIGITS, shape))


def test_zeros_are_said(tidy, words):
    fig = weights_as_images(np.zeros((10, 64)), (8, 8))
    tidy(fig)
    assert "All weights are 0" in words(fig)


@pytest.mark.parametrize(
    ("weights", "shape", "class_names", "message"),
    [
        ([[np.nan, 1.0]], (1, 2), None, "weights must be finite"),
        ([[1.0, 2.0]], (2, 2), None, r"image_shape must be \(rows, columns\) of 2 pixels, got \(2, 2\)"),
        ([[1.0, 2.0]], (-1, -2), None, "image_shape"),
        ([[1.0, 2.0]], (2,), None, "image_shape"),
        ([[[1.0]]], (1, 1), None, "2-dimensional"),
        ([], (0, 0), None, "non-empty"),
        ([[1.0], [2.0]], (1, 1), ["a"], "class_names must name each of the 2 outputs, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(weights, shape, class_names, message):
    with pytest.raises(DataError, match=message):
        weights_as_images(weights, shape, class_names=class_names)


@settings(max_examples=8, deadline=None)
@given(
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=12).flatmap(
        lambda shape: hnp.arrays(float, shape, elements=st.floats(-1e99, 1e99))
    )
)
def test_any_weights_end_in_a_tidy_figure(tidy, weights):
    tidy(weights_as_images(weights.reshape(len(weights), -1), weights.shape[1:]))
