"""Whole runs: from an experiment's name to measured claims and drawn figures."""

import re

import numpy as np
import pytest

from perceptron.config import EXPERIMENTS, get_config
from perceptron.evaluate import main as evaluate
from perceptron.train import main


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in ("debug", "digits", "xor-pocket")])
def test_a_claim_holds(name, trained):
    _, trainer, metrics = trained(name)
    assert get_config(name).claim.holds({**trainer.history.last, **metrics}[get_config(name).claim.metric])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "xor-pocket"])
def test_a_claim_that_takes_longer_holds(name, trained):
    _, _, metrics = trained(name)
    assert get_config(name).claim.holds(metrics["test_accuracy"])


@pytest.mark.parametrize("seed", range(10))
def test_and_is_learned_and_xor_is_not_on_any_seed(seed, trained):
    assert trained("and", seed)[2]["test_accuracy"] == 1.0
    assert trained("xor", seed)[2]["test_accuracy"] <= 0.75


def test_training_ends_with_the_first_pass_without_a_mistake(trained):
    _, trainer, _ = trained("and")
    *before, last = trainer.history["train_corrections"]
    assert last == 0
    assert all(before)
    assert trainer.epoch < get_config("and").epochs


@pytest.mark.parametrize("name", ["xor", "moons-pocket"])
def test_the_last_weights_are_reported(name, trained):
    experiment, trainer, metrics = trained(name, epochs=7)
    reported = {key: np.array(value) for key, value in experiment.learner.state_dict().items()}
    again, trainer, _ = trained(name, epochs=7, measured=False)
    assert trainer.epoch == 7
    assert all(np.array_equal(reported[key], value) for key, value in again.learner.state_dict().items())
    X, y = next(iter(experiment.test_loader))
    assert metrics["test_accuracy"] == again.learner.eval_step((X, y))["accuracy"]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(trained):
    runs = [trained("moons", seed, epochs=3) for seed in (1, 1, 2)]
    weights = [experiment.learner.weights.tobytes() for experiment, _, _ in runs]
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


def test_a_checkpoint_of_another_shape_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "--experiment", "and", "--no-wandb", "--output-dir", str(tmp_path)])
    assert main() == 0
    [best] = tmp_path.glob("models/*/best.safetensors")
    options = ["--experiment", "iris-easy", "--checkpoint", str(best), "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["evaluate", *options])
    assert evaluate() == 1
    assert "(1, 2)" in capsys.readouterr().err


def test_predictions_of_a_run_do_not_depend_on_how_many_samples_are_asked_at_once(trained):
    experiment, _, _ = trained("moons", epochs=2)
    X, _ = next(iter(experiment.test_loader))
    learner = experiment.learner
    assert np.array_equal(learner.predict(X), [learner.predict(x[None])[0] for x in X])
