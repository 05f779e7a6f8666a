"""Time an epoch of 60,000 × 784 in shuffled batches of 64, float32 and uint8, beside the ways it could be done.

python packages/aifs-data/benchmarks/bench_loaders.py

With torch installed its ways are timed too, on one thread.
"""

import statistics
import time

import numpy as np

from aifs_data.loaders import ArrayLoader
from aifs_data.transforms import Normalize

N_SAMPLES, N_FEATURES, BATCH_SIZE, ROUNDS = 60_000, 784, 64, 15

pixels = np.random.default_rng(0).integers(0, 256, (N_SAMPLES, N_FEATURES)).astype(np.uint8)
X = pixels.astype(np.float32)
y = np.arange(N_SAMPLES) % 10
order = ArrayLoader(X, y, BATCH_SIZE, shuffle=True).order(1)
chosen = [order[i : i + BATCH_SIZE] for i in range(0, N_SAMPLES, BATCH_SIZE)]


def bare_take():
    for rows in chosen:
        batch = np.take(X, rows, axis=0)  # noqa: F841 - a loop over a loader keeps a batch until it has the next, too


def fancy_indexing():
    for rows in chosen:
        X[rows], y[rows]


def permute_then_slice():
    shuffled_X, shuffled_y = X[order], y[order]
    for i in range(0, N_SAMPLES, BATCH_SIZE):
        shuffled_X[i : i + BATCH_SIZE], shuffled_y[i : i + BATCH_SIZE]


def take_convert_multiply_add():
    scale, shift = np.float32(1 / 74), np.float32(-127 / 74)
    for rows in chosen:
        batch = pixels.take(rows, axis=0).astype(np.float32)
        batch *= scale
        batch += shift


def take_multiply_add():
    scale, shift = np.float32(1 / 74), np.float32(-127 / 74)
    for rows in chosen:
        batch = np.multiply(pixels.take(rows, axis=0), scale, dtype=np.float32)
        batch += shift


def an_epoch_of(loader):
    """Return a function that goes through an epoch."""

    def epoch():
        for _ in loader.batches(1):
            pass

    return epoch


def torch_ways(torch):
    """Return the ways of torch, the bare one first."""
    torch.set_num_threads(1)
    tensor = torch.from_numpy(X)
    rows_of_batches = [torch.from_numpy(rows) for rows in chosen]

    def index_select():
        for rows in rows_of_batches:
            batch = tensor.index_select(0, rows)  # noqa: F841

    return {
        "torch.index_select": index_select,
        "ArrayLoader, torch": an_epoch_of(ArrayLoader(X, y, BATCH_SIZE, shuffle=True, framework="torch")),
    }


def compare(ways):
    """Interleave the ways, so that a busy machine slows them alike, and print the median time of each."""
    times = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians))
    for name, median in medians.items():
        print(f"{name:<28}{median * 1e3:8.1f} ms{median / medians[first]:8.2f} x {first}")
    print()


def main():
    """Print three tables: float32, uint8 that is normalized, torch."""
    compare(
        {
            "numpy.take": bare_take,
            "ArrayLoader": an_epoch_of(ArrayLoader(X, y, BATCH_SIZE, shuffle=True)),
            "fancy indexing": fancy_indexing,
            "permute, then slice": permute_then_slice,
        }
    )
    normalized = ArrayLoader(pixels, y, BATCH_SIZE, shuffle=True, normalize=Normalize(127.0, 74.0))
    compare(
        {
            "take, convert, multiply, add": take_convert_multiply_add,
            "take, multiply, add": take_multiply_add,
            "ArrayLoader, normalize": an_epoch_of(normalized),
        }
    )
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed")
    else:
        compare(torch_ways(torch))


if __name__ == "__main__":
    main()
