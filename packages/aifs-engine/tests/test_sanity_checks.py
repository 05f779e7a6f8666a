"""Overfitting one batch: what passes, what fails and why, and that nothing is left behind."""

import math
import random

import numpy as np
import pytest

from aifs_engine.learner import NonFiniteError
from aifs_engine.sanity_checks import overfit_one_batch
from aifs_utils.exceptions import ConfigError
from aifs_utils.seeds import get_random_state


@pytest.fixture
def exact(batches):
    """A batch whose targets lie on a line, which a line learns to the last digit."""
    X, _ = batches[0]
    return X, X @ np.array([1.0, -2.0])


class Moving:
    """Its loss is what `losses` says, step by step."""

    def __init__(self, *losses):
        self.losses = losses
        self.step = 0

    def train_step(self, batch):
        loss = self.losses[min(self.step, len(self.losses) - 1)]
        self.step += 1
        if loss == "refused":
            raise NonFiniteError("loss is nan")
        return {"loss": loss}

    def state_dict(self):
        return {"step": self.step}

    def load_state_dict(self, state):
        self.step = state["step"]


def test_a_learner_that_learns_passes_and_stops_at_the_target(learner, exact):
    """The default target is a twentieth of the first loss."""
    result = overfit_one_batch(learner, exact, steps=1000)
    assert result.passed
    assert result.target == 0.05 * result.losses[0]
    assert result.losses[-1] <= result.target < result.losses[-2]
    assert str(result).startswith(f"passed: one batch is learned, loss {result.losses[0]:.4g}")


def test_a_learner_without_its_update_fails(learner, exact):
    """The check is worth nothing if it passes then."""
    learner.learning_rate = 0.0
    result = overfit_one_batch(learner, exact, steps=20)
    assert not result.passed
    assert len(result.losses) == 20
    assert "in all 20 steps. Usually the optimizer has other parameters" in str(result)


@pytest.mark.parametrize(
    ("losses", "meaning"),
    [
        ((2.0, 1.5, 1.0), "too small or regularized"),
        ((2.0, 1.0, 3.0), "the update has the wrong sign"),
        ((2.0, 3.0, math.inf), "the loss is inf in step 3. Usually the learning rate is too large"),
        ((2.0, math.nan), "the loss is nan in step 2"),
        ((2.0, "refused"), "the loss is nan in step 2"),
        ((math.nan,), "the loss is nan in step 1"),
    ],
)
def test_a_failure_says_what_usually_is_wrong(losses, meaning):
    """By how the loss moved."""
    result = overfit_one_batch(Moving(*losses), None, steps=10)
    assert not result.passed
    assert str(result).startswith("failed: ")
    assert meaning in str(result)


def test_a_target_can_be_given(learner, exact):
    """Where a loss has another floor than 0."""
    assert overfit_one_batch(Moving(-1.0, -5.0), None, target=-4.0).losses == (-1.0, -5.0)
    assert overfit_one_batch(learner, exact, steps=1000, target=1e-6).losses[-1] <= 1e-6


@pytest.mark.parametrize("first", [0.0, -1.0])
def test_a_first_loss_that_is_not_above_zero_needs_a_target(first):
    """A twentieth of it says nothing."""
    learner = Moving(first)
    with pytest.raises(ConfigError, match="name the target"):
        overfit_one_batch(learner, None)
    assert learner.step == 0


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_steps_are_counted_from_one(learner, exact, steps):
    """Without a step there is no result."""
    with pytest.raises(ConfigError, match="steps must be a whole number of at least 1"):
        overfit_one_batch(learner, exact, steps=steps)


def test_the_learner_and_the_random_states_are_as_they_were(noisy_learner, batches):
    """A run that checks itself first is the run that does not."""
    checked, unchecked = noisy_learner(), noisy_learner()
    for learner in (checked, unchecked):
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        learner.train_step(batches[0])
        if learner is checked:
            before = random.getstate()
            assert overfit_one_batch(learner, batches[1], steps=5).losses[0] > 0
            assert random.getstate() == before
        for batch in batches:
            learner.train_step(batch)
    assert checked.w.tobytes() == unchecked.w.tobytes()


def test_an_error_in_the_middle_puts_the_learner_back_too(learner, exact):
    """A batch that does not fit, say."""
    with pytest.raises(ValueError, match="mismatch"):
        overfit_one_batch(learner, (exact[0][:, :1], exact[1]))
    overfitted = overfit_one_batch(learner, exact, steps=3)
    assert overfitted.losses == overfit_one_batch(learner, exact, steps=3).losses
    assert not learner.w.any()


def test_a_torch_learner_is_put_back_to_the_bit():
    """Weights, the optimizer's moments, the schedule, the average, dropout's random state."""
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import Adam
    from aifs_engine.torch_schedules import warmup_cosine

    def trained(*, check):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(2, 32), torch.nn.Dropout(0.1), torch.nn.Tanh(), torch.nn.Linear(32, 2)
        )
        optimizer = Adam(model.parameters(), lr=0.02)
        schedule = warmup_cosine(optimizer, warmup_steps=2, total_steps=20)
        learner = TorchLearner(model, optimizer, torch.nn.CrossEntropyLoss(), scheduler=schedule, ema_decay=0.9)
        batch = torch.randn(16, 2), torch.randint(2, (16,))
        losses = []
        for step in range(10):
            if check and step in (0, 4):
                overfit_one_batch(learner, batch, steps=30)
            losses.append(float(learner.train_step(batch)["loss"]))
        return losses, get_random_state()["torch"]["cpu"].tobytes()

    assert trained(check=True) == trained(check=False)


@pytest.mark.parametrize("name", ["one_cycle", "warmup_cosine"])
def test_a_schedule_and_a_half_full_window_have_no_part_in_it(name):
    """Each step is one update at the rate of this moment, past the schedule's end too; then the window goes on."""
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    from aifs_engine import torch_schedules
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD

    def learner(**options):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        optimizer = SGD(model.parameters(), lr=0.1)
        rate = {"one_cycle": {"peak": 0.1}, "warmup_cosine": {"warmup_steps": 2}}[name]
        scheduler = getattr(torch_schedules, name)(optimizer, total_steps=10, **rate) if options else None
        return TorchLearner(model, optimizer, torch.nn.CrossEntropyLoss(), scheduler=scheduler, **options)

    plain, checked, unchecked = learner(), learner(accumulate=3), learner(accumulate=3)
    X = torch.randn(16, 2)
    batch, other = (X, (X[:, 0] > 0).long()), (X, (X[:, 1] > 0).long())
    plain.learning_rate = checked.learning_rate
    for each in (checked, unchecked):
        each.train_step(other)
    losses = overfit_one_batch(checked, batch, steps=30, target=0.0).losses
    assert losses == overfit_one_batch(plain, batch, steps=30, target=0.0).losses
    assert len(set(losses)) == 30  # each step moves the weights
    for each in (checked, unchecked):
        each.train_step(batch)
        each.train_step(batch)
        assert each.updates == 1
    assert checked.learning_rate == unchecked.learning_rate
    assert torch.equal(checked.model.weight, unchecked.model.weight)


def test_a_failure_points_at_a_warm_up_that_stands_still():
    """Its first rate is too small to learn anything by heart."""
    assert "a schedule stands still meanwhile" in str(overfit_one_batch(Moving(2.0, 1.9), None, steps=2))
