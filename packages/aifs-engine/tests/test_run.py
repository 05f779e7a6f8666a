"""How runs fail, and what they import, seen from outside."""

import json
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("experiment", "code", "status", "message"),
    [
        ("broken-data", 1, "failed", "the file is not there: fetch it first"),
        ("broken-step", 1, "failed", "unexpected ZeroDivisionError: a bug; the traceback is in outputs/logs/"),
        ("explodes", 3, "diverged", "training diverged: loss is inf in epoch 1, step 2, at learning rate 0.1"),
    ],
)
def test_a_failure_is_one_line_and_a_record(train, experiment, code, status, message, only_file):
    finished = train(experiment, check=code)
    assert finished.stderr.startswith(f"error: {message}")
    assert finished.stderr.count("\n") == 1
    assert json.loads(only_file("outputs/logs/*/manifest.json").read_text())["status"] == status
    assert "Traceback" in only_file("outputs/logs/*/train.log").read_text()


def test_a_folder_that_cannot_be_written_is_named(toy, tmp_path):
    (tmp_path / "file").write_text("in the way")
    finished = toy("train", "--experiment", "line", "--no-wandb", "--output-dir", "file", check=1)
    assert finished.stderr.startswith("error: cannot write the outputs of a run to file")
    assert finished.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_ends_the_run_with_one_line_and_the_old_checkpoint_whole(
    train, toy_environment, tmp_path, only_file
):
    resource = pytest.importorskip("resource", reason="needs a system with file size limits")
    train("line")
    last = only_file("outputs/models/*/last.safetensors")
    before = last.read_bytes()
    command = [sys.executable, "-m", "toy.train", "train", "--experiment", "line", "--epochs", "9", "--resume"]
    finished = subprocess.run(
        [*command, "--no-wandb", "--output-dir", "outputs"],
        cwd=tmp_path,
        env=toy_environment,
        capture_output=True,
        text=True,
        # As on a disk with room for the logs and not for the weights.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: File too large")
    assert finished.stderr.count("\n") == 1
    assert last.read_bytes() == before


def test_a_signal_at_any_moment_of_the_start_is_one_line(start):
    # Warnings are no errors here: an import cut short leaves files to the collector.
    for delay in (0.1, 0.2, 0.3, 0.4):
        process = start("outputs", PYTHONWARNINGS="default")
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        if process.returncode == -signal.SIGTERM:  # before any code of ours ran
            continue
        assert process.returncode == 143
        assert errors == "error: interrupted by SIGTERM\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_our_signs_shows_something_else(tmp_path, toy_environment, encoding):
    command = [sys.executable, "-m", "toy.train", "train", "--no-wandb", "--output-dir", "outputs"]
    environment = {**toy_environment, "PYTHONIOENCODING": encoding}
    for options in (["--list-experiments"], ["--experiment", "line"]):
        finished = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True)
        assert (finished.returncode, finished.stderr) == (0, b"")
        assert b"? 0.9" in finished.stdout


def test_without_a_standard_output_a_run_goes_on(tmp_path, toy_environment):
    command = f"{sys.executable} -m toy.train train --experiment line --no-wandb --output-dir outputs >&-"
    finished = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=toy_environment, capture_output=True)
    assert (finished.returncode, finished.stderr) == (0, b"")


def test_a_model_may_live_in_a_file_of_its_own(tmp_path, toy_environment):
    (tmp_path / "mine.py").write_text(
        "import sys\nfrom toy.config import EXPERIMENTS\nfrom toy.train import build as theirs\n"
        "from aifs_engine import train_command\n"
        "def build(config):\n    return theirs(config)\n"
        "sys.exit(train_command('mine', EXPERIMENTS, build))\n"
    )
    command = [sys.executable, "mine.py", "--experiment", "line", "--no-wandb"]
    finished = subprocess.run(command, cwd=tmp_path, env=toy_environment, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (tmp_path / "outputs" / "models").is_dir()


def test_a_run_imports_nothing_that_it_does_not_use(tmp_path, toy_environment):
    code = (
        "import sys; from toy.train import train; code = train(sys.argv[1:]); "
        "heavy = {'torch', 'wandb', 'matplotlib', 'sklearn', 'rich', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    arguments = ["--experiment", "line", "--no-wandb", "--output-dir", "outputs"]
    command = [sys.executable, "-c", code, *arguments]
    finished = subprocess.run(command, cwd=tmp_path, env=toy_environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("statement", ["import aifs_engine", "from toy.train import train; train(['--help'])"])
def test_importing_and_asking_for_help_load_no_numpy(tmp_path, toy_environment, statement):
    code = f"import sys\ntry: exec({statement!r})\nexcept SystemExit: pass\nassert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=toy_environment, check=True, capture_output=True)
