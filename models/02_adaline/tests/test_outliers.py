"""Training samples that are right, and too far right for least squares."""

import dataclasses

import numpy as np

from adaline.config import EXPERIMENTS
from adaline.train import build


def test_outliers_are_in_the_training_data_alone_and_on_their_own_side():
    with_them = build(EXPERIMENTS["outliers"])
    without = build(dataclasses.replace(EXPERIMENTS["outliers"], outliers=0.0))
    assert np.array_equal(with_them.test_loader.X, without.test_loader.X)
    moved = (with_them.train_loader.X != without.train_loader.X).any(axis=1)
    assert 0 < moved.sum() < 0.2 * len(moved)
    assert set(with_them.train_loader.y[moved]) == {1}
    # The perceptron still separates all of it: the outliers are no noise.
    learner = with_them.learner
    for epoch in range(60):
        for batch in with_them.train_loader.batches(epoch):
            learner.train_step(batch)
    assert np.mean(learner.perceptron_predict(with_them.train_loader.X) == with_them.train_loader.y) > 0.99
