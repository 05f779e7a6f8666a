"""Objects on a canvas, with all that a detector or a segmenter is to find in them.

What an object looks like is the set's own; where it lies, what hides what, and what the targets are is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import ArraySpec, Split
from aifs_data.sources._endless import BLOCK
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_TRIES = 20
_LEAST_VISIBLE = 0.5

HOW_THEY_LIE = (
    "A scene has from `count_min` to `count_max` objects, each in a square whose side is from `side_min` to "
    "`side_max` pixels of the canvas's `size`. The boxes of two whole objects have an intersection over union of at "
    "most `overlap`, and the later one lies above. As in COCO, boxes and masks are of what is visible; that is at "
    "least half of every object. An object that finds no such place in twenty tries is left out: a crowded scene has "
    "fewer than were drawn for it, and y says how many."
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What scenes can be varied by.

    Parameters
    ----------
    size : int
        Width and height of the canvas, in pixels.
    count_min, count_max : int
        The least and the greatest number of objects.
    side_min, side_max : int
        The least and the greatest side of the square that an object is drawn in, in pixels.
    overlap : float
        The greatest intersection over union of two boxes, from 0 up to, not including, 1.
    """

    size: int
    count_min: int
    count_max: int
    side_min: int
    side_max: int
    overlap: float

    def __post_init__(self) -> None:
        require_count("size", self.size)
        require_count("count_min", self.count_min, at_least=0)
        require_count("count_max", self.count_max)
        require_count("side_min", self.side_min, at_least=4)
        require_count("side_max", self.side_max, at_least=4)
        require_number("overlap", self.overlap, at_least=0, below=1)
        if not self.count_min <= self.count_max <= 255:
            raise DataError(f"count_min <= count_max <= 255 is needed, got {self.count_min} and {self.count_max}")
        if not self.side_min <= self.side_max <= self.size:
            raise DataError(
                f"side_min <= side_max <= size is needed, got {self.side_min}, {self.side_max} and {self.size}"
            )


class Patches(NamedTuple):
    """One object for each scene of a block.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (BLOCK, channels, side_max, side_max)
    mask : ndarray of bool, shape (BLOCK, side_max, side_max)
        Which pixels are the object's.
    labels : ndarray of int64, shape (BLOCK,)
    """

    pixels: NDArray[np.uint8]
    mask: Mask
    labels: Integers


def scene_arrays(layout: Layout, *, channels: int, n_classes: int) -> Mapping[str, ArraySpec]:
    """Describe the arrays of a part."""
    size, most = layout.size, layout.count_max
    return {
        "X": ArraySpec(
            dtype="uint8", shape=("n_samples", channels, size, size), low=0, high=255, meaning="pixels, 0 is black"
        ),
        "y": ArraySpec(
            dtype="int64",
            shape=("n_samples", most),
            low=-1,
            high=n_classes - 1,
            meaning="class indices of the objects, then -1",
        ),
        "boxes": ArraySpec(
            dtype="float32",
            shape=("n_samples", most, 4),
            low=-1,
            high=size,
            meaning="x0, y0, x1, y1 in pixels, x1 and y1 are the first behind the object; then -1",
        ),
        "semantic": ArraySpec(
            dtype="uint8",
            shape=("n_samples", size, size),
            low=0,
            high=n_classes,
            meaning="0 is background, 1 + class index",
        ),
        "instances": ArraySpec(
            dtype="uint8",
            shape=("n_samples", size, size),
            low=0,
            high=most,
            meaning="0 is background, k is object k - 1 of y and boxes",
        ),
    }


def compose(
    rng: np.random.Generator, layout: Layout, canvas: NDArray[np.uint8], draw_patches: Callable[[Integers], Patches]
) -> Split:
    """Put objects on a canvas, one after another in all scenes of a block at once.

    Parameters
    ----------
    rng : Generator
        What is drawn from.
    layout : Layout
        How they lie.
    canvas : ndarray of uint8, shape (BLOCK, channels, size, size)
        The background; it is drawn over.
    draw_patches : callable
        ``draw_patches(sides)`` returns one object for each scene, in a square of that side at the patch's corner.
    """
    wanted = rng.integers(layout.count_min, layout.count_max + 1, BLOCK)
    instances = np.zeros((BLOCK, layout.size, layout.size), dtype=np.uint8)
    labels = np.full((BLOCK, layout.count_max), -1, dtype=np.int64)
    boxes = np.zeros((BLOCK, layout.count_max, 4), dtype=np.int64)  # of whole objects, an empty one where there is none
    n_pixels = np.zeros((BLOCK, layout.count_max), dtype=np.int64)
    placed = np.zeros(BLOCK, dtype=np.int64)
    for k in range(layout.count_max):
        sides = rng.integers(layout.side_min, layout.side_max + 1, BLOCK)
        patches = draw_patches(sides)
        corners = rng.integers(0, (layout.size - sides + 1)[:, np.newaxis, np.newaxis], (BLOCK, _TRIES, 2))
        corner, box, fits = _first_that_fits(corners, _tight_boxes(patches.mask), boxes, layout.overlap)
        scenes = np.flatnonzero(fits & (k < wanted))
        covered = _paste_mask(patches.mask[scenes], corner[scenes], layout.size)
        if layout.overlap > 0:
            clear = _enough_visible(instances[scenes], covered, n_pixels[scenes])
            scenes, covered = scenes[clear], covered[clear]
        slot = placed[scenes]
        labels[scenes, slot], boxes[scenes, slot] = patches.labels[scenes], box[scenes]
        n_pixels[scenes, slot] = covered.sum(axis=(1, 2))
        _paste(canvas, patches, scenes, corner)
        where, y, x = covered.nonzero()
        instances[scenes[where], y, x] = slot[where] + 1
        placed[scenes] += 1
    return _with_targets(canvas, instances, labels)


def _tight_boxes(mask: Mask) -> Integers:
    """Return x0, y0, x1, y1 of each mask, the latter two exclusive, and -1 where it is empty; (…, 4)."""
    columns, rows = (np.asarray(mask.any(axis=axis)) for axis in (-2, -1))
    first = [lines.argmax(axis=-1) for lines in (columns, rows)]
    behind = [lines.shape[-1] - lines[..., ::-1].argmax(axis=-1) for lines in (columns, rows)]
    boxes: Integers = np.stack(first + behind, axis=-1)
    boxes[~rows.any(axis=-1)] = -1
    return boxes


def _first_that_fits(
    corners: Integers, box: Integers, others: Integers, overlap: float
) -> tuple[Integers, Integers, Mask]:
    """Return the first corner whose box keeps to `overlap` with all others, that box, and whether there is one."""
    tried = box[:, np.newaxis] + np.tile(corners, 2)  # (BLOCK, tries, 4)
    a, b = tried[:, :, np.newaxis], others[:, np.newaxis]  # (BLOCK, tries, objects, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    union = _areas(a) + _areas(b) - shared
    fits = (shared <= overlap * union).all(axis=2)
    scenes, first = np.arange(len(corners)), fits.argmax(axis=1)
    return corners[scenes, first], tried[scenes, first], fits[scenes, first]


def _areas(boxes: Integers) -> Integers:
    areas: Integers = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return areas


def _paste_mask(mask: Mask, corner: Integers, size: int) -> Mask:
    """Return the masks on canvases, (len(mask), size, size)."""
    canvas = np.zeros((len(mask), size, size), dtype=bool)
    scene, y, x = mask.nonzero()
    canvas[scene, y + corner[scene, 1], x + corner[scene, 0]] = True
    return canvas


def _paste(canvas: NDArray[np.uint8], patches: Patches, scenes: Integers, corner: Integers) -> None:
    among, y, x = patches.mask[scenes].nonzero()
    scene = scenes[among]
    canvas[scene, :, y + corner[scene, 1], x + corner[scene, 0]] = patches.pixels[scene, :, y, x]


def _enough_visible(instances: NDArray[np.uint8], covered: Mask, n_pixels: Integers) -> Mask:
    """Return in which scenes at least half of each earlier object would still be seen."""
    left = np.where(covered, 0, instances)
    visible = np.stack([(left == k + 1).sum(axis=(1, 2)) for k in range(n_pixels.shape[1])], axis=1)
    return np.asarray((visible >= _LEAST_VISIBLE * n_pixels).all(axis=1))


def _with_targets(X: NDArray[np.uint8], instances: NDArray[np.uint8], labels: Integers) -> Split:
    boxes = np.stack([_tight_boxes(instances == k + 1) for k in range(labels.shape[1])], axis=1)
    class_of = np.concatenate([np.zeros((len(labels), 1), dtype=np.int64), 1 + labels], axis=1)
    semantic = np.take_along_axis(class_of, instances.reshape(len(labels), -1).astype(np.int64), axis=1)
    extras: dict[str, Any] = {
        "boxes": boxes.astype(np.float32),
        "semantic": semantic.reshape(instances.shape).astype(np.uint8),
        "instances": instances,
    }
    return Split(X, labels, extras)
