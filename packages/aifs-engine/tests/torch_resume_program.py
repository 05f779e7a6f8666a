"""A training with everything that has a state, which can be killed and started again; see test_torch_resume.py.

python torch_resume_program.py FOLDER MODEL PRECISION THREADS
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from aifs_engine import BestSoFar, Checkpointing, EarlyStopping, Trainer
from aifs_engine.torch_learner import TorchLearner, accuracy
from aifs_engine.torch_optimizers import SGD, AdamW, parameter_groups
from aifs_engine.torch_schedules import one_cycle, warmup_cosine
from aifs_utils.seeds import set_random_seed

N_BATCHES = 8


class Pictures:
    """Random pictures of ten classes, with noise that is drawn anew in each epoch: a pure function of the position."""

    def __init__(self, batch_size=16):
        generator = np.random.default_rng(0)
        self.y = generator.integers(0, 10, (N_BATCHES, batch_size))
        means = generator.standard_normal((10, 1, 28, 28), dtype=np.float32)
        self.X = means[self.y]

    def __len__(self):
        return N_BATCHES

    def batches(self, epoch, start=0):
        for batch in range(start, N_BATCHES):
            noise = np.random.default_rng([epoch, batch]).standard_normal(self.X[batch].shape, dtype=np.float32)
            size = len(noise) - 5 * (batch == N_BATCHES - 1)  # the last batch is smaller
            yield torch.from_numpy(self.X[batch] + noise)[:size], torch.from_numpy(self.y[batch])[:size]


class Noisy(TorchLearner):
    """Draws from torch's and NumPy's global random states in each step, beside the dropout."""

    def train_step(self, batch):
        X, y = batch
        shift = float(np.random.standard_normal())  # noqa: NPY002  # other people's code does it
        return super().train_step((X + 0.1 * torch.randn_like(X) + shift, y))


def mlp():
    """Fully connected, with dropout and running statistics."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)
    )


def convolutional():
    """Two convolutions, with dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(400, 10),
    )  # fmt: skip


def new_trainer(folder, model="mlp", precision="fp32", *callbacks, epochs=3):
    """A fresh trainer with momentum or Adam, a schedule, accumulation, clipping and averaged weights."""
    set_random_seed(3)
    n_updates = epochs * N_BATCHES
    if model == "mlp":
        network = mlp()
        optimizer = AdamW(parameter_groups(network, 0.1), lr=0.01)
        scheduler = warmup_cosine(optimizer, warmup_steps=3, total_steps=n_updates)
    else:
        network = convolutional()
        optimizer = SGD(network.parameters(), lr=0.01, momentum=0.9)
        scheduler = one_cycle(optimizer, peak=0.02, total_steps=n_updates)
    learner = Noisy(
        network, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, metrics={"accuracy": accuracy},
        precision=precision, accumulate=3, max_grad_norm=1.0, ema_decay=0.9,
    )  # fmt: skip
    # The epoch kept is the one with the largest loss, an early one, so that it has to come through every stop.
    always = [
        BestSoFar("val_loss", mode="max"),
        EarlyStopping("val_loss", patience=50),
        Checkpointing(folder, overhead=1.0),
    ]
    return Trainer(learner, epochs=epochs, callbacks=[*always, *callbacks])


def main(folder, model, precision, threads):
    """Train, from the newest checkpoint if there is one."""
    torch.set_num_threads(int(threads))
    trainer = new_trainer(folder, model, precision, epochs=12)
    newest = trainer.callbacks[-1].files.newest()
    if newest is not None:
        trainer.load_state_dict(newest.state)
    sys.stdout.write(f"{trainer.step}\n")
    sys.stdout.flush()
    trainer.train(Pictures(), list(Pictures().batches(0)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
