"""What the tests of whole runs share."""

from dataclasses import replace

import pytest


@pytest.fixture
def trained():
    """A function that trains an experiment and returns it with its trainer and its test metrics."""
    from aifs_engine.run import make_trainer, measure, prepare
    from mlp.config import get_config
    from mlp.train import build

    def train(name, seed=0, *, measured=True, **changes):
        config = replace(get_config(name), seed=seed, **changes)
        experiment = prepare(config, build)
        trainer, best = make_trainer(experiment, config.epochs)
        trainer.train(experiment.train_loader, experiment.val_loader)
        return experiment, trainer, measure(experiment, best) if measured else {}

    return train
