"""The experiments: they validate themselves, and each claims something."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from adaline.config import EXPERIMENTS, get_config
from adaline.train import build
from aifs_data import list_datasets
from aifs_utils import ConfigError

REQUIRED = {
    "debug", "and", "or", "xor", "iris-easy", "iris-hard", "breast-cancer", "digits-0-1", "digits-0-1-batch",
    "rules-compared", "circles", "outliers",
}  # fmt: skip
OF_THE_PERCEPTRON = {"xor-pocket", "iris-hard", "breast-cancer", "digits"}  # which a test of the other model keeps


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
    config = EXPERIMENTS[name]
    experiment = build(config)
    batch = next(iter(experiment.train_loader.batches(0)))
    experiment.learner.train_step(batch)
    assert experiment.learner.w.any()
    assert experiment.data["name"] == config.dataset


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_to_run_next_can_be_run(name):
    commands = re.findall(r"uv run --package (\S+) train --experiment (\S+)", get_config(name).next_step)
    assert commands
    for model, experiment in commands:
        assert experiment in {"adaline": REQUIRED, "perceptron": OF_THE_PERCEPTRON}[model]
        assert (model, experiment) != ("adaline", name)


def test_there_are_strengths_and_weaknesses():
    kinds = [config.claim.kind for config in EXPERIMENTS.values() if config.claim]
    assert kinds.count("strength") >= 3
    assert kinds.count("weakness") >= 3


def test_a_name_that_is_almost_right_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'outliers'"):
        get_config("outlier")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", -1),
        ("learning_rate", float("nan")),
        ("rule", "delta"),
        ("dataset", ""),
        ("outliers", -0.1),
        ("outliers", 1.5),
        ("outliers", float("nan")),
        ("outliers", "0.2"),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field} must be"):
        replace(get_config("and"), **{field: value})


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        get_config("and").epochs = 3
