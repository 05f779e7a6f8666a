"""Two classes with a hyperplane through the origin and an empty margin between them.

The perceptron convergence theorem can be checked on it (Novikoff, 1962): for a unit normal w with y (w·x) >= γ, where
y = ±1 and ‖x‖ <= R, a perceptron without bias makes at most (R/γ)² mistakes. Here γ is at least `margin`, and R can be
read off the samples. With a bias, that is with a constant input 1, the same w serves: the bound is (R² + 1)/γ².
"""

from dataclasses import replace

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._generated import LICENCE, balanced_labels
from aifs_data.splits import split_dataset
from aifs_data.streams import random_stream

INFO = DatasetInfo(
    name="linearly-separable",
    title="Two classes that a hyperplane separates",
    n_features=2,
    class_names=("below", "above"),
    feature_names=("x1", "x2"),
    licence=LICENCE,
    citation="""\
@inproceedings{novikoff1962convergence,
  author    = {Novikoff, Albert B. J.},
  title     = {On convergence proofs on perceptrons},
  booktitle = {Proceedings of the Symposium on the Mathematical Theory of Automata},
  volume    = {12},
  pages     = {615--622},
  year      = {1962}
}""",
    homepage="https://en.wikipedia.org/wiki/Linear_separability",
    description="Uniform in a cube around the origin, cut by a random hyperplane through the origin whose two sides "
    "are moved apart: every sample is at least `margin` away from it.",
)


def load(seed: int, *, n_samples: int = 200, n_features: int = 2, margin: float = 0.1) -> Dataset:
    """Generate the set; `margin` is in units of half the cube's edge."""
    n_samples, n_features = require_count("n_samples", n_samples), require_count("n_features", n_features)
    margin = require_number("margin", margin, above=0)
    rng = random_stream(seed, "linearly-separable")
    normal = rng.normal(size=n_features)
    normal /= np.linalg.norm(normal)
    y = balanced_labels(n_samples)
    side = 2.0 * y - 1.0
    X = rng.uniform(-1, 1, (n_samples, n_features))
    # The cube is symmetric: a sample on the wrong side is mirrored at the origin, and the classes stay balanced.
    X *= np.where(X @ normal * side < 0, -1.0, 1.0)[:, np.newaxis]
    X += margin * side[:, np.newaxis] * normal
    names = tuple(f"x{i + 1}" for i in range(n_features))
    return split_dataset(replace(INFO, n_features=n_features, feature_names=names), X, y, seed=seed)


SETS = {INFO.name: Source(INFO, load)}
