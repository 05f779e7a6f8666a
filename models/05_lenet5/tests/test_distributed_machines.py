"""Several machines, each with a torchrun of its own: here two torchruns on loopback."""

import runpy
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

shared = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("torchrun.py"))))
Torchrun = shared.Torchrun

DEBUG = ["--experiment", "debug", "--no-wandb", "--output-dir"]
# The first machine waits three seconds for others; one is given up when nothing was heard of it for ten.
QUICK = "--rdzv-conf=last_call_timeout=3,keep_alive_interval=1,keep_alive_max_attempt=10"


@pytest.fixture
def machine(tmp_path):
    """A function that starts torchrun on another "machine"; all of them share the folder of outputs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=job", "--local-addr=127.0.0.1"]
    with ExitStack() as stack:

        def start(name, nodes, *options, **more):
            agent = [f"--nnodes={nodes}", *meeting, QUICK, "--max-restarts=3"]
            options = [*DEBUG, str(tmp_path / "outputs"), *options]
            return stack.enter_context(Torchrun(tmp_path / name, *options, n=1, agent=agent, **more))

        yield start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A function that gives the outputs of a run of two processes on one machine."""

    def train(strategy):
        folder = tmp_path_factory.mktemp(strategy)
        with Torchrun(folder, *DEBUG, str(folder / "outputs"), "--strategy", strategy) as run:
            assert run.finish() == 0, run.stderr
        return folder / "outputs"

    return train


@pytest.mark.stress
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_machines_train_as_two_processes_of_one(strategy, machine, undisturbed, tmp_path):
    runs = [machine(name, "2", "--strategy", strategy) for name in ("first", "second")]
    assert [run.finish() for run in runs] == [0, 0], [run.stderr for run in runs]
    assert shared.left_by(tmp_path / "outputs") == shared.left_by(undisturbed(strategy))
    printed = [run.stdout for run in runs]
    assert sorted(text.count("lenet5 · debug") for text in printed) == [0, 1]


@pytest.mark.stress
def test_a_machine_that_comes_later_is_taken_in(machine, undisturbed, tmp_path):
    """The first begins alone and goes on with the other."""
    # Until torch 2.13 at least, a torchrun that keeps the store of rank 0 does not tell a later one where that is.
    more = {"does": "slow", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    first = machine("first", "1:2", **more)
    assert first.wait_for(lambda: trained_by(1, tmp_path / "outputs"))
    second = machine("second", "1:2", **more)
    assert [first.finish(), second.finish()] == [0, 0], (first.stderr, second.stderr)
    assert shared.manifest(tmp_path / "outputs")["processes"] == 2
    assert_trained_as(undisturbed("ddp"), tmp_path / "outputs")


@pytest.mark.stress
def test_a_machine_that_is_lost_is_done_without(machine, undisturbed, tmp_path):
    """Of two that train together one is gone at once, and the other goes on alone."""
    more = {"does": "slow", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    runs = [machine("first", "1:2", **more)]
    assert runs[0].wait_for(lambda: trained_by(1, tmp_path / "outputs")), runs[0].stderr  # it keeps the rendezvous
    runs.append(machine("second", "1:2", **more))
    assert runs[0].wait_for(lambda: trained_by(2, tmp_path / "outputs"))
    runs[1].kill()
    assert runs[1].finish() == -signal.SIGKILL
    assert runs[0].finish() == 0, runs[0].stderr
    assert shared.manifest(tmp_path / "outputs")["processes"] == 1
    assert_trained_as(undisturbed("ddp"), tmp_path / "outputs")


def trained_by(n, outputs):
    """Whether so many processes have saved something."""
    saved = list(outputs.glob("models/*/last.safetensors"))
    return saved and shared.manifest(outputs)["processes"] == n


def assert_trained_as(theirs, ours):
    """The same number of steps in each epoch, means over the same samples, and the same weights."""
    assert [row["step"] for row in shared.rows(ours)] == [34, 68]
    for row, other in zip(shared.rows(ours), shared.rows(theirs), strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            assert value == pytest.approx(other[name], abs=1e-5), name
    files = [load_file(shared.newest(folder, "models/*/last.safetensors")) for folder in (ours, theirs)]
    for name in (name for name in files[0] if name.startswith("learner.model.")):
        np.testing.assert_allclose(files[0][name], files[1][name], rtol=0, atol=1e-5, err_msg=name)
