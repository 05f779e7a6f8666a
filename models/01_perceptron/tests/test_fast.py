"""The fast loop learns the same weights as the plain one, bit by bit, whatever the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptron import fast
from perceptron.fast import learn_in_blocks
from perceptron.model import Perceptron, learn_one_by_one


def assert_the_same(X, targets, learning_rate=1.0, passes=3):
    """Learn with both loops; compare weights and bias bit by bit and every decision on the way."""
    plain, quick = np.zeros(X.shape[1], X.dtype), np.zeros(X.shape[1], X.dtype)
    plain_bias = quick_bias = 0.0
    for _ in range(passes):
        plain_bias, plain_scores = learn_one_by_one(plain, plain_bias, X, targets, learning_rate)
        quick_bias, quick_scores = learn_in_blocks(quick, quick_bias, X, targets, learning_rate)
        assert plain.tobytes() == quick.tobytes()
        assert plain_bias == quick_bias
        assert np.array_equal(plain_scores >= 0, quick_scores >= 0)
        norm = np.sqrt((X.astype(float) ** 2).sum(axis=1).max() + 1) * np.sqrt((plain.astype(float) ** 2).sum() + 1)
        np.testing.assert_allclose(quick_scores, plain_scores, rtol=0, atol=1e-5 * norm)
    return plain


def noisy(rng, X, share):
    """Labels of a random plane, some of them wrong."""
    return (X @ rng.normal(size=X.shape[1]) >= 0) ^ (rng.random(len(X)) < share)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("learning_rate", [1.0, 0.1])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(3000, 2), (2000, 50), (1500, 784)])
def test_on_random_data_from_clean_to_hopeless(dtype, learning_rate, share, shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape).astype(dtype)
    assert assert_the_same(X, noisy(rng, X, share), learning_rate).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [1, 2, 9, 64])
def test_on_whole_numbers_where_scores_of_exactly_zero_abound(dtype, n_features):
    rng = np.random.default_rng(1)
    X = rng.integers(-1, 2, (2500, n_features)).astype(dtype)
    targets = noisy(rng, X, 0.05)
    assert_the_same(X, targets)
    assert_the_same(X, targets, learning_rate=0.1)  # sums that would be zero are off by a rounding error


def on_the_line(dtype):
    """Samples of which every tenth lies on the line that these weights draw, save for rounding.

    The sign of its score hangs on the order of adding. The targets are what the product of all samples at once says, so
    the plain loop is right unless its own sums differ.
    """
    rng = np.random.default_rng(2)
    normal = rng.normal(size=40)
    X = rng.normal(size=(4000, 40))
    X[::10] -= np.outer(X[::10] @ normal / (normal @ normal), normal)
    X = X.astype(dtype)
    weights = normal.astype(dtype)
    targets = X.dot(weights) >= 0
    assert (targets != [x.dot(weights) >= 0 for x in X]).any()
    return X, targets, weights


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_scores_within_a_rounding_error_of_zero(dtype):
    X, targets, weights = on_the_line(dtype)
    assert_the_same(X, targets)
    # So small a rate changes no weight, and the bias counts the corrections.
    plain, _ = learn_one_by_one(weights.copy(), 0.0, X, targets, 1e-30)
    quick, _ = learn_in_blocks(weights.copy(), 0.0, X, targets, 1e-30)
    assert plain == quick != 0


def test_without_the_bound_these_scores_would_be_decided_wrongly(monkeypatch):
    X, targets, weights = on_the_line(np.float32)
    monkeypatch.setattr(fast, "_doubt_per_unit", lambda X: 0.0)
    plain, _ = learn_one_by_one(weights.copy(), 0.0, X, targets, 1e-30)
    quick, _ = learn_in_blocks(weights.copy(), 0.0, X, targets, 1e-30)
    assert plain != quick


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_duplicates_and_samples_of_nothing_but_zeros(dtype):
    rng = np.random.default_rng(3)
    X = np.repeat(rng.normal(size=(60, 8)), 40, axis=0).astype(dtype)
    X[::7] = 0
    assert_the_same(X, noisy(rng, X, 0.1))


@pytest.mark.parametrize("targets", [np.ones(2000, bool), np.zeros(2000, bool), np.arange(2000) < 1000])
def test_on_labels_in_long_runs(targets):
    X = np.random.default_rng(4).normal(size=(2000, 10))
    assert_the_same(X, targets)


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e15])
def test_on_very_small_and_very_large_numbers(scale):
    rng = np.random.default_rng(5)
    X = (rng.normal(size=(2000, 20)) * scale).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        plain, quick = np.zeros(20, np.float32), np.zeros(20, np.float32)
        targets = noisy(rng, X.astype(float) / scale, 0.02)
        one, _ = learn_one_by_one(plain, 0.0, X, targets, 1.0)
        two, _ = learn_in_blocks(quick, 0.0, X, targets, 1.0)
    assert plain.tobytes() == quick.tobytes()
    assert one == two


def test_samples_of_very_different_sizes():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(3000, 30)) * 10.0 ** rng.uniform(-6, 6, (3000, 1))
    assert_the_same(X, noisy(rng, X, 0.05))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_samples=st.integers(1, 900),
    n_features=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.02, 0.2]),
    levels=st.sampled_from([1, 2, 1000]),
    dtype=st.sampled_from([np.float32, np.float64]),
    learning_rate=st.sampled_from([1.0, 0.5, 0.3]),
)
def test_on_whatever_else_there_is(seed, n_samples, n_features, share, levels, dtype, learning_rate):
    rng = np.random.default_rng(seed)
    X = (rng.integers(-levels, levels + 1, (n_samples, n_features)) / levels).astype(dtype)
    assert_the_same(X, noisy(rng, X, share), learning_rate, passes=2)


def test_both_ways_of_learning_are_taken(monkeypatch):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(4000, 20))
    targets = noisy(rng, X, 0.0)
    targets[2000:] ^= rng.random(2000) < 0.5  # quiet, then noisy
    taken = []
    for name in ("_look_ahead", "_learn_tightly"):
        way = getattr(fast, name)
        monkeypatch.setattr(fast, name, lambda *args, way=way, name=name: (taken.append(name), way(*args))[1])
    assert_the_same(X, targets, passes=1)
    assert {"_look_ahead", "_learn_tightly"} == set(taken)


def test_features_in_such_numbers_that_no_bound_holds(monkeypatch):
    """Then nothing is looked ahead to."""
    monkeypatch.setattr(fast, "_look_ahead", None)
    X = np.random.default_rng(8).normal(size=(600, 40_000)).astype(np.float32)
    assert_the_same(X, X[:, 0] > 0, passes=1)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_large_batch_takes_the_fast_loop_and_a_small_one_the_plain_loop(monkeypatch, n_classes):
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(1000, 12)), rng.integers(0, n_classes, 1000)
    calls = []
    monkeypatch.setattr(
        "perceptron.model.learn_in_blocks", lambda *args: (calls.append(len(args[2])), learn_in_blocks(*args))[1]
    )
    quick, plain = Perceptron(12, n_classes), Perceptron(12, n_classes)
    quick.train_step((X, y))
    assert calls == [1000] * (1 if n_classes == 2 else n_classes)
    for i in range(0, 1000, 100):
        plain.train_step((X[i : i + 100], y[i : i + 100]))
    assert len(calls) == (1 if n_classes == 2 else n_classes)
    assert quick.weights.tobytes() == plain.weights.tobytes()
