"""Scaling of the inputs, with the statistics of the training part only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import Dataset, Split
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


def standardize(dataset: Dataset) -> Dataset:
    """Standardize all three parts with the statistics of the training part.

    Parameters
    ----------
    dataset : Dataset
        Is left as it is.

    Returns
    -------
    Dataset
        With new inputs, whose names say so, and "standardize" among its transforms.
    """
    scaler = Standardizer.fit(dataset.train.X)
    train, val, test = (Split(scaler.apply(part.X), part.y) for part in (dataset.train, dataset.val, dataset.test))
    info = replace(dataset.info, feature_names=tuple(f"{name}, standardized" for name in dataset.feature_names))
    transforms = (*dataset.transforms, "standardize")
    return replace(dataset, info=info, train=train, val=val, test=test, transforms=transforms)
