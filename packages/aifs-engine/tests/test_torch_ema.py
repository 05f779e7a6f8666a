"""Averages of weights."""

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.torch_ema import WeightAverage  # noqa: E402  # only where torch is
from aifs_utils.exceptions import ConfigError  # noqa: E402


@pytest.fixture
def weights():
    return {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(4.0)}


def test_the_average_moves_by_its_share_towards_the_weights(weights):
    """By the rule: decay * average + (1 - decay) * weight."""
    average = WeightAverage(weights, 0.75)
    weights["w"] += 4.0
    average.update()
    assert average.state_dict()["w"].tolist() == [2.0, 3.0]
    assert average.state_dict()["b"] == 4.0


def test_a_swap_exchanges_the_content_and_another_one_brings_it_back(weights):
    """Whoever holds a parameter, such as the optimizer, holds it still."""
    average, held = WeightAverage(weights, 0.5), weights["w"]
    weights["w"] += 4.0
    average.swap()
    assert held.tolist() == [1.0, 2.0]
    assert average.state_dict()["w"].tolist() == [5.0, 6.0]
    average.swap()
    assert held.tolist() == [5.0, 6.0]


def test_a_state_is_taken_over_by_name(weights):
    """Also one of a model with more weights than are averaged."""
    average = WeightAverage(weights, 0.5)
    average.load_state_dict({"other": torch.zeros(3).numpy(), "w": torch.ones(2).numpy(), "b": torch.ones(()).numpy()})
    assert average.state_dict()["w"].tolist() == [1.0, 1.0]
    assert weights["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("decay", [0, 1, -0.5, float("nan")])
def test_a_decay_out_of_range_is_refused(decay, weights):
    """At 0 there is no average, at 1 it never moves."""
    with pytest.raises(ConfigError, match="ema_decay is between 0 and 1"):
        WeightAverage(weights, decay)
