"""The profiler: what it writes, of which steps, and that it is closed however a run ends."""

import json
import logging
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import Trainer  # noqa: E402  # only where torch is there
from aifs_engine.torch_learner import TorchLearner  # noqa: E402
from aifs_engine.torch_optimizers import SGD  # noqa: E402
from aifs_engine.torch_profiler import Profiler  # noqa: E402
from aifs_utils.exceptions import ConfigError  # noqa: E402


def trained(*callbacks, epochs=3, batch=None):
    """The weights after that many epochs of ten steps."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    learner = TorchLearner(model, SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
    batches = [(torch.randn(8, 4), torch.randn(8, 1)) for _ in range(10)]
    if batch is not None:
        batches[5] = batch
    Trainer(learner, epochs=epochs, callbacks=callbacks).train(batches)
    return model.weight.tolist()


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def products(folder, steps):
    """How often a trace has the product of a linear layer's forward pass."""
    trace = json.loads((folder / f"trace-{steps}.json").read_text())
    return sum(event["name"] == "aten::addmm" for event in trace["traceEvents"])


def test_a_window_of_steps_is_recorded(tmp_path):
    """Steps 11 to 15 have five forward passes of one layer."""
    trained(Profiler(tmp_path / "profile", skip=10, steps=5))
    assert names(tmp_path / "profile") == ["operations-11-15.txt", "trace-11-15.json"]
    assert products(tmp_path / "profile", "11-15") == 5
    table = (tmp_path / "profile" / "operations-11-15.txt").read_text()
    assert table.startswith("Steps 11 to 15, the dearest operations first.\n")
    assert "Self CPU" in table
    assert "aten::addmm" in table


def test_a_run_with_a_profiler_is_the_run_without(tmp_path):
    """It draws and changes nothing."""
    assert trained(Profiler(tmp_path, skip=2, steps=3)) == trained()


def test_nothing_is_recorded_outside_the_window(tmp_path, monkeypatch):
    """torch's profiler is started once and stopped once, and runs in no other step."""  # noqa: D403
    events = []
    for name in ("start", "stop"):
        original = getattr(torch.profiler.profile, name)
        monkeypatch.setattr(
            torch.profiler.profile,
            name,
            lambda self, name=name, original=original: events.append(name) or original(self),
        )

    class Steps(Profiler):
        def on_step_end(self, trainer):
            super().on_step_end(trainer)
            events.append(trainer.step)

    trained(Steps(tmp_path, skip=2, steps=3), epochs=1)
    assert events == [1, "start", 2, 3, 4, "stop", 5, 6, 7, 8, 9, 10]


def test_a_window_may_begin_at_once(tmp_path):
    """With skip=0 the first step is in it."""
    trained(Profiler(tmp_path, skip=0, steps=1))
    assert products(tmp_path, "1-1") == 1


def test_a_run_that_ends_within_the_window_leaves_its_steps(tmp_path):
    """Ten steps of an epoch, of which eight were to be skipped."""
    trained(Profiler(tmp_path, skip=8), epochs=1)
    assert products(tmp_path, "9-10") == 2


def test_a_run_that_ends_before_the_window_says_so(tmp_path, caplog):
    """No empty files."""
    trained(Profiler(tmp_path / "profile", skip=50), epochs=1)
    assert "nothing was profiled: the run had no more than 50 steps" in caplog.text
    assert names(tmp_path / "profile") == []


def test_as_a_context_it_closes_when_the_run_fails(tmp_path):
    """A batch that does not fit, in step 6."""
    wrong = torch.randn(8, 3), torch.randn(8, 1)
    with pytest.raises(RuntimeError, match="shapes"), Profiler(tmp_path, skip=2) as profiler:
        trained(profiler, batch=wrong)
    assert products(tmp_path, "3-5") >= 3
    trained(Profiler(tmp_path, skip=1, steps=1))  # nothing runs any more that would be in the way
    assert products(tmp_path, "2-2") == 1


def test_a_window_without_a_finished_step_leaves_no_files(tmp_path, caplog):
    """The first step after it was opened failed."""
    wrong = torch.randn(8, 3), torch.randn(8, 1)
    with pytest.raises(RuntimeError, match="shapes"), Profiler(tmp_path, skip=5) as profiler:
        trained(profiler, batch=wrong)
    assert names(tmp_path) == []
    assert "nothing was profiled: the run ended in step 6" in caplog.text


def test_the_next_run_closes_what_an_interrupted_one_left_open(tmp_path, caplog):
    """Without the context, in a notebook, say."""
    caplog.set_level(logging.INFO)
    profiler = Profiler(tmp_path, skip=2, steps=6)
    with pytest.raises(RuntimeError, match="shapes"):
        trained(profiler, batch=(torch.randn(8, 3), torch.randn(8, 1)))
    assert names(tmp_path) == []
    trained(profiler)
    assert names(tmp_path) == ["operations-3-5.txt", "operations-3-8.txt", "trace-3-5.json", "trace-3-8.json"]
    assert "profiled steps 3 to 8" in caplog.text


INTERRUPTED = """
import os, signal, sys, torch
from aifs_engine import Callback, Trainer
from aifs_engine.torch_learner import TorchLearner
from aifs_engine.torch_optimizers import SGD
from aifs_engine.torch_profiler import Profiler

class CtrlC(Callback):
    def on_step_end(self, trainer):
        if trainer.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

model = torch.nn.Linear(4, 1)
learner = TorchLearner(model, SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
batches = [(torch.randn(8, 4), torch.randn(8, 1))] * 10
Trainer(learner, epochs=1, callbacks=[Profiler(sys.argv[1], skip=2), CtrlC()]).train(batches)
"""


def test_an_interrupted_process_writes_what_it_has(tmp_path):
    """Without the context too; and it does not crash, as one does that ends with torch's profiler running."""
    finished = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], capture_output=True, text=True)
    assert "Interrupted: interrupted by SIGINT" in finished.stderr
    assert "Fault" not in finished.stderr
    assert finished.returncode in (1, 130, -2)
    assert products(tmp_path, "3-4") == 2


@pytest.mark.parametrize(("option", "value"), [("skip", -1), ("skip", 1.5), ("skip", True), ("steps", 0)])
def test_a_window_that_makes_no_sense_is_refused(tmp_path, option, value):
    """Before anything runs."""
    with pytest.raises(ConfigError, match=f"{option} must be a whole number"):
        Profiler(tmp_path, **{option: value})
