"""The engine beside hand-written loops and other trainers: the same model, order and optimizer, in turns, in one run.

python benchmarks/peers.py [repetitions] [--chart FILE]

Each contender works as it comes, and the engine with all that a run of ours has: progress, history, guard, best
weights, checkpoints, record. What is timed is an epoch in the middle of a run. All begin at the same weights and go
through the same batches, so they have to end at the same weights: "off by" is the largest difference from the
hand-written loop's.

Peers are installed from ``peers.txt`` beside this file; one that is not there is named.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

# One thread: such models are slower on two. Before PyTorch is imported.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ["KERAS_BACKEND"] = "torch"

import torch
from contenders import chart, engine, measure
from contenders.measure import BY_HAND, COMMAND, CONTENDERS, OURS
from contenders.tasks import KINDS, Task

CHART = Path(__file__).parents[1] / "outputs" / "peers.svg"
PROCESS_EPOCHS = 21


def show(title, columns, rows):
    """Print a table."""
    width = max(map(len, rows))
    print(f"\n{title}\n{'':<{width}}" + "".join(f"{column:>14}" for column in columns))
    for name, cells in rows.items():
        print(f"{name:<{width}}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def show_ratios(title, seconds, first):
    """Print times beside one of them."""
    rows = {name: (f"{value * 1e3:.2f}", f"{value / seconds[first]:.2f}") for name, value in seconds.items()}
    show(title, ("ms", "ratio"), rows)


def compete(kind, titles, repetitions):
    """Print the table of a task; return each contender's time of an epoch, in those of the loop by hand."""
    off = measure.differences(kind, titles)
    seconds = measure.epoch_seconds(kind, titles, repetitions)
    n_steps = len(Task(kind).loader())
    ratios = {title: value / seconds[BY_HAND] for title, value in seconds.items()}
    rows = {
        title: (
            f"{seconds[title] / n_steps * 1e6:.0f}",
            f"{ratio:.2f}",
            f"{measure.calls_per_step(kind, title):.0f}",
            f"{off[title]:.0e}",
        )
        for title, ratio in ratios.items()
    }
    show(kind.title, ("µs a step", "ratio", "calls a step", "off by"), rows)
    return ratios


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repetitions", type=int, nargs="?", default=5)
    parser.add_argument("--chart", type=Path, metavar="FILE", default=CHART, help="where the epochs' times are drawn")
    parser.add_argument("--process", metavar="NAME", help=argparse.SUPPRESS)  # one contender, as a process of its own
    return parser.parse_args()


def main():
    given = arguments()
    torch.set_num_threads(1)
    if given.process:
        contender = engine.train_command if given.process == COMMAND else CONTENDERS[given.process][0]
        measure.run(contender, KINDS[0], PROCESS_EPOCHS)
        return
    logging.disable(logging.WARNING)
    titles = measure.present()
    missing = [title for title in CONTENDERS if title not in titles]
    print(f"Python {sys.version.split()[0]}, PyTorch {torch.__version__}, one thread, {given.repetitions} turns")
    print(f"not installed, so not measured: {', '.join(missing) or 'none'}")
    chart.draw({kind.title: compete(kind, titles, given.repetitions) for kind in KINDS}, OURS, given.chart)
    print(f"\ndrawn: {given.chart}")
    seconds = measure.process_seconds(__file__, [*titles, COMMAND], given.repetitions)
    show_ratios(f"a whole process: XOR with 2-16-1, {PROCESS_EPOCHS} epochs", seconds, BY_HAND)
    show_ratios("imports, the start of Python included", measure.import_seconds(given.repetitions), "torch")
    for kind in KINDS:
        seconds = measure.evaluation_seconds(kind, 3 * given.repetitions)
        show_ratios(f"evaluation, {kind.title}", seconds, next(iter(seconds)))
    seconds = measure.loader_seconds(KINDS[1], 3 * given.repetitions)
    show_ratios(f"an epoch of batches alone, {KINDS[1].title}", seconds, "DataLoader")


if __name__ == "__main__":
    main()
