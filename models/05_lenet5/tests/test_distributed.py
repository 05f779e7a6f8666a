"""Several processes that torchrun starts train and measure as one does, and say each thing once."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

shared = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("torchrun.py"))))
Torchrun = shared.Torchrun

TRAIN = ["-m", "lenet5.train"]
DEBUG = ["--experiment", "debug", "--no-wandb"]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The folder of the same run in one process."""
    folder = tmp_path_factory.mktemp("one")
    command(folder, *TRAIN, *DEBUG)
    return folder


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def two(request, tmp_path_factory):
    """A run in two processes, with its figures, that has come to its end."""
    folder = tmp_path_factory.mktemp(request.param)
    options = [*DEBUG, "--visualize", "--strategy", request.param, "--output-dir", str(folder / "outputs")]
    with Torchrun(folder, *options, program=TRAIN) as run:
        assert run.finish() == 0, run.stderr
    run.outputs = folder / "outputs"
    return run


def command(folder, *arguments):
    """What a command prints that runs without torchrun."""
    program = [sys.executable, *arguments, "--output-dir", str(folder)]
    finished = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def weights(folder):
    return {
        name: array
        for name, array in load_file(shared.newest(folder, "models/*/last.safetensors")).items()
        if name.startswith("learner.model.")
    }


def assert_close(ours, theirs, tolerance):
    """The same names, and numbers that differ by no more than the tolerance."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=tolerance, err_msg=name)


def test_two_processes_train_as_one(one, two):
    """The curves of 2 epochs to 1e-4, the weights after 68 steps to 1e-6."""
    ours, theirs = shared.rows(two.outputs), shared.rows(one)
    assert [row["step"] for row in ours] == [34, 68]
    for row, other in zip(ours, theirs, strict=True):
        assert_close(row, other, 1e-4)
    assert len(weights(one)) == 14
    assert_close(weights(two.outputs), weights(one), 1e-6)


def test_what_two_processes_leave_is_what_one_leaves(one, two):
    """No file tells how many they were, but for the log of the second and the previous checkpoint."""
    ours, theirs = (
        {re.sub("seed0-[0-9-]+", "", str(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()}
        for folder in (two.outputs, one)
    )
    figures = {name for name in ours if name.startswith("visualizations")}
    previous = "models/lenet5-debug-/previous.safetensors"
    assert ours - figures - {previous} == theirs - {previous} | {"logs/lenet5-debug-/train-rank1.log"}
    assert (
        load_file(shared.newest(one, "models/*/last.safetensors")).keys()
        == load_file(shared.newest(two.outputs, "models/*/last.safetensors")).keys()
    )


def test_the_first_process_alone_prints_records_and_draws(two):
    lines = two.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/2", "2/2"]
    assert sum(line.startswith("lenet5 · debug") for line in lines) == 1
    assert [row["epoch"] for row in shared.rows(two.outputs)] == [1, 2]
    manifest = shared.manifest(two.outputs)
    assert manifest["status"] == "finished"
    assert manifest["processes"] == 2
    figures = [Path(name) for name in manifest["figures"]]
    assert len(figures) >= 3
    assert all(path.stat().st_size > 1000 for path in figures)
    assert sorted(figures) == sorted(path for path in two.outputs.glob("visualizations/**/*.*") if path.is_file())


def test_nothing_is_said_on_stderr_when_nothing_is_wrong(two):
    assert not [line for line in two.stderr.splitlines() if line.startswith(("warning", "error", "Traceback"))]


@pytest.mark.parametrize("n", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))])
def test_any_number_of_processes_measures_the_same_to_the_bit(n, one, tmp_path):
    """The test data are 359 samples: no number of processes divides them."""
    options = ["--checkpoint", str(shared.newest(one, "models/*/best.safetensors")), "--experiment", "debug"]
    printed = command(tmp_path / "alone", "-m", "lenet5.evaluate", *options)
    outputs = tmp_path / "outputs"
    program = ["-m", "lenet5.evaluate", *options, "--output-dir", str(outputs)]
    with Torchrun(tmp_path, program=program, n=n) as run:
        assert run.finish() == 0, run.stderr
    assert without_record(run.stdout) == without_record(printed)
    ours, theirs = shared.manifest(outputs), shared.manifest(tmp_path / "alone")
    assert ours["result"] == theirs["result"]
    assert np.sum(ours["result"]["confusion_matrix"]) == 359


def without_record(printed):
    return [line for line in printed.splitlines() if not line.startswith("  record")]


@pytest.mark.slow
def test_a_warning_of_all_is_said_once_and_that_of_one_with_its_rank(tmp_path):
    with Torchrun(tmp_path, *DEBUG, "--epochs", "1", "--output-dir", str(tmp_path / "o"), does="warn") as run:
        assert run.finish() == 0, run.stderr
    warnings = [line for line in run.stderr.splitlines() if " this" in line]
    assert sorted(warnings) == ["warning: [rank 1] one says this", "warning: all say this"]


@pytest.mark.slow
def test_the_first_process_alone_talks_to_wandb(tmp_path):
    pytest.importorskip("wandb", reason="the mirror needs wandb")
    options = ["--experiment", "debug", "--output-dir", str(tmp_path / "o")]
    with Torchrun(tmp_path, *options, program=TRAIN, WANDB_MODE="offline") as run:
        assert run.finish() == 0, run.stderr
    assert len(list(tmp_path.rglob("offline-run-*"))) == 1
    assert "[rank 1]" not in run.stderr


@pytest.mark.parametrize(
    ("options", "does", "code", "message"),
    [
        (["--strategy", "single"], "", 1, "take strategy 'ddp' or 'fsdp'"),
        (["--strategy", "dpp"], "", 2, "invalid choice: 'dpp'"),
        pytest.param([], "numpy", 1, "computes with NumPy, in one process", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, does, code, message, tmp_path):
    with Torchrun(tmp_path, *DEBUG, "--output-dir", str(tmp_path / "o"), *options, does=does) as run:
        assert run.finish() == 1
    first = [line for line in run.errors if "[rank" not in line]
    assert len(first) == 1, run.stderr
    assert message in first[0]
    assert re.search(rf"exitcode +: {code} ", run.stderr)
    assert not list((tmp_path / "o").rglob("*.safetensors"))
