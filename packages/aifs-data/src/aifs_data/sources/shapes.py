"""Circles, squares and triangles in colour."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, DatasetInfo, Source, Split
from aifs_data.sources._endless import BLOCK, endless_dataset
from aifs_data.sources._generated import LICENCE
from aifs_data.sources._scenes import HOW_THEY_LIE, Layout, Patches, compose, scene_arrays
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_DARKEST_OBJECT, _LIGHTEST_BACKGROUND = 128, 96

INFO = DatasetInfo(
    name="shapes",
    title="Scenes of circles, squares and triangles",
    task="detection",
    class_names=("circle", "square", "triangle"),
    arrays=scene_arrays(
        Layout(size=64, count_min=1, count_max=5, side_min=10, side_max=24, overlap=0), channels=3, n_classes=3
    ),
    licence=LICENCE,
    citation="""\
@inproceedings{lin2014microsoft,
  author    = {Lin, Tsung-Yi and Maire, Michael and Belongie, Serge and Hays, James and Perona, Pietro and others},
  title     = {Microsoft {COCO}: Common Objects in Context},
  booktitle = {European Conference on Computer Vision},
  pages     = {740--755},
  year      = {2014},
  doi       = {10.1007/978-3-319-10602-1_48}
}""",
    homepage="https://cocodataset.org/#format-data",
    description="Shapes of a random light colour on a background of a random dark grey, and on all of it noise: every "
    "value is changed by up to `noise`, uniformly, and kept within 0 to 255. The targets have the form of COCO's. "
    f"{HOW_THEY_LIE}",
)


def load(
    seed: int,
    *,
    n_samples: int = 1000,
    size: int = 64,
    count_min: int = 1,
    count_max: int = 5,
    side_min: int = 10,
    side_max: int = 24,
    overlap: float = 0.0,
    noise: int = 16,
) -> Dataset:
    """Generate the set."""
    layout = Layout(
        size=size, count_min=count_min, count_max=count_max, side_min=side_min, side_max=side_max, overlap=overlap
    )
    noise = require_count("noise", noise, at_least=0)
    if noise > 255:
        raise DataError(f"noise is at most 255, got {noise}")
    return endless_dataset(
        replace(INFO, arrays=scene_arrays(layout, channels=3, n_classes=3)),
        partial(_draw_block, layout=layout, noise=noise),
        seed=seed,
        n_samples=require_count("n_samples", n_samples),
    )


def _draw_block(rng: np.random.Generator, part: str, *, layout: Layout, noise: int) -> Split:
    def draw_patches(sides: NDArray[np.int64]) -> Patches:
        labels = rng.integers(0, 3, BLOCK)
        colours = rng.integers(_DARKEST_OBJECT, 256, (BLOCK, 3, 1, 1), dtype=np.uint8)
        mask = _outlines(layout.side_max, sides)[labels, np.arange(BLOCK)]
        return Patches(np.broadcast_to(colours, (BLOCK, 3, *mask.shape[1:])), mask, labels)

    grey = rng.integers(0, _LIGHTEST_BACKGROUND, (BLOCK, 1, 1, 1), dtype=np.uint8)
    canvas = np.tile(grey, (1, 3, layout.size, layout.size))
    scenes = compose(rng, layout, canvas, draw_patches)
    noisy = scenes.X + rng.integers(-noise, noise + 1, scenes.X.shape, dtype=np.int16)
    return replace(scenes, X=noisy.clip(0, 255).astype(np.uint8))


def _outlines(largest: int, sides: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a circle, a square and a triangle that fill each side, shape (3, n, largest, largest)."""
    side = sides[:, np.newaxis, np.newaxis]
    row, column = np.arange(largest)[:, np.newaxis], np.arange(largest)
    # Distances from the middle, doubled: they are integers then.
    up, across = 2 * row + 1 - side, 2 * column + 1 - side
    square = (row < side) & (column < side)
    circle = up**2 + across**2 <= side**2
    triangle = abs(across) <= row + 1
    return np.stack([circle & square, square, triangle & square])


SETS = {INFO.name: Source(INFO, load)}
