import math

import numpy as np
import pytest

from aifs_data.checks import require_count, require_number
from aifs_utils import DataError


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(9)])
def test_integers_of_any_kind_are_counts(value):
    count = require_count("n_samples", value)
    assert count == value
    assert type(count) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, math.nan])
def test_what_is_no_count_is_refused_by_name(value):
    with pytest.raises(DataError, match="n_samples is an integer of at least 1, got"):
        require_count("n_samples", value)


def test_zero_is_a_count_where_it_may_be():
    assert require_count("seed", 0, at_least=0) == 0


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25)])
def test_numbers_within_the_bounds_come_back_as_floats(value):
    number = require_number("noise", value, at_least=0, below=1)
    assert number == value
    assert type(number) is float


@pytest.mark.parametrize("value", [-0.1, 1, math.nan, math.inf, "0.5", True, None, 10**400])
def test_numbers_outside_the_bounds_are_refused_with_the_bounds(value):
    with pytest.raises(DataError, match="noise is a finite number at least 0 and below 1, got"):
        require_number("noise", value, at_least=0, below=1)


def test_a_bound_can_be_excluded():
    assert require_number("margin", 0.1, above=0) == 0.1
    with pytest.raises(DataError, match="margin is a finite number above 0, got 0"):
        require_number("margin", 0, above=0)
