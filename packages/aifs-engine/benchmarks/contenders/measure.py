"""Seconds and calls, of contenders that take turns; and whether they have all done the same work."""

import contextlib
import importlib.util
import io
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from itertools import pairwise

from _timing import CallCounter, interleaved
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, TensorDataset

from contenders import by_hand, engine, others
from contenders.tasks import Task

BY_HAND, OURS, COMMAND = "hand-written loop", "aifs-engine", "aifs-engine, train command"
CONTENDERS = {  # title: (function, what has to be installed)
    BY_HAND: (by_hand.by_hand, "torch"),
    "… with our optimizer": (by_hand.with_our_optimizer, "aifs_engine"),
    "… with DataLoader": (by_hand.with_data_loader, "torch"),
    OURS: (engine.ours, "aifs_engine"),
    "skorch": (others.skorch, "skorch"),
    "Ignite": (others.ignite, "ignite"),
    "Accelerate": (others.accelerate, "accelerate"),
    "Fabric": (others.fabric, "lightning"),
    "Lightning": (others.lightning, "lightning"),
    "Lightning, all off": (others.bare_lightning, "lightning"),
    "Keras 3": (others.keras, "keras"),
}
TOLERANCE = 1e-5  # of weights below 1, from kernels that add in another order


class Terminal(io.StringIO):
    """Takes what is written as a terminal would, so that progress is drawn as a user sees it."""

    def isatty(self):
        return True


def present():
    """Return the titles of the contenders that are installed."""
    return [title for title, (_, needed) in CONTENDERS.items() if importlib.util.find_spec(needed)]


def run(contender, kind, epochs, mark=time.perf_counter):
    """Train once, in an empty folder; return the task as it is afterwards."""
    task = Task(kind)
    task.order.mark = mark
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(Terminal()),
        contextlib.redirect_stderr(Terminal()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        contender(task, epochs)
    assert len(task.order.marks) == epochs, f"the order was asked for {len(task.order.marks)} times in {epochs} epochs"
    return task


def differences(kind, titles, epochs=3):
    """Return by how much each contender's final weights differ from those of the loop by hand, at most.

    Raises
    ------
    AssertionError
        If one has done other work, or none has done any.
    """
    tasks = {title: run(CONTENDERS[title][0], kind, epochs) for title in titles}
    weights = {title: parameters_to_vector(task.model.parameters()).detach() for title, task in tasks.items()}
    found = {title: (vector - weights[BY_HAND]).abs().max().item() for title, vector in weights.items()}
    assert all(value <= TOLERANCE for value in found.values()), f"not the same work: {found}"
    first = parameters_to_vector(Task(kind).model.parameters())
    assert (first - weights[BY_HAND]).abs().max() > 100 * TOLERANCE, "the weights have hardly moved"
    return found


def epoch_seconds(kind, titles, repetitions):
    """Return the median time of an epoch, from its beginning to that of the next, the first one left out."""
    seconds = {title: [] for title in titles}
    for _ in range(repetitions):
        for title in titles:
            marks = run(CONTENDERS[title][0], kind, kind.n_epochs + 2).order.marks
            seconds[title] += [after - before for before, after in pairwise(marks[1:])]
    return {title: statistics.median(values) for title, values in seconds.items()}


def calls_per_step(kind, title):
    """Return how many functions of Python and C are called per step, in the second of three epochs."""
    with CallCounter() as counter:
        task = run(CONTENDERS[title][0], kind, 3, lambda: counter.count)
    return (task.order.marks[2] - task.order.marks[1]) / len(task.loader())


def evaluation_seconds(kind, repetitions):
    """Return the time of the usual evaluation and of ours, of equal models."""
    task = Task(kind)
    ways = {"no_grad and DataLoader": partial(by_hand.evaluate, task), OURS: engine.evaluator(Task(kind))}
    usual, our = (way() for way in ways.values())
    assert abs(usual - our) <= TOLERANCE * abs(usual), f"losses differ: {usual}, {our}"
    return interleaved(ways, repetitions)


def process_seconds(script, titles, repetitions):
    """Return the time of a whole process, from its start to its exit, of ``script --process TITLE``."""
    commands = {title: [sys.executable, str(script), "--process", title] for title in titles}
    return interleaved({title: partial(_spawn, command) for title, command in commands.items()}, repetitions)


def import_seconds(repetitions):
    """Return the time of a process that imports one module."""
    commands = {
        name: [sys.executable, "-c", f"import {name}"] for name in ("torch", "aifs_engine", "aifs_engine.torch_learner")
    }
    return interleaved({name: partial(_spawn, command) for name, command in commands.items()}, repetitions)


def _spawn(command):
    subprocess.run(command, check=True, capture_output=True)


def loader_seconds(kind, repetitions):
    """Return the time of an epoch of shuffled batches alone."""
    task = Task(kind)
    batches = {
        "DataLoader": lambda: DataLoader(TensorDataset(task.X, task.y), task.batch_size, shuffle=True),
        "index_select": lambda: task.loader().batches(1),
    }
    return interleaved({title: partial(_go_through, make) for title, make in batches.items()}, repetitions)


def _go_through(make):
    for _ in make():
        pass
