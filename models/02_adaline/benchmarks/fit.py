"""One pass of the LMS rule over 60,000 × 784 float32, beside scikit-learn's SGDRegressor, on one thread.

python models/02_adaline/benchmarks/fit.py [repetitions]
"""

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before NumPy

import statistics
import sys
import time

import numpy as np
from sklearn.linear_model import SGDRegressor

from adaline.fast import learn_in_blocks
from adaline.model import learn_one_by_one

N_SAMPLES, N_FEATURES, RATE = 60_000, 784, 0.01


def problem(dtype=np.float32):
    """Pixels between 0 and 1, a fifth of them not 0, and labels that a hidden line gives."""
    generator = np.random.default_rng(0)
    X = generator.random((N_SAMPLES, N_FEATURES), np.float32)
    X = np.where(generator.random(X.shape, np.float32) < 0.2, X, 0).astype(dtype)
    scores = X @ generator.standard_normal(N_FEATURES).astype(dtype)
    return X, np.where(scores > np.median(scores), 1, -1).astype(dtype)


def ours(learn, X, targets):
    """Weights after one pass from zero."""
    w = np.zeros(N_FEATURES, X.dtype)
    learn(w, 0.0, X, targets, RATE)
    return w


def theirs(X, targets):
    """Weights of scikit-learn after the same pass."""
    peer = SGDRegressor(penalty=None, learning_rate="constant", eta0=RATE, max_iter=1, tol=None, shuffle=False)
    return peer.partial_fit(X, targets).coef_


def main():
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    X, targets = problem()
    contenders = {
        "scikit-learn SGDRegressor": lambda: theirs(X, targets),
        "ours, in blocks": lambda: ours(learn_in_blocks, X, targets),
        "ours, sample by sample": lambda: ours(learn_one_by_one, X, targets),
    }
    times = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    floor = medians["scikit-learn SGDRegressor"]
    print(f"one pass over {N_SAMPLES:,} × {N_FEATURES} float32, one thread, median of {repetitions}, interleaved")
    for name, median in medians.items():
        print(f"  {name:<28} {median * 1e3:7.0f} ms   {median / floor:5.2f} × scikit-learn")
    print("largest difference of a weight from ours, in blocks")
    for dtype in (np.float32, np.float64):
        X, targets = problem(dtype)
        weights = ours(learn_in_blocks, X, targets)
        plain, peer = ours(learn_one_by_one, X, targets), theirs(X, targets)
        print(
            f"  {dtype.__name__}: plain loop {gap(weights, plain):.1e}, scikit-learn {gap(weights, peer):.1e}", end="; "
        )
        print(f"largest weight {abs(weights).max():.2f}")


def gap(one, other):
    """Largest absolute difference."""
    return abs(one - other).max()


if __name__ == "__main__":
    main()
