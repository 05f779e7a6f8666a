"""The engine beside hand-written loops and other trainers: the same model, data and optimizer, in turns, in one run.

python benchmarks/peers.py [repetitions] [--chart FILE]

What is timed is an epoch in the middle of a run: a run of several epochs less a run of one. Each contender works as it
comes, and the engine with all that a run of ours has: progress, history, guard, best weights, checkpoints, record.
Peers are installed from ``peers.txt`` beside this file; one that is not there is named in the table.
"""

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ["KERAS_BACKEND"] = "torch"

import torch
from torch import nn

SEED, RATE = 0, 0.05


class TensorLoader:
    """Tensors gathered by index, in an order that is a function of the epoch."""

    def __init__(self, X, y, batch_size):
        self.X, self.y, self.batch_size = X, y, batch_size

    def __len__(self):
        return -(-len(self.X) // self.batch_size)

    def batches(self, epoch, start=0):
        order = torch.randperm(len(self.X), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(self.batch_size)[start:]:
            yield self.X.index_select(0, rows), self.y.index_select(0, rows)


@dataclass
class Task:
    """What all contenders do: a model, its criterion, and data (X, y) in batches."""

    title: str
    layers: Callable[[], nn.Module]
    criterion: Callable[[], nn.Module]
    X: torch.Tensor
    y: torch.Tensor
    batch_size: int
    more_epochs: int  # beyond the first

    @property
    def steps(self):
        return -(-len(self.X) // self.batch_size)

    def model(self):
        torch.manual_seed(SEED)
        return self.layers()

    def data_loader(self):
        from torch.utils.data import DataLoader, TensorDataset

        return DataLoader(TensorDataset(self.X, self.y), self.batch_size, shuffle=True)


def mlp(n_inputs, n_hidden, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def tasks():
    generator = torch.Generator().manual_seed(SEED)
    cloud = torch.randn(3200, 2, generator=generator)
    xor = ((cloud[:, 0] > 0) != (cloud[:, 1] > 0)).float()[:, None]
    vectors, images = (
        torch.randn(n, *shape, generator=generator) for n, shape in ((6400, (784,)), (1280, (1, 32, 32)))
    )
    labels = torch.randint(10, (6400,), generator=generator)
    return [
        Task("MLP 2-16-1, batches of 32", lambda: mlp(2, 16, 1), nn.BCEWithLogitsLoss, cloud, xor, 32, 4),
        Task("MLP 784-128-10, batches of 64", lambda: mlp(784, 128, 10), nn.CrossEntropyLoss, vectors, labels, 64, 3),
        Task("LeNet-5, batches of 64", lenet, nn.CrossEntropyLoss, images, labels[:1280], 64, 1),
    ]


def by_hand(task, epochs, optimizer=None, loader=None):
    """The best loop that a person would write, with the mean loss of each epoch."""
    model, criterion, history = task.model(), task.criterion(), []
    optimizer = (optimizer or torch.optim.SGD)(model.parameters(), lr=RATE)
    loader = loader or TensorLoader(task.X, task.y, task.batch_size)
    for epoch in range(epochs):
        total = 0.0
        for X, y in loader.batches(epoch) if hasattr(loader, "batches") else loader:
            optimizer.zero_grad()
            loss = criterion(model(X), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(X)
        history.append(total / len(task.X))
    return history[-1], model


def by_hand_with_data_loader(task, epochs):
    return by_hand(task, epochs, loader=task.data_loader())


def by_hand_with_our_optimizer(task, epochs):
    from aifs_engine.torch_optimizers import SGD

    return by_hand(task, epochs, optimizer=SGD)


def ours(task, epochs):
    from aifs_engine import BestSoFar, Checkpointing, LocalTracker, ProgressBar, Tracking, Trainer
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD

    model, folder = task.model(), Path.cwd()
    learner = TorchLearner(model, SGD(model.parameters(), lr=RATE), task.criterion())
    record = Tracking([LocalTracker(folder / "metrics.jsonl")])
    callbacks = [BestSoFar("train_loss"), record, ProgressBar(), Checkpointing(folder)]
    history = Trainer(learner, epochs=epochs, callbacks=callbacks).train(TensorLoader(task.X, task.y, task.batch_size))
    record.trackers[0].finish({}, checkpoint=None, figures=())
    return history["train_loss"][-1], model


def skorch(task, epochs):
    from skorch import NeuralNet

    net = NeuralNet(
        task.model(), task.criterion, optimizer=torch.optim.SGD, lr=RATE, max_epochs=epochs, train_split=None,
        batch_size=task.batch_size, iterator_train__shuffle=True,
    )  # fmt: skip
    net.fit(task.X, task.y)
    return net.history[-1, "train_loss"], net.module_


def ignite(task, epochs):
    from ignite.engine import create_supervised_trainer

    model = task.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    trainer = create_supervised_trainer(model, optimizer, task.criterion())
    trainer.run(task.data_loader(), max_epochs=epochs)
    return trainer.state.output, model


def accelerate(task, epochs):
    from accelerate import Accelerator

    accelerator, model = Accelerator(cpu=True), task.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    model, optimizer, loader = accelerator.prepare(model, optimizer, task.data_loader())
    return _with_backward(task, epochs, model, optimizer, loader, accelerator.backward)


def fabric(task, epochs):
    from lightning.fabric import Fabric

    launched, model = Fabric(accelerator="cpu", devices=1), task.model()
    model, optimizer = launched.setup(model, torch.optim.SGD(model.parameters(), lr=RATE))
    return _with_backward(
        task, epochs, model, optimizer, launched.setup_dataloaders(task.data_loader()), launched.backward
    )


def _with_backward(task, epochs, model, optimizer, loader, backward):
    criterion = task.criterion()
    for _ in range(epochs):
        total = 0.0
        for X, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(X), y)
            backward(loss)
            optimizer.step()
            total += loss.item() * len(X)
    return total / len(task.X), model


def lightning(task, epochs, **options):
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.criterion = task.model(), task.criterion()

        def training_step(self, batch, _):
            X, y = batch
            loss = self.criterion(self.model(X), y)
            self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=RATE)

    module = Module()
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=Path.cwd(), **options)
    trainer.fit(module, task.data_loader())
    return float(trainer.callback_metrics["loss"]), module.model


def lightning_bare(task, epochs):
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return lightning(task, epochs, **off)


def keras(task, epochs):
    import keras as k

    k.utils.set_random_seed(SEED)
    if task.X.ndim == 2:
        widths = [task.layers()[0].out_features, task.layers()[2].out_features]
        layers = [k.layers.Dense(widths[0], "relu"), k.layers.Dense(widths[1])]
    else:
        k.config.set_image_data_format("channels_first")
        blocks = [[k.layers.Conv2D(n, 5, activation="tanh"), k.layers.AveragePooling2D(2)] for n in (6, 16)]
        layers = [*blocks[0], *blocks[1], k.layers.Conv2D(120, 5, activation="tanh"), k.layers.Flatten()]
        layers += [k.layers.Dense(84, "tanh"), k.layers.Dense(10)]
    model = k.Sequential([k.layers.Input(task.X.shape[1:]), *layers])
    binary = task.criterion is nn.BCEWithLogitsLoss
    losses = k.losses.BinaryCrossentropy if binary else k.losses.SparseCategoricalCrossentropy
    model.compile(k.optimizers.SGD(RATE), losses(from_logits=True))
    history = model.fit(task.X.numpy(), task.y.numpy(), task.batch_size, epochs=epochs)
    return history.history["loss"][-1], model


CONTENDERS = {  # title: (function, what it needs)
    "hand-written loop": (by_hand, "torch"),
    "the same with our optimizer": (by_hand_with_our_optimizer, "aifs_engine"),
    "the same with DataLoader": (by_hand_with_data_loader, "torch"),
    "aifs-engine": (ours, "aifs_engine"),
    "skorch": (skorch, "skorch"),
    "Ignite": (ignite, "ignite"),
    "Accelerate": (accelerate, "accelerate"),
    "Fabric": (fabric, "lightning"),
    "Lightning, all off": (lightning_bare, "lightning"),
    "Lightning": (lightning, "lightning"),
    "Keras 3": (keras, "keras"),
}
FIRST = "hand-written loop"


def run(contender, task, epochs):
    """Train once, in an empty folder and without a word; the loss at the end and the seconds it took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        loss, model = contender(task, epochs)
        return float(loss), model, time.perf_counter() - started


def calls_per_step(contender, task):
    """Calls of Python and C functions that one step of a later epoch makes."""
    counts = []
    for epochs in (1, 2):
        count = 0

        def count_calls(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(count_calls)
        run(contender, task, epochs)
        sys.setprofile(None)
        counts.append(count)
    return (counts[1] - counts[0]) / task.steps


def epoch_times(task, there, repetitions):
    """Seconds of one later epoch of each contender, in turns."""
    times = {title: [] for title in there}
    for _ in range(repetitions):
        for title in there:
            one, more = (run(CONTENDERS[title][0], task, epochs)[2] for epochs in (1, 1 + task.more_epochs))
            times[title].append((more - one) / task.more_epochs)
    return {title: statistics.median(values) for title, values in times.items()}


def same_work(task, there):
    """Check that each contender learns as the loop by hand does, and ours, which has its order, to the same weights."""
    ends = {title: run(CONTENDERS[title][0], task, 3) for title in there}
    loss, model, _ = ends[FIRST]
    for title in ("aifs-engine", "the same with our optimizer"):
        pairs = zip(model.parameters(), ends[title][1].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), f"{title} ends elsewhere"
    losses = {title: end[0] for title, end in ends.items()}
    # Another order and other first weights: near, not equal. Ignite's is the loss of the last batch alone.
    far = [title for title, other in losses.items() if title != "Ignite" and abs(other - loss) > 0.25 * abs(loss)]
    assert not far, f"{far} do other work: {losses}"


def evaluation(task, repetitions):
    """Evaluation by the engine as a part of that by the usual loop."""
    from torch.utils.data import DataLoader, TensorDataset

    from aifs_engine import Evaluator
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD

    model, criterion = task.model(), task.criterion()
    learner = TorchLearner(model, SGD(model.parameters(), lr=RATE), criterion)
    batches = list(zip(task.X.split(512), task.y.split(512), strict=True))

    def usual():
        model.eval()
        total = 0.0
        with torch.no_grad():
            for X, y in DataLoader(TensorDataset(task.X, task.y), task.batch_size):
                total += criterion(model(X), y).item() * len(X)
        model.train()
        return total / len(task.X)

    times = {usual: [], Evaluator(learner).evaluate: []}
    for _ in range(repetitions):
        for measure, values in times.items():
            started = time.perf_counter()
            measure(*([] if measure is usual else [batches]))
            values.append(time.perf_counter() - started)
    first, second = map(statistics.median, times.values())
    return second / first


def process_times(there, repetitions):
    """Seconds of a whole process, from its start to its exit: XOR in 21 epochs."""
    times = {title: [] for title in there}
    for _ in range(repetitions):
        for title in there:
            started = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--process", title], check=True, capture_output=True)
            times[title].append(time.perf_counter() - started)
    return {title: statistics.median(values) for title, values in times.items()}


def import_times(repetitions):
    """Seconds of processes that import one module."""
    times = {name: [] for name in ("torch", "aifs_engine", "aifs_engine.torch_learner")}
    for _ in range(repetitions):
        for name, values in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
            values.append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def show(title, columns, rows):
    """Print a table."""
    width = max(map(len, rows))
    print(f"\n{title}\n{'':<{width}}  " + "  ".join(f"{column:>14}" for column in columns))
    for name, cells in rows.items():
        print(f"{name:<{width}}  " + "  ".join(f"{cell:>14}" for cell in cells))


def draw(ratios, file):
    """A chart of the epochs' times as multiples of the hand-written loop's, one panel per task."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(ratios), sharey=True), ratios.items(), strict=True):
        names = list(values)[::-1]
        colors = ["#0072B2" if name == "aifs-engine" else "#BBBBBB" for name in names]
        bars = axes.barh(names, [values[name] for name in names], color=colors)
        axes.axvline(1, color="black", linewidth=0.8, zorder=0)
        labels = axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        for label in labels:
            label.set_bbox({"color": "white", "pad": 0.5})
        axes.set(title=title, xlabel="time of an epoch, hand-written loop = 1")
        axes.title.set_fontsize(9)
        axes.xaxis.label.set_fontsize(8)
        axes.margins(x=0.18)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repetitions", type=int, nargs="?", default=7)
    parser.add_argument("--chart", type=Path, metavar="FILE", help="also draw the epochs' times")
    parser.add_argument("--process", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if arguments.process:
        run(CONTENDERS[arguments.process][0], tasks()[0], 21)
        return
    there = [title for title, (_, needs) in CONTENDERS.items() if importlib.util.find_spec(needs)]
    missing = [title for title in CONTENDERS if title not in there]
    print(f"Python {sys.version.split()[0]}, PyTorch {torch.__version__}, one thread")
    print(f"not installed, so not measured: {', '.join(missing) or 'none'}")
    ratios = {}
    for task in tasks():
        same_work(task, there)
        times = epoch_times(task, there, arguments.repetitions)
        ratios[task.title] = {title: seconds / times[FIRST] for title, seconds in times.items()}
        rows = {
            title: (
                f"{times[title] / task.steps * 1e6:.0f}",
                f"{ratio:.2f}",
                f"{calls_per_step(CONTENDERS[title][0], task):.0f}",
            )
            for title, ratio in ratios[task.title].items()
        }
        show(task.title, ("µs a step", "ratio", "calls a step"), rows)
        print(f"evaluation by the engine: {evaluation(task, 3 * arguments.repetitions):.2f} × the usual loop")
    processes = process_times(there, arguments.repetitions)
    rows = {title: (f"{seconds:.2f}", f"{seconds / processes[FIRST]:.2f}") for title, seconds in processes.items()}
    show("a whole process: XOR, 21 epochs", ("seconds", "ratio"), rows)
    imports = import_times(arguments.repetitions)
    rows = {name: (f"{seconds:.2f}", f"{seconds / imports['torch']:.2f}") for name, seconds in imports.items()}
    show("imports, the start of Python included", ("seconds", "ratio"), rows)
    if arguments.chart:
        draw(ratios, arguments.chart)


if __name__ == "__main__":
    main()
