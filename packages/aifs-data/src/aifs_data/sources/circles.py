"""A circle inside another."""

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._generated import LICENCE, SCIKIT_LEARN_2011, balanced_labels, polar
from aifs_data.splits import split_dataset
from aifs_data.streams import random_stream

INFO = DatasetInfo(
    name="circles",
    title="A circle inside another",
    n_features=2,
    class_names=("outer", "inner"),
    feature_names=("x1", "x2"),
    licence=LICENCE,
    citation=SCIKIT_LEARN_2011,
    homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_circles.html",
    description="Uniform on a circle of radius 1 and on one of radius `factor`, with normal noise of standard "
    "deviation `noise`. The best straight line is right for two samples in three; a circle for nearly all.",
)


def load(seed: int, *, n_samples: int = 500, noise: float = 0.1, factor: float = 0.5) -> Dataset:
    """Generate the set."""
    n_samples, noise = require_count("n_samples", n_samples), require_number("noise", noise, at_least=0)
    factor = require_number("factor", factor, above=0, below=1)
    rng = random_stream(seed, "circles")
    y = balanced_labels(n_samples)
    X = polar(np.where(y == 0, 1.0, factor), rng.uniform(0, 2 * np.pi, n_samples))
    return split_dataset(INFO, X + rng.normal(0, noise, X.shape), y, seed=seed)


SETS = {INFO.name: Source(INFO, load)}
