"""What is seen while a run goes on."""

import os
import subprocess
import sys

import pytest

from aifs_engine import Callback, ProgressBar, ProgressLines, Trainer


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


def test_lines_name_the_epoch_and_its_means(learner, batches, capsys):
    Trainer(learner, epochs=10, callbacks=[ProgressLines()]).train(batches, batches)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch  1/10  train_loss ")
    assert "val_loss" in lines[0]


def test_the_bar_moves_within_an_epoch(learner, batches, monkeypatch):
    seen = []
    monkeypatch.setattr(ProgressBar, "REFRESH_SECONDS", 0.0)
    bar = ProgressBar()

    class Watch(Callback):
        def on_step_end(self, trainer):
            seen.append(bar._progress.tasks[0].completed)

    Trainer(learner, epochs=1, callbacks=[bar, Watch()]).train(batches)
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
