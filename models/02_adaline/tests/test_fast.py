"""The fast rule gives the weights of the plain one."""

import numpy as np
import pytest

from adaline.fast import BLOCK, learn_in_blocks
from adaline.model import Adaline, learn_one_by_one
from aifs_utils.exceptions import ModelError


def problem(n_samples, n_features, dtype, seed=0):
    generator = np.random.default_rng(seed)
    X = (generator.standard_normal((n_samples, n_features)) / np.sqrt(n_features)).astype(dtype)
    targets = np.where(generator.random(n_samples) < 0.5, -1, 1).astype(dtype)
    return X, targets, generator.standard_normal(n_features).astype(dtype)


@pytest.mark.parametrize("n_samples", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_blocks_give_the_weights_of_the_plain_loop(n_samples, dtype, tolerance):
    X, targets, start = problem(n_samples, 30, dtype)
    plain, fast = start.copy(), start.copy()
    plain_b, plain_errors = learn_one_by_one(plain, 0.2, X, targets, 0.1)
    fast_b, fast_errors = learn_in_blocks(fast, 0.2, X, targets, 0.1)
    assert fast == pytest.approx(plain, rel=tolerance, abs=tolerance)
    assert fast_b == pytest.approx(plain_b, rel=tolerance, abs=tolerance)
    assert fast_errors == pytest.approx(plain_errors, rel=10 * tolerance, abs=10 * tolerance)
    assert fast.dtype == fast_errors.dtype == dtype


def test_the_order_matters_to_both():
    X, targets, start = problem(200, 10, np.float64)
    forwards, backwards = start.copy(), start.copy()
    learn_in_blocks(forwards, 0.0, X, targets, 0.5)
    learn_in_blocks(backwards, 0.0, X[::-1], targets[::-1], 0.5)
    assert not np.allclose(forwards, backwards)


def test_inputs_that_are_no_contiguous_block_are_fine():
    X, targets, start = problem(100, 20, np.float64)
    plain, fast = start.copy(), start.copy()
    learn_one_by_one(plain, 0.0, X[::-1], targets, 0.1)
    learn_in_blocks(fast, 0.0, X[::-1], targets, 0.1)
    assert fast == pytest.approx(plain, rel=1e-12)


def test_scikit_learn_finds_the_same_weights():
    from sklearn.linear_model import SGDRegressor

    X, targets, _ = problem(3000, 50, np.float64)
    peer = SGDRegressor(
        penalty=None, learning_rate="constant", eta0=0.1, max_iter=1, tol=None, shuffle=False
    ).partial_fit(X, targets)
    w = np.zeros(50)
    b, _ = learn_in_blocks(w, 0.0, X, targets, 0.1)
    assert w == pytest.approx(peer.coef_, abs=1e-6)
    assert b == pytest.approx(peer.intercept_[0], abs=1e-6)


def test_a_large_batch_is_learned_in_blocks_and_a_small_one_is_not(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "adaline.model.learn_in_blocks", lambda *a: calls.append(len(a[2])) or (0.0, np.ones(len(a[2])))
    )
    model = Adaline(1000)
    model.train_step((np.zeros((20, 1000)), np.zeros(20)))
    assert calls == []
    model.train_step((np.zeros((1000, 1000)), np.zeros(1000)))
    assert calls == [1000]


def test_a_routine_that_works_on_a_copy_has_learned_as_well(monkeypatch):
    from scipy import linalg

    (routine,) = linalg.get_lapack_funcs(("ormqr",), dtype=np.float64)
    monkeypatch.setattr(linalg, "get_lapack_funcs", lambda *_, **__: (lambda *a, **_: routine(*a, overwrite_c=0),))
    X, targets, start = problem(100, 20, np.float64)
    plain, fast = start.copy(), start.copy()
    learn_one_by_one(plain, 0.0, X, targets, 0.1)
    learn_in_blocks(fast, 0.0, X, targets, 0.1)
    assert fast == pytest.approx(plain, rel=1e-12)


def test_a_block_that_lapack_refuses_is_an_error_and_changes_no_weight(monkeypatch):
    X, targets, start = problem(100, 20, np.float64)
    w = start.copy()
    monkeypatch.setattr("scipy.linalg.get_lapack_funcs", lambda *_, **__: (Refusing(),))
    with pytest.raises(ModelError, match="LAPACK's dormqr returned -5"):
        learn_in_blocks(w, 0.0, X, targets, 0.1)
    assert np.array_equal(w, start)


class Refusing:
    """A routine that does nothing and says so."""

    typecode = "d"

    def __call__(self, side, trans, reflectors, eta, c, lwork, overwrite_c):
        return c, np.zeros(1), -5


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_a_type_that_lapack_does_not_know_is_learned_by_the_plain_loop(dtype):
    X, targets, _ = problem(1000, 1000, np.float64)
    model, w = Adaline(1000, dtype=dtype, learning_rate=0.1), np.zeros(1000, dtype)
    model.train_step((X, targets))
    learn_one_by_one(w, 0.0, X.astype(dtype), targets.astype(dtype), 0.1)
    assert model.w.dtype == dtype
    assert model.w.any()
    assert np.array_equal(model.w, w)
