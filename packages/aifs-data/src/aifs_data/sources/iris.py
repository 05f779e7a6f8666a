"""Iris: three species by four measurements; setosa stands apart, the other two overlap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._scikit_learn import ORIGIN, UCI_LICENCE, choose_classes, read_table
from aifs_data.splits import split_dataset

if TYPE_CHECKING:
    from aifs_data.sources._scikit_learn import Arrays

INFO = DatasetInfo(
    name="iris",
    title="Iris, three species",
    n_features=4,
    class_names=("setosa", "versicolor", "virginica"),
    feature_names=("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    licence=UCI_LICENCE,
    citation="""\
@article{fisher1936use,
  author  = {Fisher, Ronald A.},
  title   = {The use of multiple measurements in taxonomic problems},
  journal = {Annals of Eugenics},
  volume  = {7},
  number  = {2},
  pages   = {179--188},
  year    = {1936},
  doi     = {10.1111/j.1469-1809.1936.tb02137.x}
}""",
    homepage="https://doi.org/10.24432/C56C76",
    description="150 flowers of three species, 50 of each. scikit-learn's copy has the values of Fisher's paper, where "
    "the UCI repository's has two errors.",
)

EASY = replace(
    INFO,
    name="iris-easy",
    title="Iris, setosa and versicolor",
    class_names=("setosa", "versicolor"),
    description="The 100 flowers of two species that a straight line separates.",
)

HARD = replace(
    INFO,
    name="iris-hard",
    title="Iris, versicolor and virginica",
    class_names=("versicolor", "virginica"),
    description="The 100 flowers of two species that overlap: no straight line separates them.",
)


def load(seed: int) -> Dataset:
    """Read all three species."""
    X, y = _read()
    return split_dataset(INFO, X, y, seed=seed, source=ORIGIN)


def load_easy(seed: int) -> Dataset:
    """Read species 0 and 1."""
    X, y = choose_classes(*_read(), classes=(0, 1))
    return split_dataset(EASY, X, y, seed=seed, source=ORIGIN)


def load_hard(seed: int) -> Dataset:
    """Read species 1 and 2."""
    X, y = choose_classes(*_read(), classes=(1, 2))
    return split_dataset(HARD, X, y, seed=seed, source=ORIGIN)


def _read() -> Arrays:
    return read_table("iris.csv", "load_iris", header=1)


SETS = {
    INFO.name: Source(INFO, load, (ORIGIN,)),
    EASY.name: Source(EASY, load_easy, (ORIGIN,)),
    HARD.name: Source(HARD, load_hard, (ORIGIN,)),
}
