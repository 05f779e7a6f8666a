"""LeNet-5 on MNIST in the engine, beside a loop written by hand around the same network, on one thread.

python models/05_lenet5/benchmarks/fit.py [epochs] [repetitions]

Both see the same pictures in batches of 64 and end with the same accuracy but for chance; 12 epochs and 1 repetition
are a whole training. A neighbour on the machine stretches the seconds on the clock, hardly those of the processor.
"""

import statistics
import sys
import time
from dataclasses import replace

import torch
from torch.nn import functional as F

from aifs_data import RandomShift, create_data_loaders, load_dataset
from aifs_engine import Trainer
from lenet5.config import get_config
from lenet5.images import NORMALIZE, prepare
from lenet5.learner import create_learner
from lenet5.model import LeNet5

CONFIG = get_config("mnist")


def by_hand(dataset, epochs):
    """The fastest loop that is still plain: gathers by index, fused Adam, no metrics but the loss, no checks."""
    torch.manual_seed(0)
    X, y = torch.from_numpy(dataset.train.X), torch.from_numpy(dataset.train.y)
    network = LeNet5()
    steps = epochs * -(-len(X) // CONFIG.batch_size)
    optimizer = torch.optim.Adam(network.parameters(), CONFIG.learning_rate, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        total = torch.zeros(())
        for rows in torch.randperm(len(X)).split(CONFIG.batch_size):
            pictures = X.index_select(0, rows).to(torch.float32).sub_(20).div_(200)
            loss = F.cross_entropy(network(pictures), y.index_select(0, rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach() * len(rows)
        total.item()
    return network


def in_the_engine(dataset, epochs, transform=None):
    """The same by the engine, with guard, metrics and history."""
    torch.manual_seed(0)
    loaders = create_data_loaders(
        dataset, CONFIG.batch_size, seed=0, normalize=NORMALIZE, transform=transform, framework="torch"
    )
    config = replace(CONFIG, epochs=epochs)
    learner = create_learner(config, n_classes=10, steps=epochs * len(loaders.train))
    Trainer(learner, epochs=epochs).train(loaders.train)
    return learner.model


def test_accuracy(network, dataset):
    """Share of the test pictures that are read rightly."""
    test = create_data_loaders(dataset, CONFIG.batch_size, normalize=NORMALIZE, framework="torch").test
    network.eval()
    with torch.inference_mode():
        return sum(int((network(X).argmax(1) == y).sum()) for X, y in test) / test.n_samples


def timed(run):
    """What `run` returns, and the seconds it took: on the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def main():
    epochs, repetitions = [*map(int, sys.argv[1:]), *(1, 3)[len(sys.argv) - 1 :]]
    torch.set_num_threads(1)
    dataset = prepare(load_dataset("mnist", seed=0))
    contenders = {
        "by hand": lambda: by_hand(dataset, epochs),
        "in the engine": lambda: in_the_engine(dataset, epochs),
        "in the engine, shifted": lambda: in_the_engine(dataset, epochs, RandomShift(CONFIG.shift)),
    }
    networks, seconds = {}, {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, run in contenders.items():
            networks[name], spent = timed(run)
            seconds[name].append(spent)
    medians = {name: [statistics.median(each) for each in zip(*rows, strict=True)] for name, rows in seconds.items()}
    what = f"a STAND-IN for MNIST ({dataset.standin})" if dataset.is_standin else "MNIST"
    print(f"{epochs} epoch(s), {len(dataset.train):,} pictures of {what}, one thread, torch {torch.__version__}")
    print(f"median of {repetitions}, interleaved; × by hand")
    for name, (wall, cpu) in medians.items():
        wall_ratio, cpu_ratio = (value / floor for value, floor in zip((wall, cpu), medians["by hand"], strict=True))
        times = f"{wall:6.1f} s ({wall_ratio:.2f} ×)   {cpu:6.1f} s of the processor ({cpu_ratio:.2f} ×)"
        print(f"  {name:<24}{times}   test accuracy {test_accuracy(networks[name], dataset):.4f}")


if __name__ == "__main__":
    main()
