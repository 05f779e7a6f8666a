import dataclasses

import numpy as np
import pytest

from adaline.config import EXPERIMENTS, Config, get_config
from adaline.train import build
from aifs_utils.exceptions import ConfigError


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_built_and_makes_a_step(name):
    config = EXPERIMENTS[name]
    experiment = build(config)
    batch = next(iter(experiment.train_loader.batches(0)))
    experiment.learner.train_step(batch)
    assert experiment.learner.w.any()
    assert experiment.data["name"] == config.dataset


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "debug"])
def test_every_experiment_but_debug_claims_something(name):
    assert EXPERIMENTS[name].claim.reason


def test_there_are_strengths_and_weaknesses():
    kinds = [config.claim.kind for config in EXPERIMENTS.values() if config.claim]
    assert kinds.count("strength") >= 3
    assert kinds.count("weakness") >= 3


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": float("nan")}, {"rule": "delta"}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
        Config(dataset="and", **wrong)


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXPERIMENTS["and"].epochs = 3


def test_a_name_that_is_almost_right_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'outliers'"):
        get_config("outlier")


def test_outliers_are_in_the_training_data_alone_and_on_their_own_side():
    with_them = build(EXPERIMENTS["outliers"])
    without = build(dataclasses.replace(EXPERIMENTS["outliers"], outliers=0.0))
    assert np.array_equal(with_them.test_loader.X, without.test_loader.X)
    moved = (with_them.train_loader.X != without.train_loader.X).any(axis=1)
    assert 0 < moved.sum() < 0.2 * len(moved)
    assert set(with_them.train_loader.y[moved]) == {1}
    # The perceptron still separates all of it: the outliers are no noise.
    learner = with_them.learner
    for epoch in range(60):
        for batch in with_them.train_loader.batches(epoch):
            learner.train_step(batch)
    assert np.mean(learner.perceptron_predict(with_them.train_loader.X) == with_them.train_loader.y) > 0.99
