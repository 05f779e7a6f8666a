"""A logistic regression on noisy data, with a learner that draws random numbers and can fail on request."""

import os
import sys

from aifs_engine.cli import evaluate_command, train_command
from aifs_engine.experiment import Experiment
from toy.config import EXPERIMENTS


def build(config):
    import time

    import numpy as np

    from aifs_engine.callbacks import Snapshots
    from aifs_engine.learner import require_finite
    from aifs_utils.exceptions import DataError

    if config.fails_in == "data":
        raise DataError("the file is not there: fetch it first")

    class Learner:
        def __init__(self):
            self.learning_rate = config.learning_rate
            self.w = np.zeros(config.n_features)
            self.velocity = np.zeros(config.n_features)
            self.generator = np.random.default_rng(config.seed)

        def decision_function(self, X):
            return X @ self.w

        def predict(self, X):
            return (self.decision_function(X) > 0).astype(np.int64)

        def train_step(self, batch):
            X, y = batch
            time.sleep(config.step_seconds)
            if config.fails_in == "step":
                raise ZeroDivisionError("a bug")
            X = X * (self.generator.random(X.shape) > 0.2)  # dropout: the learner's own generator
            X = X + 1e-3 * np.random.standard_normal(X.shape)  # noqa: NPY002  # and the global one
            p = 1 / (1 + np.exp(-self.decision_function(X)))
            loss = float(np.mean(np.square(p - y)))
            require_finite(np.inf if config.fails_in == "nan" and self.w.any() else loss)
            self.velocity = 0.9 * self.velocity + X.T @ (y - p) / len(y)
            self.w = self.w + self.learning_rate * self.velocity
            return {"loss": loss, "accuracy": float(np.mean((p > 0.5) == y))}

        def eval_step(self, batch):
            X, y = batch
            p = 1 / (1 + np.exp(-self.decision_function(X)))
            return {"loss": float(np.mean(np.square(p - y))), "accuracy": float(np.mean((p > 0.5) == y))}

        def state_dict(self):
            bits = self.generator.bit_generator.state["state"]
            generator = {name: str(number) for name, number in bits.items()}  # 128-bit integers
            return {"w": self.w.copy(), "velocity": self.velocity.copy(), "generator": generator}

        def load_state_dict(self, state):
            self.w, self.velocity = state["w"].copy(), state["velocity"].copy()
            full = self.generator.bit_generator.state
            full["state"] = {name: int(number) for name, number in state["generator"].items()}
            self.generator.bit_generator.state = full

    class Loader:  # an order that depends on the epoch, and a position within it
        def __init__(self, X, y):
            self.X, self.y = X, y

        def __len__(self):
            return -(-len(self.y) // config.batch_size)

        def batches(self, epoch, start=0):
            order = np.random.default_rng([config.seed, epoch]).permutation(len(self.y))
            for i in range(start, len(self)):
                chosen = order[i * config.batch_size : (i + 1) * config.batch_size]
                yield self.X[chosen], self.y[chosen]

    data_seed = config.seed if config.data_from_seed else 3
    generator = np.random.default_rng(data_seed)
    X = generator.standard_normal((60, config.n_features))
    y = (X.sum(axis=1) > 0).astype(np.int64)

    def draw(result):
        result.figures_dir.mkdir(parents=True)
        file = result.figures_dir / "history.txt"
        file.write_text(f"{result.history}, {len(result.snapshots)} snapshots")
        return [file]

    return Experiment(
        learner=Learner(),
        train_loader=Loader(X[:40], y[:40]),
        val_loader=[(X[40:50], y[40:50])],
        test_loader=[(X[50:], y[50:])],
        data={"name": "noise", "source": "generated", "digest": os.environ.get("TOY_DIGEST", str(data_seed))},
        class_names=("below", "above"),
        callbacks=[Snapshots((0, 1, 2))],
        draw=draw,
    )


def train(argv=None):
    return train_command("toy", EXPERIMENTS, build, argv)


def evaluate(argv=None):
    return evaluate_command("toy", EXPERIMENTS, build, argv)


if __name__ == "__main__":
    command = {"train": train, "evaluate": evaluate}[sys.argv.pop(1)]
    sys.exit(command())
