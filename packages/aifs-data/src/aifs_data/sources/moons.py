"""Two interleaved half circles."""

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._generated import LICENCE, SCIKIT_LEARN_2011, balanced_labels, polar
from aifs_data.splits import split_dataset
from aifs_data.streams import random_stream

INFO = DatasetInfo(
    name="moons",
    title="Two interleaved half circles",
    n_features=2,
    class_names=("upper", "lower"),
    feature_names=("x1", "x2"),
    licence=LICENCE,
    citation=SCIKIT_LEARN_2011,
    homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_moons.html",
    description="Uniform on two half circles of radius 1 that reach into each other, with normal noise of standard "
    "deviation `noise`. A straight line is right for about seven samples in eight; a curve for nearly all.",
)


def load(seed: int, *, n_samples: int = 500, noise: float = 0.15) -> Dataset:
    """Generate the set."""
    n_samples, noise = require_count("n_samples", n_samples), require_number("noise", noise, at_least=0)
    rng = random_stream(seed, "moons")
    y = balanced_labels(n_samples)
    upper = polar(np.ones(n_samples), rng.uniform(0, np.pi, n_samples))
    lower = np.array([1.0, 0.5]) - upper
    X = np.where(y[:, np.newaxis] == 0, upper, lower) + rng.normal(0, noise, upper.shape)
    return split_dataset(INFO, X, y, seed=seed)


SETS = {INFO.name: Source(INFO, load)}
