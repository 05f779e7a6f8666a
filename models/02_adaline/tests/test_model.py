"""ADALINE against the paper and against least squares."""

import numpy as np
import pytest

from adaline.config import EXPERIMENTS
from adaline.model import Adaline, RulePair, create_model, learn_batch, learn_one_by_one
from aifs_data import create_data_loaders, load_dataset
from aifs_engine import NonFiniteError, Trainer
from aifs_utils.exceptions import ModelError


@pytest.fixture
def batch():
    """Forty samples of five inputs, and labels that a line gives with some noise."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((40, 5))
    return X, (X @ [1.0, -2.0, 0.5, 0.0, 3.0] + 0.5 * generator.standard_normal(40) > 0).astype(np.int64)


def half_mean_squared_error(w, b, X, targets):
    return np.mean((targets - X @ w - b) ** 2) / 2


def test_a_step_of_the_batch_rule_is_a_step_down_the_gradient(batch):
    X, targets = batch[0], 2.0 * batch[1] - 1
    generator = np.random.default_rng(1)
    w, b, h = generator.standard_normal(5), 0.3, 1e-6
    gradient = [
        (half_mean_squared_error(w + h * axis, b, X, targets) - half_mean_squared_error(w - h * axis, b, X, targets))
        / (2 * h)
        for axis in np.eye(5)
    ]
    slope = (half_mean_squared_error(w, b + h, X, targets) - half_mean_squared_error(w, b - h, X, targets)) / (2 * h)
    moved = w.copy()
    moved_b, _ = learn_batch(moved, b, X, targets, 0.1)
    assert moved == pytest.approx(w - 0.1 * np.array(gradient), abs=1e-8)
    assert moved_b == pytest.approx(b - 0.1 * slope, abs=1e-8)


def test_with_batches_of_one_both_rules_are_the_rule_of_1960(batch):
    X, targets = batch[0], 2.0 * batch[1] - 1
    one, other = np.zeros(5), np.zeros(5)
    b_one, _ = learn_one_by_one(one, 0.0, X, targets, 0.05)
    b_other = 0.0
    for i in range(len(X)):
        b_other, _ = learn_batch(other, b_other, X[i : i + 1], targets[i : i + 1], 0.05)
    assert other == pytest.approx(one, rel=1e-12)
    assert b_other == pytest.approx(b_one, rel=1e-12)


def test_a_full_correction_leaves_no_error_on_its_sample():
    """The paper's correction: with η = 1/(n + 1) and inputs of -1 and 1, one step removes the whole error."""
    x = np.array([[1.0, -1.0, 1.0]])
    model = Adaline(3, learning_rate=1 / 4)
    model.train_step((x, np.array([1])))
    assert model.decision_function(x) == pytest.approx([1.0])


def test_learning_ends_at_the_least_squares_solution(batch):
    X, y = batch
    model = Adaline(5, learning_rate=0.2, rule="batch")
    for _ in range(500):
        model.train_step(batch)
    design = np.column_stack([X, np.ones(len(X))])
    solution, *_ = np.linalg.lstsq(design, 2.0 * y - 1, rcond=None)
    assert np.append(model.w, model.b) == pytest.approx(solution, abs=1e-6)


def test_the_batch_rule_diverges_beyond_its_limit_and_not_below(batch):
    design = np.column_stack([batch[0], np.ones(len(batch[0]))])
    limit = 2 / np.linalg.eigvalsh(design.T @ design / len(design)).max()
    losses = {}
    for share in (0.95, 1.05):
        model = Adaline(5, learning_rate=share * limit, rule="batch")
        for _ in range(300):
            model.train_step(batch)
        losses[share] = model.eval_step(batch)["loss"]
    assert losses[0.95] < 1 < 1e6 < losses[1.05]


@pytest.mark.parametrize(("share", "factor"), [(0.5, 0), (0.9, 0.8), (1.1, 1.2)])
def test_a_correction_of_one_sample_leaves_a_share_of_its_error_that_grows_beyond_a_stricter_limit(share, factor):
    x = np.array([[3.0, 2.0]])
    model = Adaline(2, learning_rate=share * 2 / 14)  # |x|² with the constant input: 9 + 4 + 1
    model.train_step((x, np.array([1])))
    assert abs(1 - model.decision_function(x)[0]) == pytest.approx(factor)


def test_the_batch_size_changes_nothing_for_the_per_sample_rule(batch):
    X, y = batch
    whole, parts = Adaline(5), Adaline(5)
    whole.train_step(batch)
    for start in range(0, 40, 7):
        parts.train_step((X[start : start + 7], y[start : start + 7]))
    assert np.array_equal(whole.w, parts.w)
    assert whole.b == parts.b


def test_a_step_says_what_was_wrong_before_it(batch):
    metrics = Adaline(5, rule="batch").train_step(batch)
    assert metrics == {
        "loss": 1.0,
        "accuracy": pytest.approx(batch[1].mean()),
    }  # all sums are 0, which counts as class 1


def test_evaluation_changes_nothing(batch):
    model = Adaline(5)
    model.train_step(batch)
    before = model.state_dict()
    assert model.eval_step(batch) == model.eval_step(batch)
    assert np.array_equal(before["w"], model.w)


def test_too_large_a_rate_is_found_while_the_weights_are_still_good(batch):
    model = Adaline(5, learning_rate=1e6, rule="batch")
    with pytest.raises(NonFiniteError):
        Trainer(model, epochs=200).train([batch])
    assert np.isfinite(model.w).all()
    assert np.isfinite(model.b)


@pytest.mark.parametrize("kind", [Adaline, RulePair])
def test_a_state_makes_the_same_model(batch, kind):
    model, other = kind(5), kind(5)
    model.train_step(batch)
    other.load_state_dict(model.state_dict())
    assert np.array_equal(other.decision_function(batch[0]), model.decision_function(batch[0]))
    assert other.eval_step(batch) == model.eval_step(batch)
    model.train_step(batch)
    assert not np.array_equal(other.w, model.w), "a state shares no memory with the model"


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ModelError, match=r"shape \(3,\) expected, got \(5,\)"):
        Adaline(3).load_state_dict(Adaline(5).state_dict())


def test_inputs_of_another_shape_are_refused(batch):
    with pytest.raises(ModelError, match=r"\(n_samples, 3\) expected, got \(40, 5\)"):
        Adaline(3).predict(batch[0])


def test_three_classes_are_refused():
    with pytest.raises(ModelError, match="two classes apart, got 3"):
        create_model(EXPERIMENTS["debug"], n_features=2, n_classes=3)


def test_the_perceptron_in_the_pair_learns_only_from_mistakes():
    pair = RulePair(1, learning_rate=0.1)
    pair.train_step((np.array([[1.0]]), np.array([1])))  # a sum of 0 counts as class 1: no mistake
    assert pair.perceptron_w.tolist() == [0.0]
    pair.train_step((np.array([[2.0]]), np.array([0])))
    assert pair.perceptron_w.tolist() == [-2.0]
    assert pair.perceptron_b == -1.0


def train(experiment, seed, **changes):
    config = EXPERIMENTS[experiment]
    dataset = load_dataset(config.dataset, seed=seed, **config.data_options)
    loaders = create_data_loaders(dataset, config.batch_size, seed)
    model = create_model(config, n_features=dataset.n_features, n_classes=dataset.n_classes)
    for name, value in changes.items():
        setattr(model, name, value)
    Trainer(model, epochs=config.epochs).train(loaders.train)
    return model.eval_step((dataset.test.X, dataset.test.y))["accuracy"]


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_and(seed):
    assert train("and", seed) == 1.0


def test_without_updates_it_does_not_learn_and():
    assert train("and", 0, learning_rate=0.0) < 1.0


@pytest.mark.parametrize("seed", range(3))
def test_it_cannot_learn_xor(seed):
    assert train("xor", seed) <= 0.75
