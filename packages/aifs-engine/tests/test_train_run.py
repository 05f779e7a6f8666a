"""Whole runs of a toy model's ``train``, as processes of their own: what a user sees, and what is left on the disk."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from aifs_engine import load_checkpoint


def test_a_run_ends_with_its_result_and_what_to_do_next(train):
    printed = train("line").stdout
    assert "epoch 5/5  train_loss" in printed
    assert "held: test_accuracy 1, claimed ≥ 0.9 (strength): the classes are separable" in printed
    assert "noise (generated)" in printed
    assert "try the wide one" in printed
    for line in ("record", "checkpoint", "evaluate"):
        assert f"  {line}" in printed


def test_the_record_says_what_was_run_on_what(train, only_file):
    train("line", "--tags", "first", "try", "--seed", "4")
    manifest = json.loads(only_file("outputs/logs/*/manifest.json").read_text())
    assert {key: manifest[key] for key in ("model", "experiment", "status", "seed", "tags", "device")} == {
        "model": "toy", "experiment": "line", "status": "finished", "seed": 4, "tags": ["first", "try"],
        "device": "cpu",
    }  # fmt: skip
    assert manifest["data"]["source"] == "generated"
    assert manifest["claim"]["held"] is True
    assert manifest["config"]["epochs"] == 5
    assert {"python", "numpy", "safetensors"} <= set(manifest["versions"])
    rows = [json.loads(row) for row in only_file("outputs/logs/*/metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]


def test_equal_runs_leave_equal_files_and_never_overwrite_one_another(train, tmp_path):
    train("line"), train("line")
    for pattern in ("logs/*/metrics.jsonl", "models/*/last.safetensors", "models/*/best.safetensors"):
        first, second = (tmp_path / "outputs").glob(pattern)
        assert first.read_bytes() == second.read_bytes(), pattern


def test_figures_are_drawn_when_asked_for(train, only_file):
    assert "figures" not in train("line").stdout
    assert "visualizations" in train("line", "--visualize").stdout
    assert "4 snapshots" in only_file("outputs/visualizations/*/history.txt").read_text()


def test_without_checkpoints_nothing_is_kept_or_promised(train, tmp_path):
    printed = train("line", "--no-save-checkpoint").stdout
    assert "checkpoint" not in printed
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_claim_is_not_judged_silently_when_the_experiment_was_changed(train):
    assert "without --epochs" in train("line", "--epochs", "1").stdout


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_a_checkpoint_that_cannot_be_loaded_stops_everything_and_lists_the_others(train, tmp_path, damage, only_file):
    train("line")
    before = sorted(path for path in (tmp_path / "outputs").rglob("*") if path.is_file())
    bad = tmp_path / "bad.safetensors"
    if damage == "truncated":
        bad.write_bytes(only_file("outputs/models/*/last.safetensors").read_bytes()[:-7])
    elif damage == "text":
        bad.write_text("not weights")
    finished = train("line", "--load-checkpoint", str(bad), check=1)
    assert "bad.safetensors" in finished.stderr
    assert "checkpoints there are: outputs/models/toy-line" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert sorted(path for path in (tmp_path / "outputs").rglob("*") if path.is_file()) == before


def test_weights_of_another_shape_are_refused(train, only_file):
    train("line")
    finished = train("wide", "--load-checkpoint", str(only_file("outputs/models/*/best.safetensors")), check=1)
    assert "'w' has the shape (3,), this experiment needs (7,)" in finished.stderr


def test_a_new_run_can_begin_from_the_weights_of_another_experiment(train, only_file):
    train("line")
    best = only_file("outputs/models/*/best.safetensors")
    printed = train("slow", "--load-checkpoint", str(best), "--epochs", "1").stdout
    assert "starting with the weights of outputs/models/toy-line" in printed
    assert "epoch 1/1" in printed


def test_loading_a_checkpoint_begins_a_new_run_with_its_weights(train, tmp_path, only_file):
    train("line", "--epochs", "3")
    last = only_file("outputs/models/*/last.safetensors")
    before = last.read_bytes()
    printed = train("line", "--load-checkpoint", str(last)).stdout
    assert "starting with the weights of outputs/models/toy-line" in printed
    assert "epoch 1/5" in printed
    assert "the claim is about the experiment without --load-checkpoint" in printed
    assert last.read_bytes() == before
    assert len(list(tmp_path.glob("outputs/models/*"))) == 2


def test_weights_that_may_have_seen_the_test_samples_are_announced(train, toy, only_file):
    train("redrawn", "--seed", "5")
    best = str(only_file("outputs/models/*/best.safetensors"))
    assert (
        "warning: these weights were trained on another draw or split of noise (seed 5)"
        in train("redrawn", "--load-checkpoint", best).stderr
    )
    # `evaluate` takes the checkpoint's own seed, so that there is nothing to announce.
    finished = toy("evaluate", "--experiment", "redrawn", "--checkpoint", best, "--output-dir", "outputs", check=0)
    assert finished.stderr == ""
    assert "seed 5" in finished.stdout


def test_a_run_whose_data_have_changed_is_not_continued(train, only_file, monkeypatch):
    train("line", "--epochs", "2")
    before = only_file("outputs/models/*/last.safetensors").read_bytes()
    monkeypatch.setenv("TOY_DIGEST", "another")
    finished = train("line", "--resume", check=1)
    assert "was trained on other data than this experiment gives now" in finished.stderr
    assert only_file("outputs/models/*/last.safetensors").read_bytes() == before


def test_resuming_nothing_says_so_and_starts(train):
    printed = train("line", "--resume").stdout
    assert "nothing to resume for toy-line-seed0" in printed
    assert "epoch 5/5" in printed


def test_a_run_that_was_not_finished_is_continued_before_one_that_was(train, start, tmp_path):
    process = start("outputs", "--epochs", "3000")
    wait_for_epoch(process, 60)
    process.kill()
    process.communicate(timeout=30)
    (killed,) = tmp_path.glob("outputs/models/*")
    train("slow", "--epochs", "2")
    printed = train("slow", "--epochs", "61", "--resume").stdout
    assert f"continuing outputs/models/{killed.name}/" in printed


def test_fewer_epochs_than_were_trained_are_refused(train, only_file):
    train("line")
    before = only_file("outputs/logs/*/manifest.json").read_text()
    finished = train("line", "--resume", "--epochs", "2", check=1)
    assert "this run has already trained 5 epochs: give --epochs as many or more" in finished.stderr
    assert json.loads(before)["status"] == "finished"


def test_an_interrupt_after_training_says_that_all_is_saved(toy_environment, tmp_path):
    code = (
        "import os, signal, sys, aifs_engine.train_run as run; "
        "run.measure = lambda *_: os.kill(os.getpid(), signal.SIGINT); "
        "from toy.train import train; sys.exit(train(sys.argv[1:]))"
    )
    arguments = ["--experiment", "line", "--no-wandb", "--output-dir", "outputs"]
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=toy_environment, capture_output=True, text=True
    )
    assert finished.returncode == 130
    assert finished.stderr == "error: interrupted by SIGINT\n"
    assert "stopped after step 25 and saved; continue with" in finished.stdout


def test_resuming_a_finished_run_trains_no_more(train, only_file):
    train("line")
    before = only_file("outputs/models/*/last.safetensors").read_bytes()
    printed = train("line", "--resume").stdout
    assert "after epoch 5, step 25 (nothing is left to train)" in printed
    assert "held: test_accuracy" in printed
    assert only_file("outputs/models/*/last.safetensors").read_bytes() == before


def test_a_run_with_other_settings_is_not_resumed(train, tmp_path):
    train("line")
    assert (
        "differs in learning_rate): starting from the beginning"
        in train("line", "--resume", "--learning-rate", "0.3").stdout
    )
    assert len(list(tmp_path.glob("outputs/models/*"))) == 2


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_used(train, only_file):
    train("line", "--epochs", "2"), train("line", "--resume")
    last = only_file("outputs/models/*/last.safetensors")
    good = last.read_bytes()
    last.write_bytes(good[:-9])
    finished = train("line", "--resume")
    assert finished.stderr.startswith("warning: ")
    assert "last.safetensors is damaged" in finished.stderr
    assert "previous.safetensors" in finished.stderr
    assert last.read_bytes() == good


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_continue(toy, number, code, only_file, start):
    process = start("outputs")
    wait_for_epoch(process, 3)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors == f"error: interrupted by {number.name}\n"
    assert json.loads(only_file("outputs/logs/*/manifest.json").read_text())["status"] == "interrupted"
    command = printed.splitlines()[-1].split()
    assert command[0] == "train"  # the toy is no member of a workspace, so there is no `uv run` before it
    assert "continuing" in toy(*command, check=0).stdout


def test_a_run_that_is_being_trained_is_not_continued_by_another_process(train, start):
    process = start("outputs")
    try:
        wait_for_epoch(process, 8)
        finished = train("slow", "--resume", check=1)
        assert "is being trained by another process" in finished.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(tmp_path, only_file, start):
    process = start("whole", experiment="long")
    process.communicate(timeout=120)
    chance = random.Random(0)
    positions = []
    for _ in range(20):
        process = start("killed", "--resume", experiment="long")
        wait_for_epoch(process, 1)
        while not list(tmp_path.glob("killed/models/*/last.safetensors")):
            time.sleep(0.01)  # killed before its first checkpoint, a run would have to be begun again
        time.sleep(chance.uniform(0.15, 0.4))
        assert process.poll() is None, "the run was over before it could be killed"
        process.kill()
        process.communicate(timeout=30)
        header = load_checkpoint(only_file("killed/models/*/last.safetensors")).header
        positions.append((header["epoch"], header["step"] % 5))
    process = start("killed", "--resume", experiment="long")
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(set(positions)) > 10, positions  # it came further from kill to kill…
    assert any(batch for _, batch in positions)  # …and was saved within epochs too
    for pattern in ("models/*/last.safetensors", "models/*/best.safetensors", "logs/*/metrics.jsonl"):
        assert only_file(f"killed/{pattern}").read_bytes() == only_file(f"whole/{pattern}").read_bytes(), pattern
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_reader_that_has_gone_does_not_end_the_run(toy_environment, tmp_path):
    command = f"{sys.executable} -m toy.train train --experiment slow --no-wandb --output-dir outputs | head -1"
    finished = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, env=toy_environment, capture_output=True, text=True
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    (manifest,) = tmp_path.glob("outputs/logs/*/manifest.json")
    assert json.loads(manifest.read_text())["status"] == "finished"


def wait_for_epoch(process, epoch):
    for line in process.stdout:
        if line.startswith("epoch") and int(line.split()[1].split("/")[0]) >= epoch:
            return
    raise AssertionError(f"ended early: {process.stderr.read()}")
