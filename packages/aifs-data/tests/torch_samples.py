"""Samples that draw, fail or look around; a module of its own, since spawned workers import it by its name."""

import os
import random
import signal
import sys

import numpy as np
import torch


class Samples:
    """Twenty samples, as `read` makes them."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return self.read(index), index

    def read(self, index):
        return float(index)


class Augmented(Samples):
    """Draws from each global generator, more often for some samples than for others."""

    def read(self, index):
        for _ in range(index % 3):
            random.random(), np.random.random(), torch.rand(2)  # noqa: NPY002
        noise = [random.random(), np.random.random(), torch.rand(()).item(), random.gauss(0, 1)]  # noqa: NPY002
        return torch.tensor([*noise, np.random.standard_normal()], dtype=torch.float64)  # noqa: NPY002


class Damaged(Samples):
    """Sample 13 cannot be read."""

    def read(self, index):
        if index == 13:
            raise OSError("image file is truncated")
        return float(index)


class Deadly(Samples):
    """Whoever reads ends, as when memory runs out."""

    def read(self, index):
        os._exit(1)


class Interrupted(Samples):
    """Ctrl-C arrives in the process that reads."""

    def read(self, index):
        os.kill(os.getpid(), signal.SIGINT)
        return float(index)


class Process(Samples):
    """Which process reads, and with how many threads."""

    def read(self, index):
        return torch.tensor([os.getpid(), torch.get_num_threads()])


if __name__ == "__main__":
    from aifs_data import DecodedLoader

    loader = DecodedLoader(globals()[sys.argv[1]](), 4, seed=0, workers=1)
    print(sum(len(y) for X, y in loader.batches(0)))  # noqa: T201
