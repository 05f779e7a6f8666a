"""Whole runs: from an experiment's name to measured claims."""

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from aifs_engine import Evaluator, Trainer
from aifs_engine.callbacks import Callback
from aifs_engine.checkpoint import load_checkpoint
from aifs_engine.run import load_weights, prepare
from lenet5.config import get_config
from lenet5.evaluate import main as evaluate
from lenet5.train import build, main


@pytest.mark.parametrize("name", ["digits", "shifted-digits", "shifted-far", "colour-digits"])
def test_a_claim_holds(name, trained):
    *_, metrics = trained(name)
    claim = get_config(name).claim
    assert claim.holds(metrics[claim.metric])


def test_without_updates_it_does_not_learn_digits(trained):
    *_, metrics = trained("digits", epochs=1, learning_rate=1e-12)
    assert metrics["test_accuracy"] < 0.3


def test_the_rbf_output_learns_digits(trained):
    *_, metrics = trained("digits", epochs=8, output="rbf")
    assert metrics["test_accuracy"] > 0.9


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.5, "shift": 1, "accumulate": 2}])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(changes, trained):
    runs = [trained("debug", seed, epochs=1, **changes) for seed in (1, 1, 2)]
    weights = [experiment.learner.model.c3.weight.detach().numpy().tobytes() for experiment, *_ in runs]
    assert weights[0] == weights[1] != weights[2]
    assert runs[0][1].history == runs[1][1].history


class CopyAt(Callback):
    """Keeps a copy of the whole run as it stands after a step."""

    def __init__(self, step):
        self.step, self.state = step, None

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            self.state = deepcopy(trainer.state_dict())


def test_a_run_with_dropout_is_continued_in_the_middle_of_an_update_to_the_same_bits():
    config = replace(get_config("debug"), epochs=1, dropout=0.5, shift=1, accumulate=2)
    copy = CopyAt(7)  # three updates, and the first half of the fourth
    whole, continued = prepare(config, build), prepare(config, build)
    trainers = [Trainer(whole.learner, epochs=1, callbacks=[copy]), Trainer(continued.learner, epochs=1)]
    trainers[0].train(whole.train_loader, whole.val_loader)
    trainers[1].load_state_dict(copy.state)
    trainers[1].train(continued.train_loader, continued.val_loader)
    for old, new in zip(whole.learner.model.parameters(), continued.learner.model.parameters(), strict=True):
        assert torch.equal(old, new)
    assert trainers[0].history == trainers[1].history


def test_the_last_step_is_made_at_a_rate_of_almost_0(trained):
    experiment, trainer, _ = trained("debug", epochs=1, accumulate=3)
    assert experiment.learner.updates == -(-trainer.step // 3)
    assert experiment.learner.learning_rate == pytest.approx(0.0, abs=1e-9)


def test_the_networks_that_are_compared_do_not_feel_each_other(trained):
    """LeNet-5 beside the perceptron is LeNet-5 alone: the same weights from the same start and batches."""
    config = replace(get_config("shifted-digits"), epochs=1)
    pair = build(config).learner
    torch.manual_seed(0)
    alone = build(replace(config, compare=False)).learner
    alone.model.load_state_dict(pair.model.lenet5.state_dict())
    for batch in build(config).train_loader.batches(0):
        pair.train_step(batch)
        alone.train_step(batch)
    for name, parameter in alone.model.named_parameters():
        torch.testing.assert_close(pair.model.lenet5.get_parameter(name), parameter, rtol=0, atol=1e-6)


def test_the_advantage_is_the_difference_of_both_accuracies(trained):
    *_, metrics = trained("shifted-digits", epochs=1)
    assert metrics["test_advantage"] == pytest.approx(metrics["test_accuracy"] - metrics["test_mlp_accuracy"])


def test_the_debug_run_trains_saves_and_is_evaluated(tmp_path, monkeypatch, capsys):
    common = ["--experiment", "debug", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *common, "--no-wandb"])
    assert main() == 0
    checkpoint = re.search(r"checkpoint +(\S+best\.safetensors)", capsys.readouterr().out)[1]
    monkeypatch.setattr("sys.argv", ["evaluate", *common, "--checkpoint", checkpoint])
    assert evaluate() == 0
    assert "confusion" in capsys.readouterr().out


def test_saved_weights_predict_what_the_trained_ones_do(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.setattr("sys.argv", ["train", "--experiment", "debug", "--no-wandb", "--output-dir", str(tmp_path)])
    assert main() == 0
    capsys.readouterr()
    [file] = tmp_path.rglob("best.safetensors")
    experiment, *_ = trained("debug")
    fresh = build(get_config("debug"))
    predictions = Evaluator(experiment.learner).predict(experiment.test_loader)
    assert not np.array_equal(Evaluator(fresh.learner).predict(fresh.test_loader).scores, predictions.scores)
    load_weights(fresh.learner, load_checkpoint(file).state["learner"])
    assert np.array_equal(Evaluator(fresh.learner).predict(fresh.test_loader).scores, predictions.scores)


def test_what_diverges_ends_with_its_own_exit_code(tmp_path, monkeypatch, capsys):
    options = ["--experiment", "debug", "--learning-rate", "3e37", "--no-wandb", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert main() == 3
    assert "training diverged" in capsys.readouterr().err
