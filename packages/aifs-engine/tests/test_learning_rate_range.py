"""The learning-rate range test: the sweep, where it ends, what it suggests, and that nothing is left behind."""

import math

import numpy as np
import pytest

from aifs_engine.learner import NonFiniteError
from aifs_engine.learning_rate_range import learning_rate_range
from aifs_utils.exceptions import ConfigError, DataError, TrainingError
from aifs_utils.seeds import get_random_state


class Quadratic:
    """Descends the loss curvature / 2 * w ** 2, which explodes above the rate 2 / curvature."""

    def __init__(self, curvature=4.0, noise=0.0):
        self.curvature = curvature
        self.noise = noise
        self.learning_rate = 0.5
        self.w = 1.0
        self.rates = []

    def train_step(self, batch):
        self.rates.append(self.learning_rate)
        loss = 0.5 * self.curvature * self.w**2 + self.noise * batch[0]
        self.w -= self.learning_rate * self.curvature * self.w
        return {"loss": loss}

    def state_dict(self):
        return {"w": self.w}

    def load_state_dict(self, state):
        self.w = state["w"]


class Random:
    """Learns nothing: its loss is noise."""

    learning_rate = 0.1

    def train_step(self, batch):
        return {"loss": 1 + 0.1 * batch[0]}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.fixture
def numbers():
    """Fifty batches of one number each."""
    return [[float(x)] for x in np.random.default_rng(0).standard_normal(50)]


def test_the_rates_grow_by_the_same_factor_from_lowest_to_highest(numbers):
    """Each decade gets as many steps as the others, whatever the number of batches."""
    learner = Quadratic(curvature=1.0)
    result = learning_rate_range(learner, numbers, lowest=1e-5, highest=1.0, steps=60)
    assert learner.rates == result.rates.tolist()
    np.testing.assert_allclose(result.rates, 10.0 ** np.linspace(-5, 0, 60))
    assert len(result.rates) == len(result.losses) == len(result.smoothed) == 60
    assert result.losses.dtype == result.smoothed.dtype == result.rates.dtype == np.float64


def test_the_sweep_ends_when_the_loss_explodes(numbers):
    """At four times what it began with; a quadratic's diverges above 2 / curvature."""
    result = learning_rate_range(Quadratic(curvature=4.0), numbers)
    assert 10 < len(result.rates) < 100
    assert result.rates[-1] > 2 / 4
    assert np.mean(result.losses[-3:]) > 4 * result.losses[0] >= np.mean(result.losses[-4:-1])
    assert result.smoothed.max() <= 4 * result.losses[0] * (1 + 1e-6)


@pytest.mark.parametrize("curvature", [0.1, 4.0, 100.0])
def test_the_suggestion_is_below_where_a_quadratic_diverges_and_trains_it(curvature, numbers):
    """Its order of magnitude follows the curvature, as that of the best constant rate 1 / curvature does."""
    result = learning_rate_range(Quadratic(curvature), numbers)
    assert 0.02 / curvature < result.suggestion < 2 / curvature
    learner = Quadratic(curvature)
    learner.learning_rate = result.suggestion
    losses = [learner.train_step(batch)["loss"] for batch in numbers]
    assert losses[-1] < 0.01 * losses[0]
    assert f"falls fastest at {result.suggestion:.1e}" in str(result)


def test_noise_does_not_move_the_suggestion_by_more_than_half_a_decade(numbers):
    """Batches differ; the smoothing is centred, so that it does not lag either."""
    quiet = learning_rate_range(Quadratic(noise=0.0), numbers).suggestion
    noisy = learning_rate_range(Quadratic(noise=0.05), numbers).suggestion
    assert abs(math.log10(noisy / quiet)) < 0.5


@pytest.mark.parametrize("seed", range(20))
def test_where_nothing_is_learned_nothing_is_suggested(seed):
    """The lowest of many random losses is no sign of learning."""
    numbers = [[float(x)] for x in np.random.default_rng(seed).standard_normal(50)]
    result = learning_rate_range(Random(), numbers)
    assert result.suggestion is None
    assert "never falls by more than its noise" in str(result)


@pytest.mark.parametrize("end", ["nan", "inf", "refused"])
def test_a_loss_that_is_not_finite_ends_the_sweep_and_is_left_out(numbers, end):
    """Returned by the learner, or refused by it."""

    class Breaking(Quadratic):
        def train_step(self, batch):
            if self.learning_rate > 0.01:
                if end == "refused":
                    raise NonFiniteError("loss is nan")
                return {"loss": float(end)}
            return super().train_step(batch)

    result = learning_rate_range(Breaking(), numbers)
    assert result.rates[-1] <= 0.01 < result.rates[-1] * 10 ** (8 / 99) * 1.01
    assert np.isfinite(result.losses).all()


def test_a_loss_that_is_never_finite_is_an_error(numbers):
    """It is no matter of the rate."""
    learner = Quadratic(curvature=math.nan)
    with pytest.raises(TrainingError, match=r"not finite at the learning rate 1\.0e-07 already"):
        learning_rate_range(learner, numbers)
    assert (learner.w, learner.learning_rate) == (1.0, 0.5)


def test_negative_losses_have_a_range_too(numbers):
    """A log density, say."""

    class Shifted(Quadratic):
        def train_step(self, batch):
            return {"loss": super().train_step(batch)["loss"] - 10}

    shifted, plain = (learning_rate_range(kind(), numbers).suggestion for kind in (Shifted, Quadratic))
    assert shifted == pytest.approx(plain, rel=1e-6)


def test_the_learner_and_the_random_states_are_as_they_were(noisy_learner, batches):
    """A run that tests its range first is the run that does not."""
    tested, untested = noisy_learner(), noisy_learner()
    for learner in (tested, untested):
        np.random.seed(3)  # noqa: NPY002
        learner.train_step(batches[0])
        if learner is tested:
            learning_rate_range(learner, batches, steps=20)
        for batch in batches:
            learner.train_step(batch)
    assert tested.learning_rate == 0.1
    assert tested.w.tobytes() == untested.w.tobytes()


def test_a_loader_goes_on_with_its_next_epoch(learner, batches):
    """Twenty-two steps over five batches are epochs 0 to 4."""

    class Counting:
        def __init__(self):
            self.epochs = []

        def __len__(self):
            return len(batches)

        def batches(self, epoch, start=0):
            self.epochs.append(epoch)
            return iter(batches[start:])

    loader = Counting()
    assert len(learning_rate_range(learner, loader, highest=1e-3, steps=22).losses) == 22
    assert loader.epochs == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 0.0}, "0 < lowest < highest"),
        ({"lowest": 1.0, "highest": 0.1}, "0 < lowest < highest"),
        ({"highest": math.inf}, "0 < lowest < highest"),
        ({"lowest": math.nan}, "0 < lowest < highest"),
        ({"steps": 19}, "at least 20"),
        ({"steps": 30.0}, "whole number"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(learner, batches, options, message):
    """Before the first step."""
    with pytest.raises(ConfigError, match=message):
        learning_rate_range(learner, batches, **options)
    assert not learner.w.any()


def test_a_learner_without_a_rate_to_set_is_refused(batches):
    """None at all, or one that can only be read."""

    class Rateless(Random):
        learning_rate = property(lambda self: 0.1)

    with pytest.raises(ConfigError, match="Rateless has none"):
        learning_rate_range(Rateless(), batches)


def test_an_empty_loader_is_refused(learner):
    """An endless loop would be the other answer."""
    with pytest.raises(DataError, match="no batches"):
        learning_rate_range(learner, [])


def test_a_torch_learner_is_put_back_to_the_bit():
    """Its schedule and the rates of its groups too, which the sweep overrides."""
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD, parameter_groups
    from aifs_engine.torch_schedules import warmup_cosine

    def trained(*, test):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 2))
        optimizer = SGD(parameter_groups(model, 0.01), lr=0.1, momentum=0.9)
        schedule = warmup_cosine(optimizer, warmup_steps=3, total_steps=20)
        learner = TorchLearner(model, optimizer, torch.nn.CrossEntropyLoss(), scheduler=schedule)
        batch = torch.randn(16, 2), torch.randint(2, (16,))
        losses, rates = [], []
        for step in range(12):
            if test and step in (0, 5):
                result = learning_rate_range(learner, [batch], steps=50)
                assert result.rates[0] == 1e-7
            losses.append(float(learner.train_step(batch)["loss"]))
            rates.append([group["lr"] for group in optimizer.param_groups])
        return losses, rates, get_random_state()["torch"]["cpu"].tobytes()

    assert trained(test=True) == trained(test=False)


def test_a_schedule_and_accumulation_have_no_part_in_it():
    """Each step is one update at the sweep's own rate, past the schedule's end too."""
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD
    from aifs_engine.torch_schedules import one_cycle

    def result(*, scheduled):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        optimizer = SGD(model.parameters(), lr=0.1)
        options = {"scheduler": one_cycle(optimizer, peak=0.1, total_steps=10), "accumulate": 3} if scheduled else {}
        learner = TorchLearner(model, optimizer, torch.nn.CrossEntropyLoss(), **options)
        X = torch.randn(16, 2)
        return learning_rate_range(learner, [(X, (X[:, 0] > 0).long())], lowest=0.01, highest=1.0, steps=30)

    losses = result(scheduled=True).losses
    np.testing.assert_array_equal(losses, result(scheduled=False).losses)
    assert len(losses) == len(set(losses.tolist())) == 30
