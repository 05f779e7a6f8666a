"""Whole runs: from an experiment's name to measured claims."""

import re

import numpy as np
import pytest

from adaline.config import EXPERIMENTS, get_config
from adaline.evaluate import main as evaluate
from adaline.train import main


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "debug"])
def test_a_claim_holds(name, trained):
    _, trainer, metrics = trained(name)
    assert get_config(name).claim.holds({**trainer.history.last, **metrics}[get_config(name).claim.metric])


@pytest.mark.parametrize("name", ["rules-compared", "outliers"])
def test_two_rules_that_learn_nothing_would_not_satisfy_a_claim_about_their_difference(name, trained):
    experiment, *_ = trained(name, epochs=1)
    learner, claim = experiment.learner, get_config(name).claim
    learner.load_state_dict({key: np.zeros_like(value) for key, value in learner.state_dict().items()})
    metrics = learner.eval_step((experiment.test_loader.X, experiment.test_loader.y))
    assert not claim.holds(metrics[claim.metric.removeprefix("test_")])


@pytest.mark.parametrize("name", ["xor", "rules-compared"])
def test_the_last_weights_are_reported(name, trained):
    experiment, *_, metrics = trained(name, epochs=3)
    reported = experiment.learner.state_dict()
    again, trainer, _ = trained(name, epochs=3, measured=False)
    assert trainer.epoch == 3
    assert all(np.array_equal(reported[key], value) for key, value in again.learner.state_dict().items())
    expected = again.learner.eval_step((experiment.test_loader.X, experiment.test_loader.y))
    assert metrics["test_accuracy"] == pytest.approx(expected["accuracy"])


def test_the_same_seed_gives_the_same_run_and_another_seed_another(trained):
    runs = [trained("rules-compared", seed, epochs=2) for seed in (1, 1, 2)]
    weights = [experiment.learner.w.tobytes() for experiment, _, _ in runs]
    assert weights[0] == weights[1] != weights[2]
    assert runs[0][1].history == runs[1][1].history


def test_the_debug_run_trains_saves_and_is_evaluated(tmp_path, monkeypatch, capsys):
    common = ["--experiment", "debug", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *common, "--no-wandb"])
    assert main() == 0
    checkpoint = re.search(r"checkpoint +(\S+best\.safetensors)", capsys.readouterr().out)[1]
    monkeypatch.setattr("sys.argv", ["evaluate", *common, "--checkpoint", checkpoint])
    assert evaluate() == 0
    assert "confusion" in capsys.readouterr().out


def test_what_diverges_ends_with_its_own_exit_code(tmp_path, monkeypatch, capsys):
    options = ["--experiment", "debug", "--learning-rate", "1e308", "--no-wandb", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert main() == 3
    assert "1e+308" in capsys.readouterr().err
