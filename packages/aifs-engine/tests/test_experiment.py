import math

import pytest

from aifs_engine import Claim, require_choice, require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError


def test_a_claim_holds_on_its_bound_and_beyond():
    strength = Claim(metric="test_accuracy", at_least=0.9, kind="strength", reason="r")
    weakness = Claim(metric="test_accuracy", at_most=0.75, kind="weakness", reason="r")
    assert [strength.holds(x) for x in (0.89, 0.9, 1.0)] == [False, True, True]
    assert [weakness.holds(x) for x in (0.5, 0.75, 0.76)] == [True, True, False]


def test_no_claim_holds_on_nan():
    assert not Claim(metric="m", at_least=0.0, kind="strength", reason="r").holds(math.nan)
    assert not Claim(metric="m", at_most=0.0, kind="weakness", reason="r").holds(math.nan)


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0.1, "at_most": 0.9}, {"at_least": math.nan}])
def test_a_claim_needs_exactly_one_finite_bound(bounds):
    with pytest.raises(ConfigError, match="one finite bound"):
        Claim(metric="m", kind="strength", reason="r", **bounds)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "3", math.nan])
def test_a_count_must_be_a_positive_integer(value):
    with pytest.raises(ConfigError, match="epochs must be a whole number of at least 1, got"):
        require_positive_int("epochs", value)


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, True, None, "0.1"])
def test_a_rate_must_be_positive_and_finite(value):
    with pytest.raises(ConfigError, match="learning_rate must be a finite number above 0, got"):
        require_positive("learning_rate", value)


def test_good_values_pass():
    require_positive_int("epochs", 1)
    require_positive("learning_rate", 1e-9)
    require_choice("rule", "lms", ("lms", "perceptron"))


def test_a_choice_names_what_there_is():
    with pytest.raises(ConfigError, match="rule must be one of 'lms', 'perceptron', got 'delta'"):
        require_choice("rule", "delta", ("lms", "perceptron"))
