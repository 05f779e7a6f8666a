"""Looking up by name."""

import pytest

from aifs_utils import ConfigError, DataError, look_up

CHOICES = {"and": 1, "or": 2, "XOR-cloud": 3}


def test_a_known_name_gives_its_value():
    """The plain case."""
    assert look_up(CHOICES, "or", "experiment") == 2


@pytest.mark.parametrize("name", ["xor-cloud", "XOR-clud", "xor_cloud"])
def test_a_near_miss_gets_a_suggestion_whatever_the_case(name):
    """Case and spelling are the usual slips."""
    with pytest.raises(ConfigError, match=r"did you mean 'XOR-cloud'\? \(choices: and, or, XOR-cloud\)"):
        look_up(CHOICES, name, "experiment")


@pytest.mark.parametrize("name", ["transformer", "", None, 3, ["or"]])
def test_what_resembles_nothing_gets_the_choices_only(name):
    """No wild guess."""
    with pytest.raises(ConfigError) as error:
        look_up(CHOICES, name, "experiment")
    assert str(error.value) == f"unknown experiment {name!r} (choices: and, or, XOR-cloud)"


def test_the_caller_chooses_the_error():
    """A data set is a DataError."""
    with pytest.raises(DataError, match=r"unknown data set 'x' \(choices: none\)"):
        look_up({}, "x", "data set", DataError)
