"""The experiments: they validate themselves, and each claims something."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from aifs_data import list_datasets
from aifs_utils import ConfigError
from perceptron.config import EXPERIMENTS, get_config

REQUIRED = {
    "debug", "and", "or", "xor", "iris-easy", "iris-hard", "digits-0-1", "digits", "breast-cancer",
    "linearly-separable", "circles", "moons", "xor-pocket", "moons-pocket", "iris-hard-pocket",
}  # fmt: skip
OF_ADALINE = {"digits-0-1", "breast-cancer", "rules-compared"}  # which a test of the other model keeps


def test_the_experiments_are_these():
    assert set(EXPERIMENTS) == REQUIRED


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_data_a_claim_and_something_to_do_next(name):
    config = get_config(name)
    assert config.dataset in list_datasets()
    assert config.next_step
    assert (config.claim is None) == (name == "debug")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_to_run_next_can_be_run(name):
    commands = re.findall(r"uv run --package (\S+) train --experiment (\S+)", get_config(name).next_step)
    assert commands
    for model, experiment in commands:
        assert experiment in {"perceptron": REQUIRED, "adaline": OF_ADALINE}[model]
        assert (model, experiment) != ("perceptron", name)


def test_xor_claims_no_more_than_a_line_can_and_and_claims_all():
    assert (get_config("xor").claim.at_most, get_config("xor").claim.kind) == (0.75, "weakness")
    assert (get_config("and").claim.at_least, get_config("and").claim.kind) == (1.0, "strength")


@pytest.mark.parametrize("name", ["xor", "moons", "iris-hard"])
def test_a_weakness_stands_beside_a_pocket_that_shows_what_a_line_can_do(name):
    weakness, pocket = get_config(name), get_config(f"{name}-pocket")
    assert (weakness.claim.kind, pocket.claim.kind) == ("weakness", "strength")
    assert (pocket.dataset, pocket.data_options, pocket.features, pocket.pocket) == (
        weakness.dataset,
        weakness.data_options,
        weakness.features,
        True,
    )


def test_an_unknown_experiment_gets_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'xor'"):
        get_config("xro")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", -1),
        ("learning_rate", float("nan")),
        ("learning_rate", 0.0),
        ("dataset", ""),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        replace(get_config("and"), **{field: value})


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        get_config("and").epochs = 3
