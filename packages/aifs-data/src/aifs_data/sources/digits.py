"""Handwritten digits, 8 × 8 pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.sources._scikit_learn import ORIGIN, UCI_LICENCE, choose_classes, read_table
from aifs_data.splits import split_dataset

if TYPE_CHECKING:
    from aifs_data.sources._scikit_learn import Arrays

INFO = DatasetInfo(
    name="digits",
    title="Handwritten digits, 8 × 8 pixels",
    n_features=64,
    class_names=tuple(str(digit) for digit in range(10)),
    feature_names=tuple(f"pixel {row},{column}" for row in range(8) for column in range(8)),
    image_shape=(8, 8),
    licence=UCI_LICENCE,
    citation="""\
@misc{alpaydin1998optical,
  author       = {Alpaydin, Ethem and Kaynak, Cenk},
  title        = {Optical Recognition of Handwritten Digits},
  howpublished = {UCI Machine Learning Repository},
  year         = {1998},
  doi          = {10.24432/C50P49}
}""",
    homepage="https://doi.org/10.24432/C50P49",
    description="1,797 digits: the test part of the UCI set, split anew. Pixels are from 0 to 1 in sixteenths.",
)

ZERO_OR_ONE = replace(
    INFO,
    name="digits-0-1",
    title="Handwritten zeros and ones, 8 × 8 pixels",
    class_names=("0", "1"),
    description="The 360 zeros and ones of the digits.",
)


def load(seed: int) -> Dataset:
    """Read all ten digits."""
    X, y = _read()
    return split_dataset(INFO, X, y, seed=seed, source=ORIGIN)


def load_zero_or_one(seed: int) -> Dataset:
    """Read the zeros and ones."""
    X, y = choose_classes(*_read(), classes=(0, 1))
    return split_dataset(ZERO_OR_ONE, X, y, seed=seed, source=ORIGIN)


def _read() -> Arrays:
    X, y = read_table("digits.csv.gz", "load_digits", header=0)
    return X / 16, y


SETS = {
    INFO.name: Source(INFO, load, (ORIGIN,)),
    ZERO_OR_ONE.name: Source(ZERO_OR_ONE, load_zero_or_one, (ORIGIN,)),
}
