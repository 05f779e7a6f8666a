"""The pocket algorithm: its weights never become worse, and in the end none are better."""

import itertools

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_utils import ModelError
from perceptron.model import Perceptron
from perceptron.pocket import PocketPerceptron

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])


def learn(training_set, passes, seed=0):
    """Learn in shuffled passes; return the learner and the pocket's right answers after each."""
    X, y = training_set
    model, rng, right = PocketPerceptron(X.shape[1], training_set=training_set), np.random.default_rng(seed), []
    for _ in range(passes):
        order = rng.permutation(len(X))
        model.train_step((X[order], y[order]))
        right.append(model.pocket_right)
    return model, right


def moons(seed=0):
    dataset = load_dataset("moons", seed=seed)
    return dataset.train.X, dataset.train.y


def test_the_pocket_never_becomes_worse_and_knows_how_good_it_is():
    X, y = moons()
    model, right = learn((X, y), passes=30)
    assert right == sorted(right)
    assert right[-1] > right[0] / 2
    assert (model.predict(X) == y).sum() == model.pocket_right
    assert model.eval_step((X, y))["accuracy"] == model.pocket_right / len(y)


@pytest.mark.parametrize("seed", range(5))
def test_on_xor_it_finds_three_of_four(seed):
    model, _ = learn(XOR, passes=1000, seed=seed)
    assert (model.predict(XOR[0]) == XOR[1]).sum() == 3


def test_no_line_does_better_than_the_pocket_on_a_handful_of_points():
    rng = np.random.default_rng(1)
    X, y = rng.integers(-3, 4, (12, 2)).astype(float), rng.integers(0, 2, 12)
    grid = np.linspace(-7, 7, 57)
    best = max(
        int((((X @ (np.cos(a), np.sin(a)) + b) >= 0) == y).sum())
        for a, b in itertools.product(np.linspace(0, 2 * np.pi, 97), grid)
    )
    model, _ = learn((X, y), passes=2000)
    assert model.pocket_right >= best


def test_it_is_better_than_the_weights_that_learn():
    X, y = moons()
    model, _ = learn((X, y), passes=30)
    plain = Perceptron(2)
    plain.load_state_dict(model.state_dict())
    assert model.eval_step((X, y))["accuracy"] > plain.eval_step((X, y))["accuracy"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("name", "passes"), [("moons", 20), ("circles", 20), ("iris-hard", 50)])
def test_on_its_training_set_it_is_never_below_the_weights_that_learn(name, passes, seed):
    dataset = load_dataset(name, seed=seed)
    X, y = dataset.train.X, dataset.train.y
    model, _ = learn((X, y), passes, seed)
    plain = Perceptron(X.shape[1])
    plain.load_state_dict(model.state_dict())
    assert model.eval_step((X, y))["accuracy"] >= plain.eval_step((X, y))["accuracy"]


def test_it_answers_with_the_weights_in_its_pocket():
    X, y = moons()
    model, _ = learn((X, y), passes=3)
    weights, bias = model.answering
    assert np.array_equal(weights, model.pocket_weights)
    assert not np.array_equal(weights, model.weights)
    assert np.allclose(model.decision_function(X), X @ weights[0] + bias)


def test_it_learns_like_a_perceptron():
    X, y = moons()
    pocket, plain = PocketPerceptron(2, training_set=(X, y)), Perceptron(2)
    for _ in range(3):
        kept, metrics = pocket.train_step((X, y)), plain.train_step((X, y))
        assert kept.pop("pocket_accuracy") == pocket.pocket_right / len(y)
        assert kept == pytest.approx(metrics)
        assert np.array_equal(pocket.weights, plain.weights)


def test_on_separable_data_it_ends_with_weights_that_make_no_mistake():
    dataset = load_dataset("linearly-separable", seed=3)
    model, _ = learn((dataset.train.X, dataset.train.y), passes=30)
    assert model.pocket_right == len(dataset.train)


def test_the_size_of_the_batches_changes_nothing():
    X, y = moons()
    whole, parts = PocketPerceptron(2, training_set=(X, y)), PocketPerceptron(2, training_set=(X, y))
    whole.train_step((X, y))
    for i in range(0, len(X), 7):
        parts.train_step((X[i : i + 7], y[i : i + 7]))
    ours, theirs = whole.state_dict(), parts.state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_pocket_holds_one_output():
    with pytest.raises(ModelError, match="two classes expected, got 3"):
        PocketPerceptron(2, n_classes=3, training_set=XOR)


def test_a_state_without_a_pocket_is_refused():
    with pytest.raises(ModelError, match="no pocket_weights"):
        PocketPerceptron(2, training_set=XOR).load_state_dict(Perceptron(2).state_dict())
