"""Two spirals, wound around each other."""

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._generated import LICENCE, balanced_labels, polar
from aifs_data.splits import split_dataset
from aifs_data.streams import random_stream

INFO = DatasetInfo(
    name="spirals",
    title="Two spirals, wound around each other",
    n_features=2,
    class_names=("first arm", "second arm"),
    feature_names=("x1", "x2"),
    licence=LICENCE,
    citation="""\
@inproceedings{lang1988learning,
  author    = {Lang, Kevin J. and Witbrock, Michael J.},
  title     = {Learning to tell two spirals apart},
  booktitle = {Proceedings of the 1988 Connectionist Models Summer School},
  pages     = {52--59},
  year      = {1988}
}""",
    homepage="https://en.wikipedia.org/wiki/Archimedean_spiral",
    description="Two Archimedean spirals of radius 1, half a turn apart, with normal noise of standard deviation "
    "`noise`; the arms are 1 / (2 `turns`) apart. Lang and Witbrock wound three turns, without noise.",
)


def load(seed: int, *, n_samples: int = 500, noise: float = 0.04, turns: float = 1.5) -> Dataset:
    """Generate the set."""
    n_samples, noise = require_count("n_samples", n_samples), require_number("noise", noise, at_least=0)
    turns = require_number("turns", turns, above=0)
    rng = random_stream(seed, "spirals")
    y = balanced_labels(n_samples)
    # The root makes the samples as dense far out as near the middle; the arms begin at 0.15, since they meet at 0.
    radius = np.sqrt(rng.uniform(0.15**2, 1, n_samples))
    X = polar(radius, 2 * np.pi * turns * radius + np.pi * y)
    return split_dataset(INFO, X + rng.normal(0, noise, X.shape), y, seed=seed)


SETS = {INFO.name: Source(INFO, load)}
