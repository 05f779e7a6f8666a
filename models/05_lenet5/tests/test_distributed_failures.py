"""What torchrun's processes do when one of them fails, stands still or is killed, and when they are asked to stop."""

import os
import re
import runpy
import shlex
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

shared = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("torchrun.py"))))
Torchrun = shared.Torchrun

DEBUG = ["--experiment", "debug", "--no-wandb"]
# How long after a process has begun with it a kill may come: what follows is hit as well, but not the next start.
STOPPED = re.compile(r"^stopped after step (\d+) and saved; continue with\n +(.*--resume.*)$", re.MULTILINE)
SECONDS = {"started": 3.0, "trains": 0.8, "evaluates": 0.1, "ends": 0.03}


@pytest.mark.stress
@pytest.mark.parametrize(
    ("strategy", "does", "kills"),
    [
        ("ddp", "", [("started", 1), ("trains", 0), ("ends", 0)]),
        ("ddp", "hard", [("trains", 1), ("evaluates", 0)]),
        ("fsdp", "", [("started", 0), ("evaluates", 1), ("ends", 1)]),
        ("fsdp", "hard", [("trains", 0), ("trains", 1)]),
    ],
)
def test_processes_killed_at_random_moments_end_in_the_same_bytes(strategy, does, kills, tmp_path):
    """SIGKILL, ten times in all; each time torchrun starts all processes anew, and they go on by themselves."""
    options = [*DEBUG, "--strategy", strategy, "--epochs", "4", "--output-dir"]
    moments = np.random.default_rng(len(strategy + does))
    with Torchrun(tmp_path / "whole", *options, str(tmp_path / "whole" / "outputs"), does=does) as run:
        assert run.finish() == 0, run.stderr
    agent = ["--standalone", "--max-restarts=3"]
    with Torchrun(tmp_path / "parts", *options, str(tmp_path / "parts" / "outputs"), does=does, agent=agent) as run:
        for number, (phase, rank) in enumerate(kills):
            kill(run, number, phase, rank, float(moments.uniform(0, SECONDS[phase])))
        assert run.finish() == 0, run.stderr
    assert len(run.pids()) == 2 * (1 + len(kills)), "a process was killed when it had come to its end"
    assert shared.left_by(tmp_path / "parts" / "outputs") == shared.left_by(tmp_path / "whole" / "outputs")


def kill(run, number, phase, rank, seconds):
    """Kill the process of a rank, some seconds after it has begun with something; torchrun has restarted so often."""
    run.wait_for(lambda: len(run.pids()) == 2 * (1 + number))
    run.newest(rank, phase)
    time.sleep(seconds)
    os.kill(run.newest(rank), signal.SIGKILL)


@pytest.mark.stress
def test_a_process_killed_when_all_is_written_begins_no_other_run(tmp_path):
    """The first process may have ended by then; torchrun starts all anew, and they find that nothing is left to do."""
    options = [*DEBUG, "--output-dir", str(tmp_path / "outputs")]
    agent = ["--standalone", "--max-restarts=3"]
    with Torchrun(tmp_path, *options, does="linger", agent=agent) as run:
        run.newest(1, "ends")
        run.wait_for(lambda: shared.manifest(tmp_path / "outputs")["status"] == "finished")
        os.kill(run.newest(1), signal.SIGKILL)
        assert run.finish() == 0, run.stderr
    assert len(run.pids()) == 4
    assert len(list(tmp_path.glob("outputs/models/*"))) == 1
    assert [row["epoch"] for row in shared.rows(tmp_path / "outputs")] == [1, 2]
    assert shared.manifest(tmp_path / "outputs")["status"] == "finished"


@pytest.mark.stress
@pytest.mark.parametrize(("strategy", "rank"), [("ddp", 0), ("ddp", 1), ("fsdp", 1)])
def test_a_process_that_is_stopped_ends_the_run_and_is_named(strategy, rank, tmp_path):
    """After SIGSTOP it says nothing more; torchrun then gives it 30 s to end, which it does not see."""
    options = [*DEBUG, "--strategy", strategy, "--output-dir", str(tmp_path / "outputs")]
    with Torchrun(tmp_path, *options, does="slow") as run:
        run.newest(1 - rank, "trains")
        os.kill(run.newest(rank, "trains"), signal.SIGSTOP)
        stopped = time.monotonic()
        assert run.wait_for(lambda: run.errors, 30), run.stderr
        assert run.finish() == 1
    assert time.monotonic() - stopped < 60
    prefix = "error: [rank 1] " if rank == 0 else "error: "
    assert run.errors[0].startswith(f"{prefix}rank {rank} has not been heard of for 2"), run.errors
    assert len(run.errors) == 1


@pytest.mark.stress
def test_a_process_that_sleeps_in_a_step_ends_the_run_and_is_named(tmp_path):
    with Torchrun(tmp_path, *DEBUG, "--output-dir", str(tmp_path / "outputs"), does="sleep") as run:
        assert run.newest(1, "missteps")
        slept = time.monotonic()
        assert run.finish() == 1
    assert time.monotonic() - slept < 60
    assert run.errors[0].startswith("error: rank 1 stands still: the others have waited 2"), run.errors


@pytest.mark.stress
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_process_that_raises_ends_the_run_soon_with_its_message(strategy, tmp_path):
    options = [*DEBUG, "--strategy", strategy, "--output-dir", str(tmp_path / "outputs")]
    with Torchrun(tmp_path, *options, does="raise") as run:
        assert run.newest(1, "missteps")
        raised = time.monotonic()
        assert run.finish() == 1
    assert time.monotonic() - raised < 20
    [error] = run.errors  # the other process has nothing to say: it is ended
    assert error.startswith("error: [rank 1] unexpected ZeroDivisionError: a step of rank 1; the traceback is in ")
    log = shared.newest(tmp_path, "outputs/logs/*/train-rank1.log")
    assert error.endswith(log.name)
    assert "ZeroDivisionError: a step of rank 1" in log.read_text()
    assert shared.manifest(tmp_path / "outputs")["status"] == "failed"


@pytest.mark.stress
@pytest.mark.parametrize(
    ("strategy", "sent", "code"),
    [("ddp", signal.SIGTERM, 143), ("fsdp", signal.SIGTERM, 143), ("ddp", signal.SIGINT, 130)],
)
def test_a_run_that_is_asked_to_stop_saves_once_and_can_be_continued(strategy, sent, code, tmp_path):
    """SIGTERM goes to torchrun, Ctrl-C to all processes of the terminal. What is printed at the end goes on."""
    options = [*DEBUG, "--strategy", strategy, "--epochs", "4", "--output-dir"]
    with Torchrun(tmp_path / "whole", *options, str(tmp_path / "whole" / "outputs")) as run:
        assert run.finish() == 0, run.stderr
    with Torchrun(tmp_path / "parts", *options, str(tmp_path / "parts" / "outputs"), does="slow report") as run:
        pids = [run.newest(rank, "saves") for rank in range(2)]
        (os.killpg if sent == signal.SIGINT else os.kill)(run.process.pid, sent)
        assert run.finish() == 1
    assert [(run.folder / f"code-{rank}").read_text() for rank in range(2)] == [str(code)] * 2
    assert run.errors == [f"error: interrupted by {sent.name}"]
    [step, again] = re.findall(STOPPED, run.stdout)[0]
    for pid in pids:
        assert (run.folder / f"saves-{pid}").read_text().split().count(step) == 1
    assert "Traceback" not in shared.newest(run.folder, "outputs/logs/*/train.log").read_text()
    words = shlex.split(again)
    with Torchrun(tmp_path / "again", agent=words[words.index("torchrun") + 2 :], program=()) as run:
        assert run.finish() == 0, run.stderr
    assert re.search(rf"^continuing .* after epoch \d, step {step}$", run.stdout, re.MULTILINE)
    assert shared.left_by(tmp_path / "parts" / "outputs") == shared.left_by(tmp_path / "whole" / "outputs")
