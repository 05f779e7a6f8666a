"""What the engine adds to a hand-written loop in NumPy, and what a checkpoint costs beside a plain file.

python benchmarks/overhead.py [repetitions]
"""

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before NumPy

import sys
import tempfile
from pathlib import Path

import numpy as np
from _timing import calls, interleaved

from aifs_engine import BestSoFar, Checkpointing, Trainer, load_checkpoint, save_checkpoint

EPOCHS, BATCHES = 20, 500


class LinearRegression:
    """About the smallest learner there is: its step is a few microseconds of NumPy."""

    def __init__(self):
        self.w = np.zeros(16)

    def train_step(self, batch):
        X, y = batch
        error = y - X @ self.w
        self.w = self.w + 0.01 * X.T @ error / len(y)
        return {"loss": float(error @ error) / len(y)}

    eval_step = train_step

    def state_dict(self):
        return {"w": self.w.copy()}

    def load_state_dict(self, state):
        self.w = state["w"]


def bare_loop(batches):
    """The loop that a person would write by hand, with the mean loss of each epoch."""
    learner, history = LinearRegression(), []
    for _ in range(EPOCHS):
        total = n = 0
        for batch in batches:
            total += learner.train_step(batch)["loss"] * len(batch[1])
            n += len(batch[1])
        history.append(total / n)
    return history


def engine_loop(batches, folder):
    """The same with the best weights kept and checkpoints written."""
    callbacks = [BestSoFar("train_loss"), Checkpointing(folder)]
    return Trainer(LinearRegression(), epochs=EPOCHS, callbacks=callbacks).train(batches)["train_loss"]


def plain_write(path, array):
    """A file of an array, on the disk when this returns."""
    with path.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def main():
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    generator = np.random.default_rng(0)
    batches = [(generator.standard_normal((32, 16)), generator.standard_normal(32)) for _ in range(BATCHES)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        assert bare_loop(batches) == engine_loop(batches, folder)
        loops = {"hand-written loop": lambda: bare_loop(batches), "engine": lambda: engine_loop(batches, folder)}
        medians = interleaved(loops, repetitions)
        print(f"{EPOCHS * BATCHES:,} steps of a linear regression in 16 weights, batches of 32")
        for name, run in loops.items():
            per_step = medians[name] / (EPOCHS * BATCHES) * 1e6
            ratio = medians[name] / medians["hand-written loop"]
            n_calls = calls(run) / (EPOCHS * BATCHES)
            print(f"  {name:<18} {per_step:6.1f} µs a step   {ratio:4.2f} ×   {n_calls:5.1f} calls a step")
        print("a checkpoint (written, flushed, read back, renamed) beside numpy.save with a flush")
        for megabytes in (0.1, 10, 100):
            array = generator.random(int(megabytes * 1e6 / 8))
            path = folder / "checkpoint.safetensors"
            runs = {
                "numpy.save": lambda array=array: plain_write(folder / "plain.npy", array),
                "save_checkpoint": lambda array=array, path=path: save_checkpoint(path, {"w": array}, {}),
                "numpy.load": lambda: np.load(folder / "plain.npy"),
                "load_checkpoint": lambda path=path: load_checkpoint(path),
            }
            medians = interleaved(runs, repetitions)
            text = ", ".join(f"{name} {median * 1e3:.1f} ms" for name, median in medians.items())
            print(f"  {megabytes:>5} MB: {text}")


if __name__ == "__main__":
    main()
