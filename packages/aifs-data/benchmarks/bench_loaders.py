"""Time an epoch of 60,000 × 784 float32 in batches of 64, beside the ways it could be done.

python packages/aifs-data/benchmarks/bench_loaders.py
"""

import time

import numpy as np

from aifs_data import ArrayLoader

N_SAMPLES, N_FEATURES, BATCH_SIZE, ROUNDS = 60_000, 784, 64, 15

X = np.random.default_rng(0).random((N_SAMPLES, N_FEATURES), dtype=np.float32)
y = np.arange(N_SAMPLES) % 10
loader = ArrayLoader(X, y, BATCH_SIZE, shuffle=True)
order = loader.order(0)
chosen = [order[i : i + BATCH_SIZE] for i in range(0, N_SAMPLES, BATCH_SIZE)]


def bare_take():
    for rows in chosen:
        np.take(X, rows, axis=0)


def array_loader():
    for _ in loader.batches(1):
        pass


def fancy_indexing():
    for rows in chosen:
        X[rows], y[rows]


def permute_then_slice():
    shuffled_X, shuffled_y = X[order], y[order]
    for i in range(0, N_SAMPLES, BATCH_SIZE):
        shuffled_X[i : i + BATCH_SIZE], shuffled_y[i : i + BATCH_SIZE]


def main():
    """Interleave the ways, so that a busy machine slows them alike, and print the best time of each."""
    ways = (bare_take, array_loader, fancy_indexing, permute_then_slice)
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            start = time.perf_counter()
            way()
            times[way].append(time.perf_counter() - start)
    for way in ways:
        best, base = min(times[way]), min(times[bare_take])
        print(f"{way.__name__:<20}{best * 1e3:8.1f} ms{best / base:8.2f} x bare take")


if __name__ == "__main__":
    main()
