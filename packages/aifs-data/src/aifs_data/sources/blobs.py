"""Round clouds, one for each class."""

from dataclasses import replace

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._generated import LICENCE, SCIKIT_LEARN_2011, balanced_labels, polar
from aifs_data.splits import split_dataset
from aifs_data.streams import random_stream

INFO = DatasetInfo(
    name="blobs",
    title="Round clouds",
    n_features=2,
    class_names=("blob 0", "blob 1", "blob 2"),
    feature_names=("x1", "x2"),
    licence=LICENCE,
    citation=SCIKIT_LEARN_2011,
    homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_blobs.html",
    description="Normal clouds around the corners of a regular polygon, turned at random. Neighbours are one apart, "
    "and `noise` is their standard deviation: at 0.2 about one sample in a hundred lies nearer to another centre.",
)


def load(seed: int, *, n_samples: int = 500, n_classes: int = 3, noise: float = 0.2) -> Dataset:
    """Generate the set."""
    n_samples, n_classes = require_count("n_samples", n_samples), require_count("n_classes", n_classes, at_least=2)
    noise = require_number("noise", noise, at_least=0)
    rng = random_stream(seed, "blobs")
    turn = rng.uniform(0, 2 * np.pi)
    y = balanced_labels(n_samples, n_classes)
    radius = 0.5 / np.sin(np.pi / n_classes)  # of the polygon whose side is 1
    X = polar(np.full(n_samples, radius), turn + 2 * np.pi * y / n_classes) + rng.normal(0, noise, (n_samples, 2))
    names = tuple(f"blob {k}" for k in range(n_classes))
    return split_dataset(replace(INFO, class_names=names), X, y, seed=seed)


SETS = {INFO.name: Source(INFO, load)}
