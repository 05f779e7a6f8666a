"""What the engine's tests share: a small learner, and the commands of a toy model as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOY = Path(__file__).parent / "toy" / "src"


class LineLearner:
    """Least squares in one weight vector; everything a Learner needs and nothing else."""

    def __init__(self, n_features=2, learning_rate=0.1):
        self.learning_rate = learning_rate
        self.w = np.zeros(n_features)

    def train_step(self, batch):
        X, y = batch
        error = y - X @ self.w
        self.w = self.w + self.learning_rate * X.T @ error / len(y)
        return {"loss": float(np.mean(error**2))}

    def eval_step(self, batch):
        X, y = batch
        return {"loss": float(np.mean((y - X @ self.w) ** 2))}

    def state_dict(self):
        return {"w": self.w.copy()}

    def load_state_dict(self, state):
        self.w = state["w"].copy()


class NoisyLearner(LineLearner):
    """Draws from the global random state in each step, as dropout or augmentation would."""

    def train_step(self, batch):
        X, y = batch
        return super().train_step((X + 0.1 * np.random.standard_normal(X.shape), y))  # noqa: NPY002


@pytest.fixture
def learner():
    return LineLearner()


@pytest.fixture
def noisy_learner():
    """The class, for tests that need several."""
    return NoisyLearner


@pytest.fixture
def batches():
    """Five batches of (4, 2) inputs and targets on a line with noise."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((5, 4, 2))
    y = X @ np.array([1.0, -2.0]) + 0.1 * generator.standard_normal((5, 4))
    return list(zip(X, y, strict=True))


@pytest.fixture(scope="session")
def toy_environment():
    """The environment of a process that can import the toy model."""
    return {**os.environ, "PYTHONPATH": str(TOY), "PYTHONWARNINGS": "error"}


@pytest.fixture
def toy(tmp_path, toy_environment):
    """Run a command of the toy model in tmp_path and return the finished process."""

    def run(*arguments, check=None, **options):
        command = [sys.executable, "-m", "toy.train", *map(str, arguments)]
        environment = toy_environment | {name: value for name, value in os.environ.items() if name.startswith("TOY_")}
        finished = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, **options
        )
        if check is not None:
            assert finished.returncode == check, finished.stdout + finished.stderr
        return finished

    return run


@pytest.fixture
def train(toy):
    """Train the toy on an experiment, in tmp_path/outputs, without wandb."""

    def run(experiment, *arguments, check=0):
        options = ["--experiment", experiment, "--no-wandb", "--output-dir", "outputs"]
        return toy("train", *options, *arguments, check=check)

    return run


@pytest.fixture
def start(tmp_path, toy_environment):
    """Start training the toy in tmp_path, slowly, and return the process."""

    def run(output, *arguments, experiment="slow", **environment):
        options = ["--experiment", experiment, "--no-wandb", "--output-dir", output]
        command = [sys.executable, "-m", "toy.train", "train", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, *arguments], cwd=tmp_path, env={**toy_environment, **environment}, **pipes)

    return run


@pytest.fixture
def only_file(tmp_path):
    """The one file in tmp_path that a pattern matches."""

    def find(pattern):
        (path,) = tmp_path.glob(pattern)
        return path

    return find
