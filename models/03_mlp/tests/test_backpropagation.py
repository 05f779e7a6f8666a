"""Back-propagation by hand, against finite differences and the paper's equations."""

import numpy as np
import pytest

from aifs_engine import NonFiniteError, Trainer
from aifs_utils.exceptions import ModelError
from mlp.backpropagation import CRITERIA, MLP, sigmoid
from mlp.initial import draw_layers

VARIANTS = [(activation, criterion) for activation in ("sigmoid", "tanh") for criterion in CRITERIA]
every_variant = pytest.mark.parametrize(("activation", "criterion"), VARIANTS)


def network(*sizes, learning_rate=0.1, dtype=np.float64, **options):
    return MLP(draw_layers(sizes, seed=0, dtype=dtype), learning_rate=learning_rate, **options)


@pytest.fixture
def batch():
    """Twenty samples of five inputs, of three classes that have nothing to do with them."""
    generator = np.random.default_rng(0)
    return generator.standard_normal((20, 5)), generator.integers(3, size=20)


@pytest.mark.parametrize("hidden_sizes", [(), (4,), (4, 6)])
@every_variant
def test_gradients_are_those_of_finite_differences(batch, activation, criterion, hidden_sizes):
    model, h = network(5, *hidden_sizes, 3, activation=activation, criterion=criterion), 1e-6
    _, gradients = model.gradients(batch)
    for parameter, gradient in zip(model.parameters, gradients, strict=True):
        assert gradient.shape == parameter.shape
        for place in np.ndindex(parameter.shape):
            value, losses = parameter[place], []
            for moved in (value - h, value + h):
                parameter[place] = moved
                losses.append(model.eval_step(batch)["loss"])
            parameter[place] = value
            assert gradient[place] == pytest.approx((losses[1] - losses[0]) / (2 * h), abs=1e-8)


def test_one_weight_in_each_of_two_layers_moves_as_the_equations_say():
    x, w1, w2, epsilon = 1.5, 0.4, -0.7, 0.3
    zero = np.zeros(1)
    layers = [(np.array([[w1]]), zero), (np.array([[w2]]), zero)]
    model = MLP(layers, learning_rate=epsilon)
    metrics = model.train_step((np.array([[x]]), np.array([0])))  # of one class: d = 1
    y1 = 1 / (1 + np.exp(-w1 * x))
    y2 = 1 / (1 + np.exp(-w2 * y1))
    d2 = (y2 - 1) * y2 * (1 - y2)
    d1 = d2 * w2 * y1 * (1 - y1)
    assert metrics["loss"] == pytest.approx((y2 - 1) ** 2 / 2)
    moved = [float(parameter.item()) for parameter in model.parameters]
    assert moved == pytest.approx([w1 - epsilon * d1 * x, -epsilon * d1, w2 - epsilon * d2 * y1, -epsilon * d2])


def test_momentum_adds_the_last_change(batch):
    model = network(5, 4, 3, momentum=0.9)
    model.train_step(batch)
    before, first = [w.copy() for w in model.parameters], model.changes
    _, gradients = model.gradients(batch)
    model.train_step(batch)
    for w, old, change, gradient in zip(model.parameters, before, first, gradients, strict=True):
        assert w == pytest.approx(old - 0.1 * gradient + 0.9 * change, rel=1e-12)
        assert change.any()


def test_a_batch_has_the_mean_gradient_of_its_samples(batch):
    model = network(5, 4, 3)
    _, together = model.gradients(batch)
    each = [model.gradients((batch[0][i : i + 1], batch[1][i : i + 1]))[1] for i in range(20)]
    for gradient, *single in zip(together, *each, strict=True):
        assert gradient == pytest.approx(np.mean(single, axis=0), abs=1e-15)


@every_variant
def test_a_batch_is_learned_by_heart(batch, activation, criterion):
    model = network(5, 32, 3, activation=activation, criterion=criterion, learning_rate=0.5, momentum=0.9)
    before = model.eval_step(batch)["accuracy"]
    for _ in range(1500):
        model.train_step(batch)
    assert before < model.eval_step(batch)["accuracy"] == 1.0


def test_without_updates_nothing_is_learned(batch):
    model = network(5, 32, 3, learning_rate=0.0)
    before = model.eval_step(batch)
    for _ in range(10):
        model.train_step(batch)
    assert model.eval_step(batch) == before


def test_equal_weights_stay_equal_which_is_why_the_first_ones_are_drawn(batch):
    layers = [(np.full((4, 5), 0.1), np.zeros(4)), (np.full((3, 4), 0.1), np.zeros(3))]
    model = MLP(layers, learning_rate=0.5)
    for _ in range(20):
        model.train_step(batch)
    hidden = model.parameters[0]
    assert not np.allclose(hidden, 0.1)
    assert np.ptp(hidden, axis=0) == pytest.approx(np.zeros(5), abs=1e-15)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_large_inputs_overflow_nowhere(criterion):
    x, d = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], np.float32), np.eye(2, dtype=np.float32)
    assert CRITERIA[criterion](x, d)[0] == 0
    E, dE_dx = CRITERIA[criterion](x, d[::-1])
    assert np.isfinite(E)
    assert E > 0.9
    assert np.isfinite(dE_dx).all()


def test_the_sigmoid_is_the_paper_s():
    x = np.linspace(-30, 30, 101)
    assert sigmoid(x) == pytest.approx(1 / (1 + np.exp(-x)), abs=1e-15)


def test_evaluation_changes_nothing(batch):
    model = network(5, 4, 3)
    before = model.state_dict()
    assert model.eval_step(batch) == model.eval_step(batch)
    assert model.eval_step(batch)["loss"] == model.gradients(batch)[0]["loss"]
    for name, arrays in model.state_dict().items():
        assert all(map(np.array_equal, arrays, before[name]))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_too_large_a_rate_is_found_while_the_weights_are_still_good(batch, criterion):
    model = network(5, 4, 3, criterion=criterion, learning_rate=1e308, dtype=np.float32)
    with pytest.raises(NonFiniteError):
        Trainer(model, epochs=20).train([batch])
    assert all(np.isfinite(w).all() for w in model.parameters)


def test_a_state_makes_the_same_model_momentum_included(batch):
    model, other = (network(5, 4, 3, momentum=0.9) for _ in range(2))
    model.train_step(batch)
    other.load_state_dict(model.state_dict())
    for learner in (model, other):
        learner.train_step(batch)
    assert np.array_equal(model.decision_function(batch[0]), other.decision_function(batch[0]))
    state = model.state_dict()
    model.train_step(batch)
    assert not np.array_equal(state["parameters"][0], model.parameters[0]), "a state shares no memory with the model"


def test_weights_alone_start_from_rest(batch):
    model, other = network(5, 4, 3, momentum=0.9), network(5, 4, 3, momentum=0.9)
    model.train_step(batch)
    other.train_step(batch)
    other.load_weights(model.state_dict())
    assert np.array_equal(other.predict(batch[0]), model.predict(batch[0]))
    assert not any(change.any() for change in other.changes)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ModelError, match=r"\(4, 5\).* expected, got .*\(6, 5\)"):
        network(5, 4, 3).load_state_dict(network(5, 6, 3).state_dict())


def test_inputs_of_another_shape_are_refused(batch):
    with pytest.raises(ModelError, match=r"\(n_samples, 4\) expected, got \(20, 5\)"):
        network(4, 3).predict(batch[0])


def test_the_first_weights_are_small_and_depend_on_the_seed_alone():
    one, same, other = (draw_layers((64, 32, 10), seed) for seed in (0, 0, 1))
    for (W, b), n_below, n_units in zip(one, (64, 32), (32, 10), strict=True):
        limit = np.sqrt(6 / (n_below + n_units))
        assert W.shape == (n_units, n_below)
        assert 0.95 * limit < abs(W).max() <= limit
        assert not b.any()
    assert np.array_equal(one[0][0], same[0][0])
    assert not np.array_equal(one[0][0], other[0][0])
    assert np.allclose(draw_layers((64, 32, 10), 0, gain=2.0)[0][0], 2 * one[0][0])
