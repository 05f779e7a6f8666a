"""Breast cancer, Wisconsin (diagnostic): malignant or benign by thirty measurements of cell nuclei."""

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._scikit_learn import ORIGIN, UCI_LICENCE, read_table
from aifs_data.splits import split_dataset

_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)

INFO = DatasetInfo(
    name="breast-cancer",
    title="Breast cancer, Wisconsin (diagnostic)",
    n_features=30,
    class_names=("malignant", "benign"),
    feature_names=(
        *(f"mean {measure}" for measure in _MEASURES),
        *(f"{measure} error" for measure in _MEASURES),
        *(f"worst {measure}" for measure in _MEASURES),
    ),
    licence=UCI_LICENCE,
    citation="""\
@misc{wolberg1993breast,
  author       = {Wolberg, William and Mangasarian, Olvi and Street, Nick and Street, W.},
  title        = {Breast Cancer Wisconsin (Diagnostic)},
  howpublished = {UCI Machine Learning Repository},
  year         = {1993},
  doi          = {10.24432/C5DW2B}
}""",
    homepage="https://doi.org/10.24432/C5DW2B",
    description="569 tumours, 212 of them malignant (class 0). Standardize it: areas are in the hundreds, smoothness "
    "near 0.1.",
)


def load(seed: int) -> Dataset:
    """Read the set."""
    X, y = read_table("breast_cancer.csv", "load_breast_cancer", header=1)
    return split_dataset(INFO, X, y, seed=seed, source=ORIGIN)


SETS = {INFO.name: Source(INFO, load, (ORIGIN,))}
