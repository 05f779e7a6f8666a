"""Whole runs of a toy model's commands, as processes of their own: what a user sees, and what is left on the disk."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from aifs_engine import load_checkpoint


def only(paths):
    (path,) = paths
    return path


def manifest_of(folder, pattern="*"):
    return json.loads(only(folder.glob(f"outputs/logs/{pattern}/manifest.json")).read_text())


@pytest.fixture
def train(toy):
    """Train the toy on an experiment, in tmp_path/outputs, without wandb."""

    def run(experiment, *arguments, check=0):
        return toy(
            "train", "--experiment", experiment, "--no-wandb", "--output-dir", "outputs", *arguments, check=check
        )

    return run


def test_a_run_ends_with_its_result_and_what_to_do_next(train, tmp_path):
    printed = train("line").stdout
    assert "epoch 5/5  train_loss" in printed
    assert "held: test_accuracy 1, claimed ≥ 0.9 (strength): the classes are separable" in printed
    assert "noise (generated)" in printed
    assert "try the wide one" in printed
    for line in ("record", "checkpoint", "evaluate"):
        assert f"  {line}" in printed


def test_the_evaluate_command_of_the_summary_works_when_copied(train, toy):
    printed = train("line").stdout
    command = next(line for line in printed.splitlines() if "  evaluate" in line).split()
    finished = toy(*command[command.index("evaluate", 1) :], check=0)
    assert "accuracy 1" in finished.stdout
    assert "roc_auc" in finished.stdout
    assert "held: test_accuracy" in finished.stdout


def test_the_record_says_what_was_run_on_what(train, tmp_path):
    train("line", "--tags", "first", "try", "--seed", "4")
    manifest = manifest_of(tmp_path)
    assert {key: manifest[key] for key in ("model", "experiment", "status", "seed", "tags", "device")} == {
        "model": "toy", "experiment": "line", "status": "finished", "seed": 4, "tags": ["first", "try"],
        "device": "cpu",
    }  # fmt: skip
    assert manifest["data"]["source"] == "generated"
    assert manifest["claim"]["held"] is True
    assert manifest["config"]["epochs"] == 5
    assert {"python", "numpy", "safetensors"} <= set(manifest["versions"])
    rows = [json.loads(row) for row in only(tmp_path.glob("outputs/logs/*/metrics.jsonl")).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]


def test_equal_runs_leave_equal_files_and_never_overwrite_one_another(train, tmp_path):
    train("line"), train("line")
    for pattern in ("logs/*/metrics.jsonl", "models/*/last.safetensors", "models/*/best.safetensors"):
        first, second = (tmp_path / "outputs").glob(pattern)
        assert first.read_bytes() == second.read_bytes(), pattern


def test_figures_are_drawn_when_asked_for(train, tmp_path):
    assert "figures" not in train("line").stdout
    assert "visualizations" in train("line", "--visualize").stdout
    assert "3 snapshots" in only(tmp_path.glob("outputs/visualizations/*/history.txt")).read_text()


def test_without_checkpoints_nothing_is_kept_or_promised(train, tmp_path):
    printed = train("line", "--no-save-checkpoint").stdout
    assert "checkpoint" not in printed
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_claim_is_not_judged_silently_when_the_experiment_was_changed(train):
    assert "without --epochs" in train("line", "--epochs", "1").stdout


@pytest.mark.parametrize(
    ("experiment", "code", "status", "message"),
    [
        ("broken-data", 1, "failed", "the file is not there: fetch it first"),
        ("broken-step", 1, "failed", "unexpected ZeroDivisionError: a bug; the traceback is in outputs/logs/"),
        ("explodes", 3, "diverged", "training diverged: loss is inf in epoch 1, step 2, at learning rate 0.1"),
    ],
)
def test_a_failure_is_one_line_and_a_record(train, tmp_path, experiment, code, status, message):
    finished = train(experiment, check=code)
    assert finished.stderr.startswith(f"error: {message}")
    assert finished.stderr.count("\n") == 1
    assert manifest_of(tmp_path)["status"] == status
    assert "Traceback" in only(tmp_path.glob("outputs/logs/*/train.log")).read_text()


def test_a_folder_that_cannot_be_written_is_named(toy, tmp_path):
    (tmp_path / "file").write_text("in the way")
    finished = toy("train", "--experiment", "line", "--no-wandb", "--output-dir", "file", check=1)
    assert finished.stderr.startswith("error: cannot write the outputs of a run to file")
    assert finished.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_ends_the_run_with_one_line_and_the_old_checkpoint_whole(train, toy_environment, tmp_path):
    resource = pytest.importorskip("resource", reason="needs a system with file size limits")
    train("line")
    last = only(tmp_path.glob("outputs/models/*/last.safetensors"))
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


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_a_checkpoint_that_cannot_be_loaded_stops_everything_and_lists_the_others(train, tmp_path, damage):
    train("line")
    before = sorted(path for path in (tmp_path / "outputs").rglob("*") if path.is_file())
    bad = tmp_path / "bad.safetensors"
    if damage == "truncated":
        bad.write_bytes(only(tmp_path.glob("outputs/models/*/last.safetensors")).read_bytes()[:-7])
    elif damage == "text":
        bad.write_text("not weights")
    finished = train("line", "--load-checkpoint", str(bad), check=1)
    assert "bad.safetensors" in finished.stderr
    assert "checkpoints there are: outputs/models/toy-line" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert sorted(path for path in (tmp_path / "outputs").rglob("*") if path.is_file()) == before


def test_weights_of_another_shape_are_refused(train, tmp_path):
    train("line")
    finished = train(
        "wide", "--load-checkpoint", str(only(tmp_path.glob("outputs/models/*/best.safetensors"))), check=1
    )
    assert "'w' has the shape (3,), this experiment needs (7,)" in finished.stderr


def test_weights_of_another_model_are_refused(train, toy, tmp_path):
    from aifs_engine import save_checkpoint

    save_checkpoint(tmp_path / "other.safetensors", {"learner": {}}, {"model": "other"})
    for command in (["train", "--load-checkpoint"], ["evaluate", "--checkpoint"]):
        finished = toy(command[0], "--experiment", "line", command[1], "other.safetensors", check=1)
        assert "other.safetensors is a checkpoint of other, not of toy" in finished.stderr


def test_a_new_run_can_begin_from_the_weights_of_another_experiment(train, tmp_path):
    train("line")
    best = only(tmp_path.glob("outputs/models/*/best.safetensors"))
    printed = train("slow", "--load-checkpoint", str(best), "--epochs", "1").stdout
    assert "starting with the weights of outputs/models/toy-line" in printed
    assert "epoch 1/1" in printed


def test_loading_a_checkpoint_of_the_same_experiment_continues_it_in_a_new_run(train, tmp_path):
    train("line", "--epochs", "3")
    last = only(tmp_path.glob("outputs/models/*/last.safetensors"))
    before = last.read_bytes()
    assert "continuing" in train("line", "--load-checkpoint", str(last)).stdout
    train("line")
    ends = {path.read_bytes() for path in tmp_path.glob("outputs/models/*/last.safetensors")} - {before}
    weights = {
        load_checkpoint(path).state["learner"]["w"].tobytes() for path in tmp_path.glob("outputs/models/*/last*")
    }
    assert len(weights) == 2  # after 3 epochs, and after 5 on two ways
    assert ends
    assert last.read_bytes() == before


def test_resuming_nothing_says_so_and_starts(train):
    printed = train("line", "--resume").stdout
    assert "nothing to resume for toy-line-seed0" in printed
    assert "epoch 5/5" in printed


def test_resuming_a_finished_run_trains_no_more(train, tmp_path):
    train("line")
    before = only(tmp_path.glob("outputs/models/*/last.safetensors")).read_bytes()
    printed = train("line", "--resume").stdout
    assert "after epoch 5, step 25" in printed
    assert "held: test_accuracy" in printed
    assert only(tmp_path.glob("outputs/models/*/last.safetensors")).read_bytes() == before


def test_a_run_with_other_settings_is_not_resumed(train, tmp_path):
    train("line")
    assert "nothing to resume" in train("line", "--resume", "--learning-rate", "0.3").stdout
    assert len(list(tmp_path.glob("outputs/models/*"))) == 2


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_used(train, tmp_path):
    train("line", "--epochs", "2"), train("line", "--resume")
    last = only(tmp_path.glob("outputs/models/*/last.safetensors"))
    good = last.read_bytes()
    last.write_bytes(good[:-9])
    finished = train("line", "--resume")
    assert "last.safetensors is damaged" in finished.stderr
    assert "previous.safetensors" in finished.stderr
    assert last.read_bytes() == good


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_continue(toy_environment, toy, tmp_path, number, code):
    process = start(tmp_path, toy_environment, "outputs")
    wait_for_epoch(process, 3)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors == f"error: interrupted by {number.name}\n"
    assert manifest_of(tmp_path)["status"] == "interrupted"
    command = printed.splitlines()[-1].split()
    assert command[:5] == ["uv", "run", "--package", "toy", "train"]
    assert "continuing" in toy(*command[4:], check=0).stdout


def test_a_signal_at_any_moment_of_the_start_is_one_line(toy_environment, tmp_path):
    environment = {**toy_environment, "PYTHONWARNINGS": "default"}  # an import cut short leaves files to the collector
    for delay in (0.1, 0.2, 0.3, 0.4):
        process = start(tmp_path, environment, "outputs")
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        if process.returncode == -signal.SIGTERM:  # before any code of ours ran
            continue
        assert process.returncode == 143
        assert errors == "error: interrupted by SIGTERM\n"


def test_a_run_that_is_being_trained_is_not_continued_by_another_process(toy_environment, train, tmp_path):
    process = start(tmp_path, toy_environment, "outputs")
    try:
        wait_for_epoch(process, 8)
        finished = train("slow", "--resume", check=1)
        assert "is being trained by another process" in finished.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(toy_environment, tmp_path):
    process = start(tmp_path, toy_environment, "whole")
    process.communicate(timeout=60)
    chance = random.Random(0)
    kills = 0
    while kills < 20:
        process = start(tmp_path, toy_environment, "killed", "--resume")
        time.sleep(chance.uniform(0.1, 1.2))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate(timeout=30)
    process = start(tmp_path, toy_environment, "killed", "--resume")
    process.communicate(timeout=60)
    assert process.returncode == 0
    for pattern in ("models/*/last.safetensors", "models/*/best.safetensors", "logs/*/metrics.jsonl"):
        whole = only(tmp_path.glob(f"whole/{pattern}")).read_bytes()
        # A run killed before its first checkpoint is begun again under a new name; the newest one is the finished one.
        path = max(tmp_path.glob(f"killed/{pattern}"), key=lambda path: path.stat().st_mtime)
        assert path.read_bytes() == whole, pattern
        assert not list(path.parent.glob("*.tmp"))


def start(folder, environment, output, *arguments):
    command = [sys.executable, "-m", "toy.train", "train", "--experiment", "slow", "--no-wandb", "--output-dir", output]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *arguments], cwd=folder, env=environment, **pipes)


def wait_for_epoch(process, epoch):
    for line in process.stdout:
        if line.startswith("epoch") and int(line.split()[1].split("/")[0]) >= epoch:
            return
    raise AssertionError(f"ended early: {process.stderr.read()}")


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


def test_on_a_terminal_there_is_a_bar(tmp_path, toy_environment):
    pty = pytest.importorskip("pty", reason="needs a system with pseudo-terminals")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "toy.train", "train", "--experiment", "line", "--no-wandb"]
    environment = {**toy_environment, "TERM": "xterm", "COLUMNS": "100", "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # Linux: the other end was closed
        pass
    assert process.wait(timeout=30) == 0, process.stderr.read()
    process.stderr.close()
    assert "━".encode() in shown
    assert b"epoch 5/5" in shown
    assert b"held: test_accuracy" in shown
