"""A run that is killed and continued ends in the same bytes, with dropout, augmentation, accumulation and schedule."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
import sys
from dataclasses import replace
from lenet5 import config
config.EXPERIMENTS["debug"] = replace(config.EXPERIMENTS["debug"], dropout=0.5, rotation=10.0, shift=1, accumulate=3)
from lenet5.train import main
sys.argv = ["train", "--experiment", "debug", "--no-wandb", "--output-dir", *sys.argv[1:]]
raise SystemExit(main())
"""


def start(folder, threads, *options):
    """A process that trains in `folder`."""
    command = [sys.executable, "-c", PROGRAM, str(folder), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def left_by(folder):
    """The bytes of the newest run's last checkpoint, its best one, and its record."""
    run = max((folder / "models").iterdir(), key=lambda path: path.stat().st_mtime)
    files = [*sorted(run.glob("[bl]*.safetensors")), folder / "logs" / run.name / "metrics.jsonl"]
    assert len(files) == 3, files
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(threads, tmp_path):
    """SIGKILL, which no handler sees, again and again until a session comes through."""
    finish(start(tmp_path / "whole", threads))
    moments = np.random.default_rng(threads)
    killed = 0
    while killed < 5:
        process = start(tmp_path / "parts", threads, *(["--resume"] if killed else []))
        wait_for_a_checkpoint(tmp_path / "parts", process)
        time.sleep(float(moments.uniform(0.0, 0.4)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
    assert killed >= 1
    finish(start(tmp_path / "parts", threads, "--resume"))
    assert left_by(tmp_path / "parts") == left_by(tmp_path / "whole")


def wait_for_a_checkpoint(folder: Path, process):
    """Return once the process has saved something, or is done."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob("models/*/last.safetensors")}
    for _ in range(3000):
        now = {path: path.stat().st_mtime_ns for path in folder.glob("models/*/last.safetensors")}
        if now != before or process.poll() is not None:
            return
        time.sleep(0.01)
    raise AssertionError("the run has saved nothing")
