"""What sets of images share: a reader of idx files, the official parts, and handwritten digits as a stand-in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Split, class_indices
from aifs_data.sources._gzip import open_gzip
from aifs_data.splits import carve_validation, split_indices, take_in_order
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

    Pixels = NDArray[np.uint8]

IDX_FILES = tuple(
    f"{part}-{content}-ubyte.gz" for part in ("train", "t10k") for content in ("images-idx3", "labels-idx1")
)
_ROWS_AT_ONCE = 4096
_UNSIGNED_BYTES = 8  # what the elements of an idx file are, in its header
_INK_SIDE, _IMAGE_SIDE = 20, 28  # MNIST's own: digits of 20 × 20, their centre of mass in the middle of 28 × 28


def image_arrays(shape: tuple[int, int, int], n_classes: int) -> Mapping[str, ArraySpec]:
    """Return what the arrays of classified images hold; `shape` is (channels, height, width)."""
    X = ArraySpec(dtype="uint8", shape=("n_samples", *shape), low=0, high=255, meaning="pixels, 0 is black")
    return {"X": X, "y": class_indices(n_classes)}


def official_parts(info: DatasetInfo, arrays: Mapping[str, NDArray[Any]], *, seed: int, val_fraction: float) -> Dataset:
    """Return a set with its official test part, and validation carved from its training part."""
    official = Split(arrays["train_X"], arrays["train_y"])
    train, val = carve_validation(official, seed=seed, val_fraction=val_fraction)
    return Dataset(info, train, val, Split(arrays["test_X"], arrays["test_y"]), source="", seed=seed)


# --- the format of MNIST ----------------------------------------------------------------------------------------------


def decode_idx(files: Mapping[str, Path]) -> Blocks:
    """Read the four files of MNIST, or of a set in its format."""
    for part, names in (("train", IDX_FILES[:2]), ("test", IDX_FILES[2:])):
        images, labels = (files[name] for name in names)
        for pixels in read_idx(images, (_IMAGE_SIDE, _IMAGE_SIDE)):
            yield f"{part}_X", pixels[:, np.newaxis]
        for classes in read_idx(labels, ()):
            yield f"{part}_y", classes.astype(np.int64)


def read_idx(path: Path, row_shape: tuple[int, ...]) -> Iterator[Pixels]:
    """Yield the rows of a gzipped idx file of bytes, many at once.

    Parameters
    ----------
    path : Path
    row_shape : tuple of int
        What the file must say of a row; () where it is a single number.

    Raises
    ------
    DataError
        When the file is damaged, or is no such file.
    """
    with open_gzip(path) as file:
        yield from _rows(file, row_shape)


def _rows(file: IO[bytes], row_shape: tuple[int, ...]) -> Iterator[Pixels]:
    # Two zeros, the type, the number of axes; then the length of each axis, four bytes, the first one the highest.
    n_axes = 1 + len(row_shape)
    header = file.read(4 + 4 * n_axes)
    lengths = tuple(int.from_bytes(header[i : i + 4]) for i in range(4, len(header), 4))
    is_whole = len(header) == 4 + 4 * n_axes
    if not is_whole or header[:4] != bytes([0, 0, _UNSIGNED_BYTES, n_axes]) or lengths[1:] != row_shape:
        raise DataError(f"expected the header of an idx file with rows of bytes {row_shape}, got {header.hex(' ')}")
    for start in range(0, lengths[0], _ROWS_AT_ONCE):
        shape = (min(_ROWS_AT_ONCE, lengths[0] - start), *row_shape)
        data = file.read(math.prod(shape))
        if len(data) != math.prod(shape):
            raise DataError(f"expected {lengths[0]} rows, got {start + len(data) // math.prod(row_shape)}")
        yield np.frombuffer(data, dtype=np.uint8).reshape(shape)
    if file.read(1):
        raise DataError(f"expected {lengths[0]} rows, got more bytes than they have")


# --- the stand-in -----------------------------------------------------------------------------------------------------


def digits_standin(info: DatasetInfo, *, seed: int, val_fraction: float) -> Dataset:
    """Return scikit-learn's digits in the form of a set with 28 × 28 or 32 × 32 pixels.

    A fifth of them is the test part, whatever the seed, as it is in sets that have an official one.
    """
    digits, labels = read_digits()
    channels, side, _ = image_shape(info)
    X = centred(enlarged(digits, _INK_SIDE)) if side == _IMAGE_SIDE else enlarged(digits, side)
    images = np.repeat(X[:, np.newaxis], channels, axis=1)
    rest, _, test = split_indices(labels, seed=0, val_fraction=0)
    whole = Split(images, labels)
    train, val = carve_validation(take_in_order(whole, rest), seed=seed, val_fraction=val_fraction)
    how = "scaled to 20 × 20 and centred on 28 × 28" if side == _IMAGE_SIDE else f"upscaled to {side} × {side}"
    in_channels = "" if channels == 1 else f", the same in {channels} channels"
    return Dataset(
        digits_info(info),
        train,
        val,
        take_in_order(whole, test),
        source="standin",
        standin=f"scikit-learn's digits, {how}{in_channels}",
        seed=seed,
    )


def digits_info(info: DatasetInfo) -> DatasetInfo:
    """Return what is true of digits that have the form of another set."""
    from aifs_data.sources.digits import INFO as digits

    return replace(
        digits,
        name=info.name,
        title=f"{info.title}: a stand-in of handwritten digits",
        n_features=0,
        feature_names=(),
        image_shape=None,
        arrays=image_arrays(image_shape(info), len(digits.class_names)),
        description="scikit-learn's 8 × 8 digits, enlarged by linear interpolation; pixels are from 0 to 255.",
    )


def image_shape(info: DatasetInfo) -> tuple[int, int, int]:
    """Return channels, height and width of a set's images."""
    channels, height, width = (int(length) for length in info.specs["X"].shape[1:])
    return channels, height, width


def read_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return scikit-learn's digits, shape (1797, 8, 8), from 0 to 16, and their labels."""
    from aifs_data.sources._scikit_learn import read_table

    table, labels = read_table("digits.csv.gz", "load_digits", header=0)
    return table.astype(np.int64).reshape(-1, 8, 8), labels


def enlarged(digits: NDArray[np.int64], side: int) -> Pixels:
    """Enlarge digits by linear interpolation, in integers: the same on every machine.

    Parameters
    ----------
    digits : ndarray of int64, shape (n, 8, 8)
        From 0 to 16.
    side : int

    Returns
    -------
    ndarray of uint8, shape (n, side, side)
        From 0 to 255.

    Examples
    --------
    >>> left_half = np.repeat([[16, 16, 16, 16, 0, 0, 0, 0]], 8, axis=0)
    >>> enlarged(left_half[np.newaxis], 16)[0, 0]
    array([255, 255, 255, 255, 255, 255, 255, 191,  64,   0,   0,   0,   0,
             0,   0,   0], dtype=uint8)
    """
    numerators, denominators = grey_levels(digits, np.array([side]), side)
    return ((numerators + denominators // 2) // denominators).astype(np.uint8)


def grey_levels(
    digits: NDArray[np.int64], sides: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Interpolate linearly between the pixels of digits, exactly: grey levels from 0 to 255 as fractions.

    Parameters
    ----------
    digits : ndarray of int64, shape (n, 8, 8)
        From 0 to 16.
    sides : ndarray of int64, shape (n,) or (1,)
        How large each digit becomes, or all of them.
    room : int
        The largest side, at least.

    Returns
    -------
    numerators : ndarray of int64, shape (n, room, room)
        0 beyond the side.
    denominators : ndarray of int64, shape (n, 1, 1) or (1, 1, 1)
    """
    side = sides[:, np.newaxis, np.newaxis]
    new, old = np.arange(room)[:, np.newaxis], np.arange(8)
    # The centre of new pixel i lies at 8 (i + 1/2) / side - 1/2 among those of the old ones; times 2 side, an integer.
    centres = np.clip(8 * (2 * new + 1) - side, 0, 7 * 2 * side)
    weights = np.where(new < side, np.maximum(2 * side - abs(centres - 2 * side * old), 0), 0)  # (n, room, 8)
    return 255 * (weights @ digits @ weights.transpose(0, 2, 1)), 16 * (2 * side) ** 2


def centred(digits: Pixels) -> Pixels:
    """Put digits of 20 × 20 onto 28 × 28, their centre of mass in the middle, as those of MNIST were.

    Parameters
    ----------
    digits : ndarray of uint8, shape (n, 20, 20)

    Returns
    -------
    ndarray of uint8, shape (n, 28, 28)
    """
    n, room = len(digits), (_IMAGE_SIDE - _INK_SIDE) // 2
    padded = np.pad(digits, ((0, 0), (room, room), (room, room)))
    middle = np.arange(_IMAGE_SIDE)
    sources = []
    for axis in (1, 2):
        ink = digits.sum(axis=3 - axis, dtype=np.int64)  # of each row, then of each column
        moments = ink @ (2 * np.arange(_INK_SIDE) + 1 - _INK_SIDE)
        # By at most the empty edge, so that nothing leaves the image.
        shifts = np.clip((moments + ink.sum(axis=1)) // (2 * ink.sum(axis=1)), -room, room)
        sources.append((middle + shifts[:, np.newaxis]) % _IMAGE_SIDE)
    rows, columns = sources
    image: Pixels = padded[np.arange(n)[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], columns[:, np.newaxis, :]]
    return image
