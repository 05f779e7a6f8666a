"""What every contender does: the same model from the same weights, the same batches in the same order."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

SEED, RATE = 0, 0.05


class Order(Sampler):
    """The order of each epoch's samples, and a note of when it was asked for: that is when the epoch begins.

    Parameters
    ----------
    n_samples : int
        How many there are.
    """

    def __init__(self, n_samples):
        self.n_samples = n_samples
        self.mark = time.perf_counter
        self.restart()

    def restart(self):
        """Forget what has been asked for."""
        self.epoch = 0  # the next one, for those who iterate
        self.marks = []

    def of(self, epoch):
        """Return the samples of an epoch by number, a tensor (n_samples,)."""
        self.marks.append(self.mark())
        return torch.randperm(self.n_samples, generator=torch.Generator().manual_seed(epoch))

    def __len__(self):
        return self.n_samples

    def __iter__(self):
        self.epoch += 1
        return iter(self.of(self.epoch - 1).tolist())


class TensorLoader:
    """Tensors gathered by index, which is what the best loop by hand does; a loader of the engine, too."""

    def __init__(self, X, y, batch_size, order):
        self.X, self.y, self.batch_size, self.order = X, y, batch_size, order

    def __len__(self):
        return -(-len(self.X) // self.batch_size)

    def batches(self, epoch, start=0):
        """Return the batches of an epoch, from number `start` on."""
        for rows in self.order.of(epoch).split(self.batch_size)[start:]:
            yield self.X.index_select(0, rows), self.y.index_select(0, rows)


@dataclass(frozen=True)
class Kind:
    """What a `Task` is made of, with the epochs that are timed."""

    title: str
    make_model: Callable
    criterion: Callable
    make_data: Callable
    batch_size: int
    n_epochs: int


class Task:
    """A model, its criterion, and data in batches, for one run of one contender.

    Attributes
    ----------
    model : torch.nn.Module
        Its weights are the same each time.
    X, y : Tensor, shape (n_samples, …)
        The data.
    order : Order
        That of each epoch.
    """

    def __init__(self, kind):
        torch.manual_seed(SEED)
        self.model, self.criterion = kind.make_model(), kind.criterion()
        self.X, self.y = kind.make_data(torch.Generator().manual_seed(SEED))
        self.batch_size = kind.batch_size
        self.order = Order(len(self.X))

    def optimizer(self, make=torch.optim.SGD):
        """Return stochastic gradient descent; PyTorch's as it comes, since foreach and fused are no faster here."""
        return make(self.model.parameters(), lr=RATE)

    def loader(self):
        """Return the fast way to the batches."""
        return TensorLoader(self.X, self.y, self.batch_size, self.order)

    def data_loader(self):
        """Return the usual way to the batches."""
        return DataLoader(TensorDataset(self.X, self.y), self.batch_size, sampler=self.order)


def mlp(n_inputs, n_hidden, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def xor_cloud(generator):
    X = torch.randn(3200, 2, generator=generator)
    return X, ((X[:, 0] > 0) != (X[:, 1] > 0)).float()[:, None]


def noise(*shape):
    """Return a function that makes inputs of this shape, and a class for each."""
    return lambda generator: (
        torch.randn(*shape, generator=generator),
        torch.randint(10, shape[:1], generator=generator),
    )


KINDS = [
    Kind("MLP 2-16-1, batches of 32", lambda: mlp(2, 16, 1), nn.BCEWithLogitsLoss, xor_cloud, 32, 8),
    Kind("MLP 784-128-10, batches of 64", lambda: mlp(784, 128, 10), nn.CrossEntropyLoss, noise(6400, 784), 64, 5),
    Kind("LeNet-5, batches of 64", lenet, nn.CrossEntropyLoss, noise(2560, 1, 32, 32), 64, 2),
]
