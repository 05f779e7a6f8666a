import random
from contextlib import contextmanager

import numpy as np
import pytest

from aifs_engine import Evaluator
from aifs_engine.evaluator import RunningMeans
from aifs_utils.exceptions import DataError


def test_means_weigh_batches_by_their_samples(learner):
    X = np.zeros((3, 2))
    batches = [(X[:2], np.array([1.0, 1.0])), (X[:1], np.array([4.0]))]
    assert Evaluator(learner).evaluate(batches, prefix="test_") == {"test_loss": pytest.approx((1 + 1 + 16) / 3)}


def test_the_batch_size_does_not_change_the_result(learner):
    generator = np.random.default_rng(0)
    X, y = generator.standard_normal((21, 2)), generator.standard_normal(21)
    results = [
        Evaluator(learner).evaluate([(X[i : i + n], y[i : i + n]) for i in range(0, 21, n)])["loss"] for n in (1, 4, 21)
    ]
    assert results == pytest.approx([results[0]] * 3, rel=1e-12)


def test_batches_without_samples_are_refused(learner):
    learner.eval_step = lambda batch: {"loss": 0.0}
    with pytest.raises(DataError, match="there are no samples"):
        Evaluator(learner).evaluate([(np.zeros((0, 2)), np.zeros(0))])


def test_evaluation_leaves_the_learner_as_it_was(learner, batches):
    before = learner.state_dict()
    Evaluator(learner).evaluate(batches)
    assert np.array_equal(before["w"], learner.w)


def test_predictions_come_in_the_order_of_the_loader():
    class Sign:
        def decision_function(self, X):
            return X[:, 0]

        def predict(self, X):
            return (X[:, 0] > 0).astype(int)

    X = np.array([[-1.0], [2.0], [3.0]])
    y = np.array([0, 1, 0])
    predictions = Evaluator(Sign()).predict([(X[:2], y[:2]), (X[2:], y[2:])])
    assert predictions.labels.tolist() == [0, 1, 1]
    assert predictions.targets.tolist() == [0, 1, 0]
    assert predictions.scores.tolist() == [-1.0, 2.0, 3.0]


def test_a_learner_may_want_something_around_a_whole_pass(learner, batches):
    """Such as its evaluation mode: entered once, and left whatever happens."""
    entered = []

    @contextmanager
    def evaluating():
        entered.append("in")
        try:
            yield
        finally:
            entered.append("out")

    learner.evaluating = evaluating
    Evaluator(learner).evaluate(batches)
    assert entered == ["in", "out"]
    learner.predict = learner.eval_step = None
    for measure in (Evaluator(learner).predict, Evaluator(learner).evaluate):
        with pytest.raises(TypeError):
            measure(batches)
    assert entered == ["in", "out"] * 3


class OnADevice:
    """A number that tells when it is read."""

    is_cpu = False
    reads = 0

    def __init__(self, value):
        self.value = value

    def __mul__(self, factor):
        return OnADevice(self.value * factor)

    def __radd__(self, other):
        return OnADevice(other + self.value)

    def __add__(self, other):
        return OnADevice(self.value + getattr(other, "value", other))

    def __float__(self):
        OnADevice.reads += 1
        return self.value


def test_what_lies_on_an_accelerator_is_read_when_the_means_are_asked_for():
    """Nothing waits for it before, however many steps there are."""
    means = RunningMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"loss": OnADevice(value)}, 2)
    assert OnADevice.reads == 0
    assert means.means() == {"loss": 3.0}
    assert OnADevice.reads == 1


def test_running_means_continue_from_their_state_to_the_bit():
    values = np.random.default_rng(0).random(10)
    whole, first = RunningMeans(), RunningMeans()
    for value in values:
        whole.add({"loss": value}, 3)
    for value in values[:4]:
        first.add({"loss": value}, 3)
    second = RunningMeans(first.state_dict())
    for value in values[4:]:
        second.add({"loss": value}, 3)
    assert second.means() == whole.means()


class Augmented:
    """Validation data that draw from the global random states each time they are read."""

    def __len__(self):
        return 1

    def __iter__(self):
        yield np.random.standard_normal((4, 2)), np.full(4, random.random())  # noqa: NPY002


def test_evaluation_leaves_the_random_states_as_they_are(learner):
    """Whatever is drawn in it: training goes on as if nobody had looked."""
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    expected = (np.random.random(), random.random())  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    Evaluator(learner).evaluate(Augmented())
    assert (np.random.random(), random.random()) == expected  # noqa: NPY002


def test_predictions_need_inputs_and_targets(learner):
    """A dict would be unpacked into its keys."""
    learner.predict = lambda X: X
    with pytest.raises(DataError, match=r"batches \(X, y\), got dict of 2 parts"):
        Evaluator(learner).predict([{"x": np.zeros(3), "y": np.zeros(3)}])
