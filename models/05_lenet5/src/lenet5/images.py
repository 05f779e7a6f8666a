"""Pictures of all kinds as LeNet-5 takes them: one plane of 32 × 32, uint8, with 0 for the background.

Each function returns a changed copy of a data set and says so among its transforms. Pictures stay bytes until they are
batched; `NORMALIZE` then gives the background -0.1 and full ink 1.175, as the paper does, "which makes the mean input
roughly 0, and the variance roughly 1".
"""

from dataclasses import replace

import numpy as np

from aifs_data import ArraySpec, Normalize, Split
from aifs_utils.exceptions import DataError
from lenet5.model import SIDE

NORMALIZE = Normalize(mean=20.0, std=200.0)  # 0 → -0.1 and 255 → 1.175

LUMA = np.array([0.299, 0.587, 0.114])  # how much red, green and blue add to brightness (ITU-R BT.601)
MIDDLE, CONTRAST, NOISE = 128, 90, 16  # of printed digits: brightness, distance of the colours from grey, speckle

# The eight neighbours of a pixel: down, across.
DIRECTIONS = np.array([(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if (down, across) != (0, 0)])


def prepare(dataset, *, shift=0, coloured=False):
    """Bring a data set to pictures (n, 1, 32, 32).

    Parameters
    ----------
    dataset : aifs_data.Dataset
        Scikit-learn's digits as a table, or uint8 images (n, 1 or 3, height, width) of at most 32 × 32 pixels.
    shift : int
        How many pixels each test picture, and none of the others, is moved by.
    coloured : bool
        Whether to print the pictures in colours first.

    Returns
    -------
    aifs_data.Dataset

    Raises
    ------
    DataError
        If the images are too large.
    """
    dataset = as_images(dataset, coloured=coloured)
    if dataset.train.X.shape[1] == 3:
        dataset = _changed(dataset, in_grey, "seen in grey")
    dataset = _changed(dataset, framed, f"in a frame of {SIDE} × {SIDE}")
    return shift_test(dataset, shift) if shift else dataset


def as_images(dataset, *, coloured=False):
    """The pictures before they are seen in grey: a table of digits enlarged, and printed in colours if asked."""
    if dataset.info.image_shape == (8, 8):
        dataset = _changed(dataset, enlarged, "enlarged to 24 × 24")
    return print_in_colours(dataset) if coloured else dataset


def enlarged(X):
    """Scikit-learn's digits (n, 64), from 0 to 1, as images (n, 1, 24, 24), interpolated linearly.

    In integers, thirds of a pixel, so that they are the same on every machine.
    """
    centres = np.clip(np.arange(24) - 1, 0, 21)  # of the new pixels, in thirds of an old one
    weights = np.maximum(3 - abs(centres[:, None] - 3 * np.arange(8)), 0)  # (24, 8)
    sums = weights @ np.rint(16 * X).astype(np.int64).reshape(-1, 1, 8, 8) @ weights.T  # from 0 to 16 · 3 · 3
    return ((255 * sums + 72) // 144).astype(np.uint8)


def in_grey(X):
    """The brightness of colour images (n, 3, height, width), as (n, 1, height, width)."""
    grey = np.empty((len(X), 1, *X.shape[2:]), np.uint8)
    for rows in np.array_split(np.arange(len(X)), 1 + len(X) // 1000):  # in floats a whole set would be large
        grey[rows, 0] = np.rint(np.tensordot(X[rows], LUMA, axes=(1, 0)))
    return grey


def framed(X):
    """Images (n, 1, height, width) in the middle of 32 × 32 pixels of background."""
    *_, height, width = X.shape
    if X.ndim != 4 or X.shape[1] != 1 or max(height, width) > SIDE:
        raise DataError(f"LeNet-5 takes one plane of at most {SIDE} × {SIDE} pixels, got images of {X.shape[1:]}")
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    return np.pad(X, ((0, 0), (0, 0), (top, SIDE - height - top), (left, SIDE - width - left)))


def shift_test(dataset, pixels):
    """Move each test picture by so many pixels in one of eight directions, drawn from the seed."""
    chosen = np.random.default_rng((dataset.seed, 2)).integers(8, size=len(dataset.test))
    moves = pixels * DIRECTIONS[chosen]
    return _changed(dataset, lambda X: moved(X, moves), f"test part shifted by {pixels} pixels", parts=["test"])


def moved(X, moves):
    """Each image (height, width) moved down and across by a row of `moves` (n, 2); what comes in from outside is 0."""
    *_, height, width = X.shape
    result = np.zeros_like(X)
    for image, source, (down, across) in zip(result, X, moves.tolist(), strict=True):
        rows, columns = _overlap(down, height), _overlap(across, width)
        image[:, rows[0], columns[0]] = source[:, rows[1], columns[1]]
    return result


def _overlap(by, length):
    """Where what stays in the picture lies after a move, and where it lay before."""
    return slice(max(by, 0), length + min(by, 0)), slice(max(-by, 0), length + min(-by, 0))


def print_in_colours(dataset):
    """Print each picture in an ink and on a paper of opposite hues that are equally bright, drawn from the seed.

    Speckle that is common to the three colours hides what rounding would betray of them in grey.
    """
    for k, part in enumerate(("train", "val", "test")):
        rng = np.random.default_rng((dataset.seed, 3, k))
        dataset = _changed(dataset, lambda X, rng=rng: printed(X, rng), parts=[part])
    return replace(dataset, transforms=(*dataset.transforms, "printed in colours of equal brightness"))


def printed(X, rng):
    """Images (n, 1, height, width) in colours, (n, 3, height, width): ink of 255 is as bright as paper of 0."""
    red, blue = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    # Two directions in which a colour changes and is as bright as before: what one adds, all three give back.
    plane = np.stack([red - LUMA[0], blue - LUMA[2]])
    angles = 2 * np.pi * rng.random(len(X))
    hues = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane  # (n, 3)
    hues *= CONTRAST / abs(hues).max(axis=1, keepdims=True)
    ink = X / 127.5 - 1  # -1 for paper, 1 for ink
    speckle = rng.integers(-NOISE, NOISE + 1, X.shape)
    return np.rint(MIDDLE + hues[:, :, None, None] * ink + speckle).astype(np.uint8)


def _changed(dataset, change, note="", parts=("train", "val", "test")):
    """Apply a function of images to parts of a data set, and note it."""
    splits = {part: getattr(dataset, part) for part in parts}
    splits = {part: Split(change(split.X), split.y, split.extras) for part, split in splits.items()}
    X = next(iter(splits.values())).X
    spec = ArraySpec(dtype="uint8", shape=("n_samples", *X.shape[1:]), low=0, high=255, meaning="pixels, 0 is black")
    info = replace(
        dataset.info, n_features=0, feature_names=(), image_shape=None, arrays={**dataset.info.specs, "X": spec}
    )
    transforms = (*dataset.transforms, note) if note else dataset.transforms
    return replace(dataset, info=info, transforms=transforms, draw=None, **splits)
