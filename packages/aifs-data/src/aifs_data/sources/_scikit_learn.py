"""Read the tables that scikit-learn ships, without importing scikit-learn.

Importing ``sklearn.datasets`` takes one to two seconds, most of a short run; reading the file takes milliseconds. Where
a future release keeps its files elsewhere, its own loader is used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]

ORIGIN = "scikit-learn"
UCI_LICENCE = "CC BY 4.0"


def read_table(file: str, loader: str, *, header: int) -> Arrays:
    """Return the inputs and the labels of a set.

    Parameters
    ----------
    file : str
        Its file in scikit-learn's folder of data.
    loader : str
        Its function in ``sklearn.datasets``, which gives the same.
    header : int
        Lines of the file to skip.
    """
    path = _folder() / file
    if not path.is_file():
        X, y = getattr(import_module("sklearn.datasets"), loader)(return_X_y=True)
        return X.astype(np.float64), y.astype(np.int64)
    table = np.loadtxt(path, delimiter=",", skiprows=header)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64)


def choose_classes(X: NDArray[np.float64], y: NDArray[np.int64], classes: tuple[int, int]) -> Arrays:
    """Keep the samples of two classes, and call the classes 0 and 1."""
    rows = np.isin(y, classes)
    return X[rows], (y[rows] == classes[1]).astype(np.int64)


def _folder() -> Path:
    spec = find_spec("sklearn")  # finds it without importing it
    (location, *_) = (spec.submodule_search_locations if spec else None) or [""]
    return Path(location) / "datasets" / "data"
