"""Augmentation of images, a batch at a time, that is a pure function of (seed, epoch, sample).

A transform is a callable ``transform(X, draws) -> X`` from images (n, channels, height, width) to as many of the same
shape and type. It leaves its input as it is (of a set that is not shuffled, it gets views that cannot be written) and
takes all randomness from `draws` (`aifs_data.draws.Draws`), so that a sample is treated alike in whatever batch it
comes. A function of one's own will do:

>>> import numpy as np
>>> def darken(X, draws):
...     return (X * draws.uniform(0.5, 1.0, shape=(1, 1, 1))).astype(X.dtype)
>>> X = np.full((2, 1, 28, 28), 200, dtype=np.uint8)
>>> augment([HorizontalFlip(), darken], X, Draws(seed=0, epoch=3, rows=np.array([17, 4]))).shape
(2, 1, 28, 28)

Only the images are changed: what says where something is in them (boxes, masks) would not follow a transform that
moves pixels. For such data `create_data_loaders` takes only transforms whose attribute `moves_pixels` is False, so a
function of one's own has to say so: ``darken.moves_pixels = False``.

References
----------
He, Zhang, Ren, Sun. "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: crops of images padded
by 4 pixels, and flips.
DeVries, Taylor. "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv:1708.04552, 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.draws import Draws
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Images = NDArray[Any]
    Transform = Callable[[Images, Draws], Images]

_MASKS_KEPT = 1 << 20  # bytes


def augment(transforms: Sequence[Transform], X: Images, draws: Draws) -> Images:
    """Return `X` after these transforms, in order, each with draws of its own."""
    for k, transform in enumerate(transforms):
        changed = transform(X, draws.child(k))
        if not isinstance(changed, np.ndarray) or len(changed) != len(X):
            got = f"{len(changed)} of {len(X)}" if isinstance(changed, np.ndarray) else repr(changed)
            raise DataError(f"a transform returns an array of as many samples as it gets, got {got}")
        X = changed
    return X


@dataclass(frozen=True)
class RandomShift:
    """Move each image by up to so many pixels, across and down; what comes in from outside is 0.

    Parameters
    ----------
    pixels : int
        The farthest. Every distance is equally likely, in both directions independently.
    """

    pixels: int
    moves_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count("pixels", self.pixels, at_least=0)

    def __call__(self, X: Images, draws: Draws) -> Images:
        return _shifted(_checked(X), draws.integers(-self.pixels, self.pixels + 1, shape=2), self.pixels)


@dataclass(frozen=True)
class RandomCrop:
    """Pad each image with zeros on all sides and cut a window of the old size out of it, anywhere.

    Parameters
    ----------
    padding : int
        Pixels on each side.
    """

    padding: int = 4
    moves_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count("padding", self.padding, at_least=0)

    def __call__(self, X: Images, draws: Draws) -> Images:
        # A window that lies further down shows the image moved up: the same as a shift.
        return _shifted(_checked(X), draws.integers(-self.padding, self.padding + 1, shape=2), self.padding)


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror each image, left to right, with probability `p`."""

    p: float = 0.5
    moves_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if require_number("p", self.p, at_least=0) > 1:
            raise DataError(f"p is a probability, from 0 to 1, got {self.p!r}")

    def __call__(self, X: Images, draws: Draws) -> Images:
        chosen = (draws.uniform() < self.p).nonzero()[0]
        flipped = _checked(X).copy()
        flipped[chosen] = _mirrored(X.take(chosen, axis=0))
        return flipped


@dataclass(frozen=True)
class RandomRotation:
    """Turn each image about its centre by up to so many degrees, either way; what comes in from outside is 0.

    Parameters
    ----------
    degrees : float
        The largest angle, from 0 to 180. Pixels are interpolated between their four neighbours.
    """

    degrees: float
    moves_pixels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if require_number("degrees", self.degrees, at_least=0) > 180:
            raise DataError(f"degrees is an angle from 0 to 180, got {self.degrees!r}")

    def __call__(self, X: Images, draws: Draws) -> Images:
        return _rotated(_checked(X), np.radians(draws.uniform(-self.degrees, self.degrees)))


@dataclass(frozen=True)
class CutOut:
    """Set a square of each image to 0; its centre is any pixel, so that part of it may lie outside.

    Parameters
    ----------
    size : int
        The side of the square in pixels; 0 does nothing.
    """

    size: int
    moves_pixels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_count("size", self.size, at_least=0)

    def __call__(self, X: Images, draws: Draws) -> Images:
        *_, height, width = _checked(X).shape
        down, across = (
            self._covers(draws.integers(0, length)[:, np.newaxis], length)  # (n, length)
            for length in (height, width)
        )
        hidden = down[:, np.newaxis, :, np.newaxis] & across[:, np.newaxis, np.newaxis, :]
        return np.where(hidden, X.dtype.type(0), X)

    def _covers(self, centre: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        first = centre - self.size // 2
        place = np.arange(length)
        covered: NDArray[np.bool_] = (place >= first) & (place < first + self.size)
        return covered


@dataclass(frozen=True)
class GaussianNoise:
    """Add to each value a normal number of mean 0 and this standard deviation.

    Parameters
    ----------
    std : float
        In the units of the images: pixels of uint8 have 255, and are rounded and clipped to stay in range.
    """

    std: float
    moves_pixels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number("std", self.std, at_least=0)

    def __call__(self, X: Images, draws: Draws) -> Images:
        noise = draws.normal(_checked(X).shape[1:])
        noise *= np.float32(self.std)
        if X.dtype != np.uint8:
            noisy: Images = X + noise.astype(X.dtype, copy=False)
            return noisy
        noise += X
        np.rint(noise, out=noise)
        return np.clip(noise, 0, 255, out=noise).astype(np.uint8)


def _checked(X: Images) -> Images:
    """Return `X` if it is a batch of images in a type that transforms keep."""
    if X.ndim != 4 or X.dtype not in (np.uint8, np.float32, np.float64):
        raise DataError(
            "images to augment are uint8 or floating, of shape (n, channels, height, width), "
            f"got {X.dtype} of shape {X.shape}: give X[:, np.newaxis] where there is one channel"
        )
    return X


def _shifted(X: Images, by: NDArray[np.int64], most: int) -> Images:
    """Return each image with the pixel that lay `by` further (down, across), shape (n, 2), at each place, or 0.

    An image is copied as one piece of memory that begins so much later, which is faster than row by row. What then
    comes round from the row or the channel beside it is blanked by masks, several pixels at a time.
    """
    n, channels, height, width = X.shape
    if X.size == 0 or most == 0:
        return X.copy()
    rows, columns = min(most, height), min(most, width)
    if most > min(height, width):  # an image that is moved by its whole size is gone, wherever to
        by = np.clip(by, (-rows, -columns), (rows, columns))
    down, across = by[:, 0], by[:, 1]
    moved = _pieces(np.ascontiguousarray(X), down * width + across)
    windows, word = _windows(height, width, X.itemsize, rows, columns)
    inside = windows[down + rows, across + columns].view(word)  # (n, height, words)
    words = moved.view(word).reshape(n, channels, height, -1)
    words &= inside[:, np.newaxis]
    shifted: Images = words.view(X.dtype)
    return shifted


def _pieces(X: Images, by: NDArray[np.int64]) -> NDArray[Any]:
    """Return, as items, the memory of each image from so many pixels later on; outside of `X` it is undefined."""
    item = X.size // len(X)
    # An item begins at every pixel, so they overlap.
    items = np.ndarray((X.size - item + 1,), f"V{item * X.itemsize}", X, strides=(X.itemsize,))
    starts = np.arange(0, X.size, item) + by
    within = np.minimum(np.maximum(starts, 0), X.size - item)
    pieces: NDArray[Any] = items[within]
    flat = X.reshape(-1)
    for k in (within != starts).nonzero()[0].tolist():  # few: what sticks out at the first image and at the last
        start = int(starts[k])
        low, high = max(start, 0), min(start + item, X.size)
        if low < high:
            pieces[k : k + 1].view(X.dtype)[low - start : high - start] = flat[low:high]
    return pieces


@lru_cache(maxsize=8)
def _windows(height: int, width: int, itemsize: int, rows: int, columns: int) -> tuple[NDArray[np.uint8], str]:
    """Return bytes of 255 where a shifted image shows itself, and the words that they may be taken as.

    Their shape is (2 rows + 1, 2 columns + 1, height, bytes of a row).
    """
    field = np.zeros((height + 2 * rows, (width + 2 * columns) * itemsize), dtype=np.uint8)
    field[rows : rows + height, columns * itemsize : (columns + width) * itemsize] = 255
    windows = np.lib.stride_tricks.sliding_window_view(field, (height, width * itemsize))[:, ::itemsize]
    word = next(f"u{size}" for size in (8, 4, 2, 1) if width * itemsize % size == 0)
    return (np.ascontiguousarray(windows) if windows.nbytes <= _MASKS_KEPT else windows), word


def _mirrored(X: Images) -> Images:
    """Return `X`, which is contiguous and is overwritten, with its columns in reverse order."""
    if X.dtype == np.uint8 and X.shape[-1] % 8 == 0:
        # Eight pixels at a time, column by column: rows are too short for a loop over each.
        words = X.view(np.uint64).byteswap(inplace=True).reshape(-1, X.shape[-1] // 8)
        mirrored = np.empty_like(words)
        for k in range(words.shape[1]):
            mirrored[:, k] = words[:, -1 - k]
        return mirrored.view(np.uint8).reshape(X.shape)
    return X[..., ::-1]


def _rotated(X: Images, angles: NDArray[np.float64]) -> Images:
    """Return each image turned by its angle in radians, counter-clockwise as it is seen."""
    n, channels, height, width = X.shape
    down = np.arange(height) - (height - 1) / 2
    across = np.arange(width) - (width - 1) / 2
    sine, cosine = np.sin(angles)[:, np.newaxis, np.newaxis], np.cos(angles)[:, np.newaxis, np.newaxis]
    # Where each pixel comes from, (n, height, width), in an image with a border of zeros: the inverse rotation.
    y = cosine * down[:, np.newaxis] + sine * across + (height + 1) / 2
    x = cosine * across - sine * down[:, np.newaxis] + (width + 1) / 2
    np.clip(y, 0, height + 1, out=y)
    np.clip(x, 0, width + 1, out=x)
    top, left = np.minimum(y.astype(np.intp), height), np.minimum(x.astype(np.intp), width)
    precision = np.float64 if X.dtype == np.float64 else np.float32
    lower, right = (y - top).astype(precision)[:, np.newaxis], (x - left).astype(precision)[:, np.newaxis]
    padded = np.zeros((n, channels, height + 2, width + 2), dtype=X.dtype)
    padded[:, :, 1:-1, 1:-1] = X
    images = (height + 2) * (width + 2) * np.arange(n * channels).reshape(n, channels, 1, 1)
    corner = images + (top * (width + 2) + left)[:, np.newaxis]
    flat = padded.reshape(-1)
    above = flat[corner] * (1 - right) + flat[corner + 1] * right
    below = flat[corner + width + 2] * (1 - right) + flat[corner + width + 3] * right
    turned: Images = above * (1 - lower) + below * lower
    return np.rint(turned).astype(np.uint8) if X.dtype == np.uint8 else turned.astype(X.dtype, copy=False)
