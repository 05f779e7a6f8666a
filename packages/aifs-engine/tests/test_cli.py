"""Options, refusals and exit codes of the commands, run in this process."""

import sys
from pathlib import Path

import pytest

from aifs_engine.cli import evaluate_parser, resolve_config, train_parser

sys.path.insert(0, str(Path(__file__).parent / "toy" / "src"))
from toy.config import EXPERIMENTS
from toy.train import evaluate, train


def options(parser):
    return sorted(option for action in parser._actions for option in action.option_strings)


def test_the_options_of_train_are_frozen():
    assert options(train_parser("toy", EXPERIMENTS)) == [
        "--batch-size", "--device", "--epochs", "--experiment", "--help", "--learning-rate", "--list-experiments",
        "--load-checkpoint", "--no-save-checkpoint", "--no-wandb", "--output-dir", "--print-config", "--resume",
        "--seed", "--strategy", "--tags", "--visualize", "-h",
    ]  # fmt: skip


def test_the_options_of_evaluate_are_frozen():
    assert options(evaluate_parser("toy")) == [
        "--checkpoint", "--device", "--experiment", "--help", "--output-dir", "--visualize", "-h",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "required: --experiment"),
        (["--experiment", "line", "--epoch", "3"], 2, "unrecognized arguments: --epoch"),
        (["--experiment", "line", "--epochs", "many"], 2, "--epochs: invalid int value: 'many'"),
        (["--experiment", "line", "--tags"], 2, "--tags: expected at least one argument"),
        (["--experiment", "line", "--output-dir", ""], 2, "--output-dir: the name of a folder is empty"),
        (["--experiment", "line", "--tags", "\udcff"], 2, "an argument is not valid UTF-8"),
        (["--experiment", "line", "--device", "tpu"], 2, "--device: invalid choice: 'tpu'"),
        (["--experiment", "lien"], 1, "unknown experiment 'lien': did you mean 'line'?"),
        (["--experiment", "line", "--epochs", "0"], 1, "epochs must be a whole number of at least 1, got 0"),
        (["--experiment", "line", "--batch-size", "-1"], 1, "batch_size must be a whole number of at least 1, got -1"),
        (
            ["--experiment", "line", "--learning-rate", "nan"],
            1,
            "learning_rate must be a finite number above 0, got nan",
        ),
        (
            ["--experiment", "line", "--learning-rate", "inf"],
            1,
            "learning_rate must be a finite number above 0, got inf",
        ),
        (["--experiment", "line", "--seed", "-1"], 1, "seed must be a whole number from 0"),
        (["--experiment", "line", "--resume", "--load-checkpoint", "x"], 1, "give one of them"),
        (["--experiment", "line", "--resume", "--no-save-checkpoint"], 1, "cannot be used with --no-save-checkpoint"),
    ],
)
def test_bad_input_gets_one_line_and_its_exit_code(capsys, tmp_path, arguments, code, message):
    assert train(["--output-dir", str(tmp_path / "outputs"), *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "outputs").exists()


def test_evaluate_refuses_likewise(capsys):
    assert evaluate(["--experiment", "line"]) == 2
    assert "required: --checkpoint (see evaluate --help)" in capsys.readouterr().err
    assert evaluate(["--experiment", "lien", "--checkpoint", "x"]) == 1
    assert "did you mean 'line'?" in capsys.readouterr().err


def test_options_replace_the_experiments_own_values():
    arguments = train_parser("toy", EXPERIMENTS).parse_args(
        ["--experiment", "line", "--epochs", "2", "--batch-size", "3", "--learning-rate", "0.5", "--seed", "9"]
    )
    config = resolve_config(EXPERIMENTS, arguments)
    assert (config.epochs, config.batch_size, config.learning_rate, config.seed) == (2, 3, 0.5, 9)
    assert EXPERIMENTS["line"].epochs == 5


def test_the_list_shows_each_experiment_with_its_claim(capsys):
    assert train(["--list-experiments"]) == 0
    printed = capsys.readouterr().out
    assert "line         strength  test_accuracy ≥ 0.9: the classes are separable" in printed
    assert len(printed.splitlines()) == len(EXPERIMENTS)


def test_the_config_is_shown_with_the_options_applied(capsys):
    assert train(["--experiment", "line", "--epochs", "2", "--print-config"]) == 0
    assert "epochs         = 2\n" in capsys.readouterr().out
