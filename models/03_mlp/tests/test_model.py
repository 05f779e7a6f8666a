"""The network in PyTorch, step by step beside the one by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aifs_engine.torch_learner import TorchLearner
from aifs_engine.torch_optimizers import SGD
from mlp import backpropagation, model
from mlp.config import get_config
from mlp.initial import draw_layers

STEPS = 50
VARIANTS = [(activation, criterion) for activation in model.ACTIVATIONS for criterion in model.CRITERIA]


@pytest.fixture(autouse=True)
def one_thread():
    """As a run does it for networks of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def batches():
    """Batches of eight samples of six inputs, of four classes."""
    generator = np.random.default_rng(0)
    return [(generator.standard_normal((8, 6)), generator.integers(4, size=8)) for _ in range(STEPS)]


def twins(activation, criterion, dtype, hidden_sizes=(16, 8)):
    """The same network twice, by hand and in PyTorch."""
    layers = draw_layers((6, *hidden_sizes, 4), seed=0, dtype=dtype)
    options = {"learning_rate": 0.1, "momentum": 0.9}
    by_hand = backpropagation.MLP(layers, activation=activation, criterion=criterion, **options)
    module = model.MLP(layers, activation=activation)
    by_torch = TorchLearner(module, SGD(module.parameters(), lr=0.1, momentum=0.9), model.CRITERIA[criterion])
    return by_hand, by_torch


def as_tensors(batch, dtype):
    X, y = batch
    return torch.from_numpy(X.astype(dtype)), torch.from_numpy(y)


@pytest.mark.parametrize(("activation", "criterion"), VARIANTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_both_have_the_same_gradients_step_by_step(activation, criterion, dtype, tolerance, batches):
    by_hand, by_torch = twins(activation, criterion, dtype)
    parameters = list(by_torch.model.parameters())
    for X, y in batches:
        tensors = as_tensors((X, y), dtype)
        _, expected = by_hand.gradients((X, y))
        got = torch.autograd.grad(by_torch.loss(tensors)[0], parameters)
        for gradient, other in zip(expected, got, strict=True):
            assert gradient.dtype == dtype
            assert other.numpy() == pytest.approx(gradient, abs=tolerance)
        loss = by_torch.train_step(tensors)["loss"]
        assert float(loss) == pytest.approx(by_hand.train_step((X, y))["loss"], abs=tolerance)
    for weights, other in zip(by_hand.parameters, parameters, strict=True):
        assert other.detach().numpy() == pytest.approx(weights, abs=10 * tolerance)
        assert abs(weights).max() > 0.01


def test_an_experiment_is_the_same_run_in_both(trained):
    histories = [trained("spirals", framework=framework, epochs=15)[1].history for framework in ("numpy", "torch")]
    for column in ("train_loss", "val_loss"):
        assert histories[0][column] == pytest.approx(histories[1][column], rel=1e-3)
    assert histories[0]["train_loss"][-1] < 0.8 * histories[0]["train_loss"][0]


def create(**changes):
    config = replace(get_config("digits"), **changes)
    return model.create_model(config, n_features=6, n_classes=4)


def test_the_layers_are_those_of_the_config():
    learner = create(hidden_sizes=(16, 8))
    shapes = {name: tuple(parameter.shape) for name, parameter in learner.model.named_parameters()}
    assert shapes == {
        "hidden.0.weight": (16, 6),
        "hidden.0.bias": (16,),
        "hidden.1.weight": (8, 16),
        "hidden.1.bias": (8,),
        "output.weight": (4, 8),
        "output.bias": (4,),
    }


@pytest.mark.parametrize("criterion", model.CRITERIA)
def test_a_batch_is_learned_by_heart(criterion, batches):
    learner, batch = create(criterion=criterion), as_tensors(batches[0], np.float32)
    before = float(learner.eval_step(batch)["accuracy"])
    for _ in range(300):
        learner.train_step(batch)
    assert before < float(learner.eval_step(batch)["accuracy"]) == 1.0
    assert np.array_equal(learner.predict(batch[0]), batch[1])


def test_without_updates_nothing_is_learned(batches):
    learner, batch = create(), as_tensors(batches[0], np.float32)
    learner.learning_rate = 0.0
    losses = {float(learner.train_step(batch)["loss"]) for _ in range(5)}
    assert len(losses) == 1


def test_scores_depend_on_each_input():
    X = torch.zeros(7, 6)
    X[1:] = torch.eye(6)
    scores = create().decision_function(X)
    assert scores.shape == (7, 4)
    assert (abs(scores[1:] - scores[0]).max(axis=1) > 1e-3).all()


def test_a_state_makes_the_same_model_momentum_included(batches):
    learner, other = create(), create(seed=1)
    batch = as_tensors(batches[0], np.float32)
    learner.train_step(batch)
    other.load_state_dict(learner.state_dict())
    for each in (learner, other):
        each.train_step(batch)
    assert np.array_equal(other.decision_function(batch[0]), learner.decision_function(batch[0]))
