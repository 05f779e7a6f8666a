"""Whole runs: from an experiment's name to measured claims and drawn figures."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aifs_engine import History, RunResult
from aifs_engine.run import make_trainer, measure, prepare
from perceptron.config import EXPERIMENTS, get_config
from perceptron.evaluate import main as evaluate
from perceptron.train import build, main


def trained(name, seed=0, **changes):
    """Train an experiment; return it with its history and test metrics."""
    config = replace(get_config(name), seed=seed, **changes)
    experiment = prepare(config, build)
    trainer, best = make_trainer(experiment, config.epochs)
    trainer.train(experiment.train_loader, experiment.val_loader)
    return experiment, trainer, measure(experiment, best)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in ("debug", "digits", "xor-pocket")])
def test_a_claim_holds(name):
    _, trainer, metrics = trained(name)
    assert get_config(name).claim.holds({**trainer.history.last, **metrics}[get_config(name).claim.metric])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "xor-pocket"])
def test_a_claim_that_takes_longer_holds(name):
    _, _, metrics = trained(name)
    assert get_config(name).claim.holds(metrics["test_accuracy"])


@pytest.mark.parametrize("seed", range(10))
def test_and_is_learned_and_xor_is_not_on_any_seed(seed):
    assert trained("and", seed)[2]["test_accuracy"] == 1.0
    assert trained("xor", seed)[2]["test_accuracy"] <= 0.75


def test_training_ends_with_the_first_pass_without_a_mistake():
    _, trainer, _ = trained("and")
    *before, last = trainer.history["train_corrections"]
    assert last == 0
    assert all(before)
    assert trainer.epoch < get_config("and").epochs


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    runs = [trained("moons", seed, epochs=3) for seed in (1, 1, 2)]
    weights = [experiment.learner.weights.tobytes() for experiment, _, _ in runs]
    assert weights[0] == weights[1] != weights[2]
    assert runs[0][1].history == runs[1][1].history


def test_hard_irises_are_seen_by_their_sepals_only():
    experiment, _, _ = trained("iris-hard", epochs=1)
    assert experiment.learner.n_features == 2
    assert experiment.data["transforms"] == ["select sepal length (cm), sepal width (cm)"]
    X, _ = next(iter(experiment.test_loader))
    assert X.shape[1] == 2
    assert X.min() > 1, "in centimetres"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("moons", ["learning_curves", "decision_boundary", "decision_boundary_evolution", "confusion_matrix"]),
        ("digits-0-1", ["learning_curves", "weights", "confusion_matrix", "roc_curve"]),
    ],
)
def test_figures_are_drawn(name, files, tmp_path):
    experiment, trainer, metrics = trained(name, epochs=2)
    snapshots = [item for callback in experiment.callbacks if hasattr(callback, "items") for item in callback.items()]
    result = RunResult(
        model="perceptron",
        experiment=name,
        config=get_config(name),
        learner=experiment.learner,
        history=trainer.history,
        test_metrics=metrics,
        data=experiment.data,
        snapshots=snapshots,
        figures_dir=tmp_path,
        seed=0,
    )
    drawn = {path.stem for path in experiment.draw(result)}
    assert drawn >= set(files)
    result.history = History()  # what evaluate has when the checkpoint holds none
    assert "learning_curves" not in {path.stem for path in experiment.draw(result)}


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


def test_predictions_of_a_run_do_not_depend_on_how_many_samples_are_asked_at_once():
    experiment, _, _ = trained("moons", epochs=2)
    X, _ = next(iter(experiment.test_loader))
    learner = experiment.learner
    assert np.array_equal(learner.predict(X), [learner.predict(x[None])[0] for x in X])
