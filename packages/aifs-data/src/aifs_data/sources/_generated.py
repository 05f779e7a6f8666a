"""What the generated sets share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

LICENCE = "generated, free to use"

SCIKIT_LEARN_2011 = """\
@article{pedregosa2011scikit,
  author  = {Pedregosa, Fabian and Varoquaux, Ga{\\"e}l and Gramfort, Alexandre and Michel, Vincent and others},
  title   = {Scikit-learn: Machine Learning in {Python}},
  journal = {Journal of Machine Learning Research},
  volume  = {12},
  pages   = {2825--2830},
  year    = {2011}
}"""


def balanced_labels(n_samples: int, n_classes: int = 2) -> NDArray[np.int64]:
    """Return 0, 1, …, 0, 1, …: class sizes differ by one at most."""
    return np.arange(n_samples, dtype=np.int64) % n_classes


def polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of the plane, shape (n_samples, 2)."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
