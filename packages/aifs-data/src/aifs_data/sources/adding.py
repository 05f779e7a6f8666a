"""Add the two numbers that are marked in a long list of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split
from aifs_data.sources._endless import BLOCK, endless_dataset
from aifs_data.sources._generated import LICENCE

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping


def _arrays(length: int) -> Mapping[str, ArraySpec]:
    return {
        "X": ArraySpec(
            dtype="float32", shape=("n_samples", length, 2), low=0, high=1, meaning="the number, and 1 where it counts"
        ),
        "y": ArraySpec(dtype="float32", shape=("n_samples", 1), low=0, high=2, meaning="the sum of the marked two"),
    }


INFO = DatasetInfo(
    name="adding",
    title="The adding problem",
    task="regression",
    feature_names=("value", "marker"),
    arrays=_arrays(100),
    licence=LICENCE,
    citation="""\
@article{hochreiter1997long,
  author  = {Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  title   = {Long Short-Term Memory},
  journal = {Neural Computation},
  volume  = {9},
  number  = {8},
  pages   = {1735--1780},
  year    = {1997},
  doi     = {10.1162/neco.1997.9.8.1735}
}""",
    homepage="https://doi.org/10.1162/neco.1997.9.8.1735",
    description="`length` numbers, uniform from 0 to 1; one in the first and one in the second half is marked, and "
    "their sum is wanted. This is the form of Arjovsky et al. (2016). Always answering 1 has a mean squared error of "
    "1/6, the variance of the sum of two uniform numbers; papers print 0.167 or 0.1767.",
)


def load(seed: int, *, n_samples: int = 10_000, length: int = 100) -> Dataset:
    """Generate the set."""
    n_samples, length = require_count("n_samples", n_samples), require_count("length", length, at_least=2)
    info = replace(INFO, arrays=_arrays(length))
    return endless_dataset(info, partial(_draw_block, length=length), seed=seed, n_samples=n_samples)


def _draw_block(rng: np.random.Generator, part: str, *, length: int) -> Split:
    X = np.zeros((BLOCK, length, 2), dtype=np.float32)
    X[:, :, 0] = rng.random((BLOCK, length), dtype=np.float32)
    samples = np.arange(BLOCK)
    first = rng.integers(0, length // 2, BLOCK)
    second = rng.integers(length // 2, length, BLOCK)
    X[samples, first, 1] = X[samples, second, 1] = 1
    return Split(X, (X[samples, first, :1] + X[samples, second, :1]))


SETS = {INFO.name: Source(INFO, load)}
