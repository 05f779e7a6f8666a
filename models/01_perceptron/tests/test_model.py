"""The perceptron against the papers: the rule, its convergence theorem, and what no line can do."""

import numpy as np
import pytest

from aifs_engine import NonFiniteError
from aifs_utils import ModelError
from perceptron.config import EXPERIMENTS
from perceptron.model import Perceptron, create_model, learn_one_by_one
from perceptron.pocket import PocketPerceptron

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0]}


def by_hand(X, y, learning_rate, passes):
    """Rosenblatt's rule in plain numbers, as one would do it on paper."""
    w, b, corrections = [0] * len(X[0]), 0, 0
    for _ in range(passes):
        for x, t in zip(X, y, strict=True):
            o = 1 if sum(wi * xi for wi, xi in zip(w, x, strict=True)) + b >= 0 else 0
            w = [wi + learning_rate * (t - o) * xi for wi, xi in zip(w, x, strict=True)]
            b += learning_rate * (t - o)
            corrections += o != t
    return w, b, corrections


def separable(seed, n_samples, n_features, margin):
    """Samples no nearer than `margin` to a plane through the origin, whose unit normal is returned as well."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=n_features)
    normal /= np.linalg.norm(normal)
    X = rng.normal(size=(n_samples, n_features))
    y = (X @ normal >= 0).astype(np.int64)
    return X + np.outer(np.where(y, margin, -margin), normal), y, normal


@pytest.mark.parametrize("learning_rate", [1, 3])
def test_the_weights_are_those_of_the_rule_done_by_hand(learning_rate):
    rng = np.random.default_rng(0)
    X, y = rng.integers(-3, 4, (40, 5)), rng.integers(0, 2, 40)  # whole numbers: both sums are exact
    model = Perceptron(5, learning_rate=float(learning_rate))
    corrections = sum(model.train_step((X, y))["corrections"] * len(y) for _ in range(4))
    w, b, expected = by_hand(X.tolist(), y.tolist(), learning_rate, passes=4)
    assert model.weights[0].tolist() == w
    assert model.bias.tolist() == [b]
    assert corrections == expected > 10


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_that_a_line_separates_is_learned(gate):
    model, y = Perceptron(2), np.array(GATES[gate])
    for _ in range(20):
        metrics = model.train_step((CORNERS, y))
    assert metrics == {"loss": 0.0, "accuracy": 1.0, "corrections": 0.0}
    assert model.predict(CORNERS).tolist() == y.tolist()


def test_xor_is_never_more_than_three_quarters_right():
    model, y = Perceptron(2), np.array([0, 1, 1, 0])
    for _ in range(100):
        assert model.train_step((CORNERS, y))["corrections"] > 0
        assert model.eval_step((CORNERS, y))["accuracy"] <= 0.75


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_features", "margin"), [(2, 0.05), (2, 0.5), (20, 0.1)])
@pytest.mark.parametrize("learning_rate", [1.0, 0.01])
def test_corrections_are_as_few_as_novikoff_promises(seed, n_features, margin, learning_rate):
    X, y, normal = separable(seed, 200, n_features, margin)
    R = np.sqrt((X**2).sum(axis=1).max() + 1)  # the bias is a weight whose input is 1, and 0 in the separating plane
    gamma = np.min(np.where(y, 1, -1) * (X @ normal))
    assert gamma >= margin
    model, corrections = Perceptron(n_features, learning_rate=learning_rate), 0
    for _ in range(10_000):
        made = round(model.train_step((X, y))["corrections"] * len(y))
        corrections += made
        if made == 0:
            break
    assert made == 0, "it must come to rest"
    assert 0 < corrections <= (R / gamma) ** 2
    assert model.eval_step((X, y))["accuracy"] == 1.0


@pytest.mark.parametrize("batch_size", [1, 7, 100, 300])
def test_the_size_of_the_batches_changes_no_weight(batch_size):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(600, 30)), rng.integers(0, 2, 600)
    whole, parts = Perceptron(30, learning_rate=0.1), Perceptron(30, learning_rate=0.1)
    whole.train_step((X, y))
    for start in range(0, len(X), batch_size):
        parts.train_step((X[start : start + batch_size], y[start : start + batch_size]))
    assert whole.weights.tobytes() == parts.weights.tobytes()
    assert whole.bias.tobytes() == parts.bias.tobytes()


def test_the_learning_rate_changes_no_answer():
    X, y, _ = separable(2, 100, 4, margin=0.01)
    models = [Perceptron(4, learning_rate=eta) for eta in (1.0, 0.25, 1024.0)]  # powers of two round nothing
    for model in models:
        for _ in range(3):
            model.train_step((X, y))
    for model in models[1:]:
        assert np.array_equal(model.weights, models[0].weights * model.learning_rate)


def test_metrics_are_measured_before_each_sample_is_learned():
    model = Perceptron(1)
    X, y = np.array([[1.0], [1.0], [2.0]]), np.array([0, 1, 0])
    # Sums 0 (wrong: counts as 1), -2 (wrong, by 2), 0 (wrong again).
    assert model.train_step((X, y)) == {"loss": pytest.approx(2 / 3), "accuracy": 0.0, "corrections": 1.0}
    assert model.weights.tolist() == [[-2.0]]


def test_many_classes_are_one_against_the_rest_each():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(500, 6)), rng.integers(0, 4, 500)
    model = Perceptron(6, n_classes=4)
    metrics = model.train_step((X, y))
    corrections = 0.0
    for k in range(4):
        one = Perceptron(6)
        corrections += one.train_step((X, (y == k).astype(np.int64)))["corrections"]
        assert np.array_equal(one.weights[0], model.weights[k])
        assert one.bias[0] == model.bias[k]
    assert metrics["corrections"] == pytest.approx(corrections)
    assert np.array_equal(model.predict(X), model.decision_function(X).argmax(axis=1))
    assert model.decision_function(X).shape == (500, 4)


def test_ten_blobs_are_told_apart():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 10, 600)
    X = 5 * np.eye(10)[y] + rng.normal(size=(600, 10))
    model = Perceptron(10, n_classes=10)
    assert model.eval_step((X, y))["accuracy"] < 0.2
    for _ in range(20):
        model.train_step((X, y))
    assert model.eval_step((X, y))["accuracy"] > 0.97


def test_evaluating_changes_nothing():
    X, y, _ = separable(5, 50, 3, margin=0.1)
    model = Perceptron(3)
    model.train_step((X, y))
    before = model.state_dict()
    model.eval_step((X, y))
    model.predict(X)
    assert np.array_equal(before["weights"], model.weights)
    assert np.array_equal(before["bias"], model.bias)


@pytest.mark.parametrize(
    "make", [Perceptron, lambda n: PocketPerceptron(n, training_set=(CORNERS, np.array(GATES["and"])))]
)
def test_a_state_saved_and_loaded_answers_and_learns_alike(make):
    y = np.array([0, 1, 1, 0])
    model, copy = make(2), make(2)
    for _ in range(3):
        model.train_step((CORNERS, y))
    copy.load_state_dict(model.state_dict())
    for _ in range(5):
        assert model.train_step((CORNERS, y)) == copy.train_step((CORNERS, y))
    assert np.array_equal(model.decision_function(CORNERS), copy.decision_function(CORNERS))


def test_a_state_is_a_copy():
    model = Perceptron(2)
    state = model.state_dict()
    model.train_step((CORNERS, np.array(GATES["or"])))
    assert not state["weights"].any()
    model.load_state_dict(state)
    model.train_step((CORNERS, np.array(GATES["or"])))
    assert not state["weights"].any()


@pytest.mark.parametrize(
    "state", [{}, {"weights": np.zeros((1, 2))}, Perceptron(3).state_dict(), Perceptron(2, 3).state_dict()]
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(state):
    model = Perceptron(2)
    model.train_step((CORNERS, np.array(GATES["and"])))
    before = model.state_dict()
    with pytest.raises(ModelError, match=r"weights|bias"):
        model.load_state_dict(state)
    assert np.array_equal(before["weights"], model.weights)


def test_inputs_of_another_width_are_refused():
    with pytest.raises(ModelError, match=r"\(n_samples, 2\) expected, got \(4, 3\)"):
        Perceptron(2).train_step((np.zeros((4, 3)), np.zeros(4)))


@pytest.mark.parametrize("n_samples", [5, 700])  # the plain loop and the fast one
@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 1e308])
def test_numbers_that_cannot_be_learned_from_stop_it_before_the_weights_change(n_samples, spoiled):
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(n_samples, 3)), np.arange(n_samples) % 2
    for model in (Perceptron(3), Perceptron(3, n_classes=3), PocketPerceptron(3, training_set=(X, y))):
        model.train_step((X, y))
        before = model.state_dict()
        with pytest.raises(NonFiniteError):
            model.train_step((np.where(X < 0.5, X, spoiled), y))
        assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


def test_a_sum_of_zero_counts_as_one():
    assert Perceptron(2).predict(CORNERS).tolist() == [1, 1, 1, 1]


def test_the_loop_starts_from_the_weights_it_is_given():
    weights = np.array([1.0, -1.0])
    bias, scores = learn_one_by_one(weights, 0.5, CORNERS, np.array([True, False, True, True]), 1.0)
    assert scores.tolist() == [0.5, -0.5, 1.5, 0.5]
    assert (weights.tolist(), bias) == ([1.0, -1.0], 0.5)


def test_create_model_follows_the_config():
    train = (CORNERS, np.array(GATES["and"]))
    plain = create_model(EXPERIMENTS["digits"], n_features=64, n_classes=10)
    pocket = create_model(EXPERIMENTS["xor-pocket"], n_features=2, n_classes=2, training_set=train)
    assert plain.weights.shape == (10, 64)
    assert isinstance(pocket, PocketPerceptron)
    assert plain.learning_rate == EXPERIMENTS["digits"].learning_rate
