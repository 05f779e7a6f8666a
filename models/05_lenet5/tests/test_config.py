"""The experiments: they validate themselves, and each claims something."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from aifs_data import list_datasets
from aifs_utils import ConfigError
from lenet5.config import EXPERIMENTS, get_config
from lenet5.constants import FAILS_ON, SHINES_ON
from lenet5.train import build

REQUIRED = {
    "debug", "digits", "mnist", "mnist-rbf", "shifted-digits", "shifted-mnist", "shifted-far", "colour-digits",
    "photographs",
}  # fmt: skip


def test_the_experiments_are_these():
    assert set(EXPERIMENTS) == REQUIRED


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_data_a_claim_and_something_to_do_next(name):
    config = get_config(name)
    assert config.dataset in list_datasets()
    assert config.next_step
    assert (config.claim is None) == (name == "debug")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_built_and_makes_a_step(name):
    experiment = build(EXPERIMENTS[name])
    network = experiment.learner.model
    before = [parameter.detach().clone() for parameter in network.parameters()]
    experiment.learner.train_step(next(iter(experiment.train_loader.batches(0))))
    assert any((old != new).any() for old, new in zip(before, network.parameters(), strict=True))
    assert experiment.data["name"] == EXPERIMENTS[name].dataset


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_to_run_next_can_be_run(name):
    commands = re.findall(r"uv run --package lenet5 train --experiment (\S+)", get_config(name).next_step)
    assert commands
    assert set(commands) <= REQUIRED - {name}


def test_the_root_readme_shows_a_strength_and_a_weakness():
    assert get_config(SHINES_ON).claim.kind == "strength"
    assert get_config(FAILS_ON).claim.kind == "weakness"


def test_a_name_that_is_almost_right_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'mnist-rbf'"):
        get_config("mnist_rbf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1.5),
        ("accumulate", 0),
        ("learning_rate", float("inf")),
        ("output", "gaussian"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("dropout", float("nan")),
        ("dropout", "0.5"),
        ("rotation", 181),
        ("rotation", "10"),
        ("shift", -1),
        ("shift", 1.5),
        ("test_shift", 32),
        ("test_shift", True),
        ("dataset", ""),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field} must be"):
        replace(get_config("digits"), **{field: value})


def test_two_networks_are_compared_by_the_same_output():
    with pytest.raises(ConfigError, match="compare needs output='softmax'"):
        replace(get_config("shifted-digits"), output="rbf")


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        get_config("digits").epochs = 3
