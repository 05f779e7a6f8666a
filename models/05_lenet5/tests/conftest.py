"""What the tests of whole runs share."""

from dataclasses import replace

import pytest
import torch


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """One thread, and no network: what would be downloaded is replaced by its stand-in."""
    monkeypatch.setenv("AIFS_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trained():
    """A function that trains an experiment and returns it with its trainer and its test metrics."""
    from aifs_engine.run import make_trainer, measure, prepare
    from lenet5.config import get_config
    from lenet5.train import build

    def train(name, seed=0, **changes):
        config = replace(get_config(name), seed=seed, **changes)
        experiment = prepare(config, build)
        trainer, best = make_trainer(experiment, config.epochs)
        trainer.train(experiment.train_loader, experiment.val_loader)
        return experiment, trainer, measure(experiment, best)

    return train
