"""Wine: three cultivars by thirteen measurements, on scales that differ a thousandfold."""

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._scikit_learn import ORIGIN, UCI_LICENCE, read_table
from aifs_data.splits import split_dataset

INFO = DatasetInfo(
    name="wine",
    title="Wine, three cultivars",
    n_features=13,
    class_names=("cultivar 1", "cultivar 2", "cultivar 3"),
    feature_names=(
        "alcohol",
        "malic acid",
        "ash",
        "alcalinity of ash",
        "magnesium",
        "total phenols",
        "flavanoids",
        "nonflavanoid phenols",
        "proanthocyanins",
        "color intensity",
        "hue",
        "OD280/OD315 of diluted wines",
        "proline",
    ),
    licence=UCI_LICENCE,
    citation="""\
@misc{aeberhard1992wine,
  author       = {Aeberhard, Stefan and Forina, M.},
  title        = {Wine},
  howpublished = {UCI Machine Learning Repository},
  year         = {1992},
  doi          = {10.24432/C5PC7J}
}""",
    homepage="https://doi.org/10.24432/C5PC7J",
    description="178 wines of three cultivars from one region of Italy. Standardize it: proline is in the hundreds, "
    "hue near one.",
)


def load(seed: int) -> Dataset:
    """Read the set."""
    X, y = read_table("wine_data.csv", "load_wine", header=1)
    return split_dataset(INFO, X, y, seed=seed, source=ORIGIN)


SETS = {INFO.name: Source(INFO, load, (ORIGIN,))}
