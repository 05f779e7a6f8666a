"""Digits with room around them: where the picture is moved, and the ink hits pixels that never saw any."""

from dataclasses import replace

import numpy as np

MARGIN = 2  # pixels on each side, so that a digit that is moved by as many stays whole
DIRECTIONS = [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1) if (rows, columns) != (0, 0)]


def framed(dataset, *, shift_test):
    """Place all digits in the centre of a larger frame; then move those of the test part, if wanted.

    Each test digit is moved by two pixels, in one of eight directions that is drawn with the data's seed: up, down,
    left, right, or along a diagonal by two rows and two columns.

    Parameters
    ----------
    dataset : aifs_data.Dataset
        Inputs (n_samples, 64), the rows of 8 × 8 images.
    shift_test : bool

    Returns
    -------
    aifs_data.Dataset
        Inputs (n_samples, 144), the rows of 12 × 12 images.
    """
    rows, columns = dataset.info.image_shape
    shape = (rows + 2 * MARGIN, columns + 2 * MARGIN)
    parts = {part: _images(getattr(dataset, part).X, (rows, columns)) for part in ("train", "val", "test")}
    shifts = {part: np.zeros((len(images), 2), np.int64) for part, images in parts.items()}
    transforms = (*dataset.transforms, f"frame({MARGIN})")
    if shift_test:
        drawn = np.random.default_rng((dataset.seed, 2)).integers(len(DIRECTIONS), size=len(parts["test"]))
        shifts["test"] = MARGIN * np.array(DIRECTIONS)[drawn]
        transforms = (*transforms, f"shift test by {MARGIN}")
    return replace(
        dataset,
        info=replace(dataset.info, n_features=shape[0] * shape[1], feature_names=(), image_shape=shape, arrays={}),
        transforms=transforms,
        **{
            part: replace(getattr(dataset, part), X=place(images, shape, shifts[part]).reshape(len(images), -1))
            for part, images in parts.items()
        },
    )


def place(images, shape, shifts):
    """Place each image in the centre of a black one, moved by its own number of rows and columns.

    Parameters
    ----------
    images : ndarray (n_samples, rows, columns)
    shape : (int, int)
        Of the larger images.
    shifts : ndarray of int64 (n_samples, 2)
        Down and to the right.

    Returns
    -------
    ndarray (n_samples, *shape)
    """
    n_samples, *size = images.shape
    top, left = ((np.array(shape) - size) // 2 + shifts).T
    placed = np.zeros((n_samples, *shape), images.dtype)
    i = np.arange(n_samples)[:, None, None]
    placed[i, top[:, None, None] + np.arange(size[0])[:, None], left[:, None, None] + np.arange(size[1])] = images
    return placed


def _images(X, shape):
    return X.reshape(len(X), *shape)
