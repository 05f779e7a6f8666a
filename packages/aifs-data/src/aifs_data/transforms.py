"""Scaling of the inputs, with the statistics of the training part only.

`standardize` scales a whole data set, feature by feature; `Normalize` scales images batch by batch, so that a set stays
as small as its uint8 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import ArraySpec, Dataset, Split
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Shift and scale each feature to mean 0 and standard deviation 1 on the samples it was fitted to.

    Parameters
    ----------
    mean, scale : ndarray, shape (n_features,)
        What is subtracted, and what the difference is then divided by.

    Examples
    --------
    >>> import numpy as np
    >>> Standardizer.fit(np.array([[0.0, 7.0], [4.0, 7.0]])).apply(np.array([[6.0, 8.0]]))
    array([[2., 1.]])
    """

    mean: NDArray[Any]
    scale: NDArray[Any]

    @classmethod
    def fit(cls, X: NDArray[Any]) -> Standardizer:
        """Take mean and standard deviation over the first axis of `X`; a feature that is constant is only shifted.

        Raises
        ------
        DataError
            When `X` has no samples, or values that are not finite.
        """
        if len(X) == 0:
            raise DataError(f"at least one sample is needed to standardize, got shape {X.shape}")
        mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        if not np.isfinite(deviation).all():
            raise DataError("only finite numbers can be standardized: X holds NaN or infinity, remove those samples")
        # Not deviation > 0: rounding gives a constant 0.1 a deviation of 1e-17, and dividing by that makes it noise.
        varies = X.max(axis=0) > X.min(axis=0)
        return cls(mean, np.where(varies & (deviation > 0), deviation, 1.0))

    def apply(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return ``(X - mean) / scale``, in the floating type of `X`."""
        dtype = X.dtype if np.issubdtype(X.dtype, np.floating) else np.float64
        scaled: NDArray[Any] = ((X - self.mean) / self.scale).astype(dtype, copy=False)
        return scaled


_READ_AT_ONCE = 4 << 20  # values


@dataclass(frozen=True, eq=False)
class Normalize:
    """Shift and scale images, and make them float32: ``(X - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of float, shape (channels,)
        In the units of the images: those of uint8 pixels are from 0 to 255. Numbers hold for every channel.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[[[0, 255]]]], dtype=np.uint8)
    >>> Normalize.unit().apply(X)
    array([[[[0., 1.]]]], dtype=float32)
    >>> Normalize.fit(X).apply(X)
    array([[[[-1.,  1.]]]], dtype=float32)
    """

    mean: Any
    std: Any
    _scale: Any = field(init=False, repr=False)  # one multiplication and one addition are faster than
    _shift: Any = field(init=False, repr=False)  # a subtraction and a division; None where nothing is added

    def __post_init__(self) -> None:
        mean, std = np.asarray(self.mean, dtype=np.float64), np.asarray(self.std, dtype=np.float64)
        if mean.shape != std.shape or mean.ndim > 1 or not np.isfinite([mean, std]).all() or not (std > 0).all():
            raise DataError(
                "mean and std are finite numbers, or one for each channel in both, and std is above 0, "
                f"got mean={self.mean!r} and std={self.std!r}"
            )
        shape = (-1, 1, 1) if mean.ndim else ()
        # [()] makes a number, which is faster to multiply by, of an array without axes.
        scale, shift = (values.astype(np.float32).reshape(shape)[()] for values in (1 / std, -mean / std))
        object.__setattr__(self, "_scale", scale)
        object.__setattr__(self, "_shift", shift if mean.any() else None)

    @classmethod
    def unit(cls) -> Normalize:
        """Return the scaling of uint8 pixels to numbers from 0 to 1."""
        return cls(0.0, 255.0)

    @classmethod
    def fit(cls, X: NDArray[Any]) -> Normalize:
        """Take mean and standard deviation of each channel of `X`, shape (n_samples, channels, height, width).

        `X` is read piece by piece in double precision; a channel that is constant is only shifted.

        Raises
        ------
        DataError
            When `X` has no samples, values that are not finite, or another shape.
        """
        if X.ndim != 4 or X.size == 0:
            raise DataError(
                "images to normalize have shape (n_samples, channels, height, width) and at least one sample, "
                f"got {X.shape}: use `standardize` for samples that are lists of features"
            )
        count, mean, squares = 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
        step = max(1, _READ_AT_ONCE // (X.size // len(X)))
        for first in range(0, len(X), step):
            piece = X[first : first + step].astype(np.float64)
            n = piece.size // X.shape[1]
            difference = piece.mean(axis=(0, 2, 3)) - mean
            piece -= (mean + difference)[:, np.newaxis, np.newaxis]
            # Chan, Golub, LeVeque 1979: merging sums of squares about two means without cancellation.
            squares += np.einsum("nchw,nchw->c", piece, piece) + difference**2 * count * n / (count + n)
            mean, count = mean + difference * n / (count + n), count + n
        if not np.isfinite(squares).all():
            raise DataError("only finite numbers can be normalized: X holds NaN or infinity, remove those samples")
        std = np.sqrt(squares / count)
        # Not std > 0: rounding gives a constant 0.1 a deviation of 1e-17.
        return cls(mean, np.where(std > 1e-12 * np.abs(mean), std, 1.0))

    def apply(self, X: NDArray[Any], *, in_place: bool = False) -> NDArray[np.float32]:
        """Return `X` normalized, as float32; `in_place` permits that `X` itself is changed where it is float32.

        Parameters
        ----------
        X : ndarray, shape (n, channels, height, width)
            Any shape where mean and std are numbers.
        """
        scaled = X.astype(np.float32, copy=not in_place)
        scaled *= self._scale
        if self._shift is not None:
            scaled += self._shift
        return scaled


def standardize(dataset: Dataset) -> Dataset:
    """Standardize all three parts of a table with the statistics of the training part.

    Parameters
    ----------
    dataset : Dataset
        With inputs of shape (n_samples, n_features). Is left as it is.

    Returns
    -------
    Dataset
        With new inputs, whose names say so, and "standardize" among its transforms.

    Raises
    ------
    DataError
        When the inputs are no table of measurements: token ids and nodes have no mean, images are normalized by their
        loader.
    """
    X = dataset.train.X
    if not isinstance(X, np.ndarray) or X.ndim != 2 or dataset.vocabulary is not None:
        what = f"{X.dtype} {X.shape}" if isinstance(X, np.ndarray) else repr(X)
        raise DataError(
            f"inputs to standardize are numbers of shape (n_samples, n_features), those of {dataset.name} are {what}: "
            "leave ids as they are, and give create_data_loaders normalize='standard' for images"
        )
    scaler = Standardizer.fit(X)
    parts = (dataset.train, dataset.val, dataset.test)
    train, val, test = (Split(scaler.apply(part.X), part.y, part.extras) for part in parts)
    spec = ArraySpec(dtype=str(train.X.dtype), shape=("n_samples", X.shape[1]), meaning="features, standardized")
    info = replace(
        dataset.info,
        feature_names=tuple(f"{name}, standardized" for name in dataset.feature_names),
        arrays={**dataset.info.specs, "X": spec},
    )
    transforms = (*dataset.transforms, "standardize")
    # What is drawn later would not be standardized.
    return replace(dataset, info=info, train=train, val=val, test=test, transforms=transforms, draw=None)
