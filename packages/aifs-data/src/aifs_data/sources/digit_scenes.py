"""Several handwritten digits on one canvas."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, DatasetInfo, Source, Split
from aifs_data.sources import digits
from aifs_data.sources._endless import BLOCK, PARTS, endless_dataset
from aifs_data.sources._images import grey_levels, read_digits
from aifs_data.sources._scenes import HOW_THEY_LIE, Layout, Patches, compose, scene_arrays
from aifs_data.sources._scikit_learn import ORIGIN
from aifs_data.splits import split_indices

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Digits = tuple[NDArray[np.int64], NDArray[np.int64]]  # (n, 8, 8) from 0 to 16, and their labels

_LEAST_INK = 64  # fainter pixels, of 255, are neither drawn nor part of the object

INFO = DatasetInfo(
    name="digit-scenes",
    title="Scenes of handwritten digits",
    task="detection",
    class_names=digits.INFO.class_names,
    arrays=scene_arrays(
        Layout(size=64, count_min=1, count_max=5, side_min=14, side_max=24, overlap=0), channels=1, n_classes=10
    ),
    licence=digits.INFO.licence,
    citation=digits.INFO.citation,
    homepage=digits.INFO.homepage,
    description="scikit-learn's 1,797 digits, enlarged linearly and put on a black canvas. The digits are divided "
    f"first, 60 : 20 : 20, so no digit of a training scene occurs in one of validation or test. {HOW_THEY_LIE}",
)


def load(
    seed: int,
    *,
    n_samples: int = 1000,
    size: int = 64,
    count_min: int = 1,
    count_max: int = 5,
    side_min: int = 14,
    side_max: int = 24,
    overlap: float = 0.0,
) -> Dataset:
    """Generate the set."""
    layout = Layout(
        size=size, count_min=count_min, count_max=count_max, side_min=side_min, side_max=side_max, overlap=overlap
    )
    return endless_dataset(
        replace(INFO, arrays=scene_arrays(layout, channels=1, n_classes=10)),
        partial(_draw_block, layout=layout, digits_of=_divided(seed)),
        seed=seed,
        n_samples=require_count("n_samples", n_samples),
        source=ORIGIN,
    )


def _divided(seed: int) -> Mapping[str, Digits]:
    """Return the digits that each part draws from."""
    images, labels = read_digits()
    rows = split_indices(labels, seed=seed)
    return {part: (images[chosen], labels[chosen]) for part, chosen in zip(PARTS, rows, strict=True)}


def _draw_block(rng: np.random.Generator, part: str, *, layout: Layout, digits_of: Mapping[str, Digits]) -> Split:
    images, labels = digits_of[part]

    def draw_patches(sides: NDArray[np.int64]) -> Patches:
        chosen = rng.integers(0, len(labels), BLOCK)
        numerators, denominators = grey_levels(images[chosen], sides, layout.side_max)
        pixels = (numerators // denominators).astype(np.uint8)  # rounded down
        return Patches(pixels[:, np.newaxis], pixels >= _LEAST_INK, labels[chosen])

    canvas = np.zeros((BLOCK, 1, layout.size, layout.size), dtype=np.uint8)
    return compose(rng, layout, canvas, draw_patches)


SETS = {INFO.name: Source(INFO, load, (ORIGIN,))}
