"""Whole runs: from an experiment's name to measured claims."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aifs_engine import Trainer
from aifs_engine.run import prepare
from mlp.config import EXPERIMENTS, get_config
from mlp.evaluate import main as evaluate
from mlp.train import build, main


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "debug"])
def test_a_claim_holds(name, trained):
    *_, metrics = trained(name)
    assert get_config(name).claim.holds(metrics["test_accuracy"])


@pytest.mark.parametrize(("name", "seeds"), [("xor", 30), ("xor-torch", 10)])
def test_xor_is_solved_on_every_seed(name, seeds, trained):
    assert [seed for seed in range(seeds) if trained(name, seed)[2]["test_accuracy"] < 1] == []


def test_a_network_without_hidden_units_does_not_solve_xor(trained):
    assert trained("xor", hidden_sizes=())[2]["test_accuracy"] <= 0.75


def test_the_network_that_fails_on_shifted_digits_has_learned_the_centred_ones(trained):
    _, trainer, metrics = trained("shifted-digits")
    assert trainer.history["val_accuracy"][-1] > 0.93 > 0.2 > metrics["test_accuracy"]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(framework, trained):
    runs = [trained("moons", seed, epochs=3, framework=framework) for seed in (1, 1, 2)]
    X = runs[0][0].test_loader.X
    scores = [experiment.learner.decision_function(X).tobytes() for experiment, _, _ in runs]
    assert scores[0] == scores[1] != scores[2]
    assert runs[0][1].history == runs[1][1].history


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_a_run_that_is_continued_ends_as_if_it_had_not_been_stopped(framework):
    config = replace(get_config("moons"), framework=framework)
    scores = []
    for stops in ((4,), (2, 4)):
        state = None
        for epochs in stops:
            experiment = prepare(config, build)
            trainer = Trainer(experiment.learner, epochs=epochs)
            if state is not None:
                trainer.load_state_dict(state)
            trainer.train(experiment.train_loader, experiment.val_loader)
            state = trainer.state_dict()
        scores.append(experiment.learner.decision_function(experiment.test_loader.X))
    assert np.array_equal(*scores)


@pytest.mark.parametrize("name", ["debug", "xor-torch"])
def test_a_run_trains_saves_and_is_evaluated(name, tmp_path, monkeypatch, capsys):
    common = ["--experiment", name, "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *common, "--epochs", "100", "--no-wandb", "--device", "cpu"])
    assert main() == 0
    output = capsys.readouterr().out
    checkpoint = re.search(r"checkpoint +(\S+best\.safetensors)", output)[1]
    trained = re.search(r"test +(loss .*)", output)[1]
    monkeypatch.setattr("sys.argv", ["evaluate", *common, "--checkpoint", checkpoint, "--device", "cpu"])
    assert evaluate() == 0
    output = capsys.readouterr().out
    assert "confusion" in output
    assert trained in output, "the saved weights give the same metrics"


@pytest.mark.parametrize("name", ["moons", "digits"])
def test_what_diverges_ends_with_its_own_exit_code(name, tmp_path, monkeypatch, capsys):
    options = ["--experiment", name, "--learning-rate", "1e38", "--no-wandb", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert main() == 3
    assert "1e+38" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["xor", "xor-torch"])
def test_a_checkpoint_of_another_shape_is_refused(name, tmp_path, monkeypatch, capsys):
    common = ["--experiment", name, "--no-wandb", "--output-dir", str(tmp_path), "--epochs", "1"]
    monkeypatch.setattr("sys.argv", ["train", *common])
    assert main() == 0
    [best] = tmp_path.glob("models/*/best.safetensors")
    other = {"xor": "circles", "xor-torch": "spirals"}[name]
    options = ["--experiment", other, "--checkpoint", str(best), "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["evaluate", *options])
    assert evaluate() == 1
    assert "has the shape (8," in capsys.readouterr().err


def test_a_run_says_what_it_computed_on_and_warns_where_that_has_changed(tmp_path, monkeypatch, capsys):
    """Another number of threads adds in another order, and the last bits may differ."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    command = ["train", "--experiment", "xor-torch", "--no-wandb", "--output-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--epochs", "2"])
    assert main() == 0
    assert "on cpu, 1 thread\n" in capsys.readouterr().out
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr("sys.argv", [*command, "--epochs", "4", "--resume"])
        assert main() == 0
    finally:
        torch.set_num_threads(threads)
    output = capsys.readouterr()
    assert "on cpu, 2 threads\n" in output.out
    assert "threads 1 → 2: its end may differ in the last bits" in output.err
