"""Trainings that one process and several are to make alike; see test_torch_strategies.py.

Used through runpy, as torch_workers.py says.
"""

import math
import os
import socket
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from aifs_engine import BestSoFar, Callback, Checkpointing, Trainer
from aifs_engine import torch_processes as module
from aifs_engine.checkpoint import is_head
from aifs_engine.distributed import alone
from aifs_engine.launch import current_launch
from aifs_engine.torch_learner import TorchLearner, accuracy
from aifs_engine.torch_optimizers import SGD, Adam
from aifs_engine.torch_schedules import warmup_cosine
from aifs_utils.seeds import set_random_seed


@contextmanager
def connected():
    """Within the block the processes of `run_on` are connected as a learner connects them, and by nothing else."""
    world = torch.distributed
    ports = [_free_ports()]
    world.broadcast_object_list(ports, src=0)
    world.barrier()
    world.destroy_process_group()
    os.environ["MASTER_PORT"] = str(ports[0][0])
    processes = module.processes_of(current_launch())
    try:
        yield processes
    except BaseException:
        module.stop_processes(in_order=False)  # the others may wait for this one elsewhere
        raise
    module.stop_processes()
    address = f"tcp://127.0.0.1:{ports[0][1]}"
    world.init_process_group(
        "gloo", init_method=address, rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
    )


def _free_ports():
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


class Block(nn.Module):
    """A layer with five units, which two and four processes cannot share evenly."""

    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        self.inner = nn.Linear(6, 5)
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(5, 6)

    def forward(self, x):
        """(n, 6) → (n, 6)."""
        return x + self.outer(self.dropout(torch.tanh(self.norm(self.inner(x)))))


class Net(nn.Module):
    """Points of the plane in three classes, through blocks."""

    def __init__(self, spare=False, **options):
        super().__init__()
        if spare:
            self.spare, self.has_unused_parameters = nn.Linear(6, 6), True
        self.before = nn.Linear(2, 6)
        self.blocks = nn.ModuleList([Block(**options), Block(**options)])
        self.after = nn.Linear(6, 3)

    def forward(self, X):
        """(n, 2) → (n, 3)."""
        X = self.before(X)
        for block in self.blocks:
            X = block(X)
        return self.after(X)


class Points:
    """Random points in batches of `size`, in another order each epoch, moved a little anew: a function of the place."""

    def __init__(self, n=58, size=12, noise=0.0):
        generator = torch.Generator().manual_seed(1)
        self.X = torch.randn(n, 2, generator=generator)
        self.y = (self.X.sum(1) > 0).long() + (self.X[:, 0] > 1)
        self.size, self.noise = size, noise

    def __len__(self):
        return -(-len(self.y) // self.size)

    def batches(self, epoch, start=0):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(self.y)))
        for number in range(start, len(self)):
            chosen = order[number * self.size : (number + 1) * self.size]
            generator = torch.Generator().manual_seed(1000 * epoch + number)
            yield self.X[chosen] + self.noise * torch.randn(len(chosen), 2, generator=generator), self.y[chosen]


class ByParts(TorchLearner):
    """A loss that calls the model's parts one by one, the first one twice, and never the model."""

    def loss(self, batch):
        X, y = batch
        model = self.model
        x = model.before(X) + model.before(-X).abs()
        for block in model.blocks:
            x = block(x)
        outputs = model.after(x)
        return self.criterion(outputs, y), {"accuracy": accuracy(outputs.detach(), y)}


class Scaled(nn.Module):
    """A criterion with a weight for each class, and one number, that are learned."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, outputs, targets):
        """A mean over the samples, 0-d."""
        return nn.functional.cross_entropy(outputs * self.scale + self.shift, targets)


class Adversaries(TorchLearner):
    """Two updates per step, the second through weights that only the first one moves."""

    def first_loss(self, batch):
        X, y = batch
        with torch.no_grad():
            x = self._before_last(X)
        return nn.functional.cross_entropy(self.model.after(x), y), {}

    def second_loss(self, batch):
        X, y = batch
        return -0.1 * nn.functional.cross_entropy(self.model.after(self._before_last(X)), y), {}

    def _before_last(self, X):
        x = self.model.before(X)
        for block in self.model.blocks:
            x = block(x)
        return x

    def train_step(self, batch):
        metrics = self.minimize(self.first_loss, batch, "first")
        return {**metrics, "other": self.minimize(self.second_loss, batch, "second")["loss"]}


OPTIMIZERS = {
    "our Adam": lambda parameters: Adam(parameters, lr=1e-2, weight_decay=0.01),
    "our SGD": lambda parameters: SGD(parameters, lr=0.02, momentum=0.9),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
}


def new_learner(strategy, kind="our Adam", learner=TorchLearner, criterion=None, net=None, rate=None, **options):
    """A fresh learner, the same one each time; strategy "single" is one process's own."""
    torch.manual_seed(3)
    model, criterion = Net(**(net or {})), criterion or nn.CrossEntropyLoss()
    if learner is Adversaries:
        first = [*model.after.parameters()]
        second = [*model.before.parameters(), *model.blocks.parameters()]
        optimizer = {"first": OPTIMIZERS[kind](first), "second": OPTIMIZERS["our SGD"](second)}
    else:
        optimizer = OPTIMIZERS[kind]([*model.parameters(), *_parameters(criterion)])
        if rate == "cosine":
            options["scheduler"] = warmup_cosine(optimizer, warmup_steps=5, total_steps=60)
    own = learner is TorchLearner
    metrics = {"accuracy": accuracy} if own else None
    if strategy != "single":
        return learner(model, optimizer, criterion, metrics=metrics, strategy=_ready(strategy), **options)
    with alone():
        return learner(model, optimizer, criterion, metrics=metrics, **options)


def _parameters(criterion):
    return [*criterion.parameters()] if isinstance(criterion, nn.Module) else []


def _ready(strategy):
    """The strategy, for processes that have nothing left of the learner before."""
    processes = module.processes_of(current_launch())
    processes.is_sharded, processes.part = False, None
    return strategy


def whole_state(learner):
    """A learner's state with whole arrays in each process, and copied."""
    from copy import deepcopy

    state = learner.state_dict()
    if learner.processes.is_sharded:
        from aifs_engine.torch_sharded_state import full_state

        state = full_state(state)
    return deepcopy(state)


def largest_difference(one, other):
    """Between the numbers of two nests; relative, where values are above 1; infinite if they have other parts."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return math.inf
        return largest_difference(list(one.values()), list(other.values()))
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return math.inf
        return max(map(largest_difference, one, other), default=0.0)
    if isinstance(one, np.ndarray | float) and np.shape(one) == np.shape(other):
        one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
        return float((np.abs(one - other) / np.maximum(1.0, np.abs(one))).max(initial=0.0))
    return 0.0 if one == other else math.inf


class StopAt(Callback):
    """Sends this process a signal after so many steps."""

    def __init__(self, step, number):
        self.target, self.number = step, number

    def on_step_end(self, trainer):
        if trainer.step == self.target:
            os.kill(os.getpid(), self.number)


def new_trainer(learner, folder, *callbacks, epochs, **options):
    """With the best weights, and a checkpoint at each step if the processes are asked."""
    set_random_seed(7)
    return Trainer(
        learner, epochs=epochs, callbacks=[BestSoFar("val_loss"), Checkpointing(folder, **options), *callbacks]
    )


def go_on(trainer):
    """Load the newest checkpoint of the trainer's folder, however it was made."""
    files = trainer.callbacks[-1].files
    newest, learner = files.newest(), trainer.learner
    if not is_head(newest):
        trainer.load_state_dict(newest.state)
        return
    from aifs_engine import torch_sharded_checkpoint as sharded

    if learner.processes.is_sharded:
        state, _ = sharded.load_newest(files.shards, learner.mesh, group=learner.processes.messages)
    else:
        state = sharded.consolidate_newest(files.shards).state
    trainer.load_state_dict(state)
