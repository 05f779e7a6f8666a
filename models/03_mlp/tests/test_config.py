"""The experiments: they validate themselves, and each claims something."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from aifs_data import list_datasets
from aifs_utils import ConfigError
from mlp.config import EXPERIMENTS, get_config
from mlp.train import build

REQUIRED = {
    "debug", "xor", "xor-torch", "circles", "moons", "spirals", "iris-hard", "digits", "centred-digits", "deep-tanh",
    "shifted-digits", "deep-sigmoid",
}  # fmt: skip
OF_OTHERS = {"perceptron": {"moons"}, "adaline": {"iris-hard"}}  # which tests of those models keep


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
    X, y = next(iter(experiment.train_loader.batches(0)))
    before = float(experiment.learner.eval_step((X, y))["loss"])
    assert float(experiment.learner.train_step((X, y))["loss"]) == pytest.approx(before)
    assert float(experiment.learner.eval_step((X, y))["loss"]) != before
    assert experiment.data["name"] == config.dataset
    assert str(X.dtype).endswith("float32")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_to_run_next_can_be_run(name):
    commands = re.findall(r"uv run --package (\S+) train --experiment (\S+)", get_config(name).next_step)
    assert commands
    for model, experiment in commands:
        assert experiment in {"mlp": REQUIRED, **OF_OTHERS}[model]
        assert (model, experiment) != ("mlp", name)


def test_there_are_strengths_and_weaknesses_in_both_frameworks():
    kinds = [config.claim.kind for config in EXPERIMENTS.values() if config.claim]
    assert kinds.count("strength") >= 7
    assert kinds.count("weakness") >= 2
    assert {config.framework for config in EXPERIMENTS.values()} == {"numpy", "torch"}


def test_a_weakness_differs_from_the_strength_beside_it_in_one_setting():
    for weak, strong, setting in [
        ("shifted-digits", "centred-digits", "frame"),
        ("deep-sigmoid", "deep-tanh", "activation"),
    ]:
        pair = [replace(get_config(name), claim=None, next_step="") for name in (weak, strong)]
        assert replace(pair[0], **{setting: getattr(pair[1], setting)}) == pair[1]


def test_a_name_that_is_almost_right_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'spirals'"):
        get_config("spiral")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1.5),
        ("learning_rate", float("nan")),
        ("gain", 0.0),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("momentum", float("nan")),
        ("momentum", "0.9"),
        ("hidden_sizes", 16),
        ("hidden_sizes", [16]),
        ("hidden_sizes", (16, 0)),
        ("framework", "jax"),
        ("activation", "step"),
        ("criterion", "hinge"),
        ("frame", "tilted"),
        ("dataset", ""),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field} must be"):
        replace(get_config("xor"), **{field: value})


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        get_config("xor").epochs = 3
