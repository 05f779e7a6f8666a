"""What a data set is: three parts, what is known about them, and where they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a data set.

    Parameters
    ----------
    X : ndarray, shape (n_samples, n_features)
        Inputs, float64 unless the set says otherwise.
    y : ndarray of int64, shape (n_samples,)
        Class indices, from 0.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.X) != len(self.y):
            raise DataError(f"X and y have one row per sample each, got {len(self.X)} and {len(self.y)} rows")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"Split(X: {self.X.shape} {self.X.dtype}, y: {self.y.shape} {self.y.dtype})"


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known about a data set before it is loaded."""

    name: str
    title: str
    task: str = "classification"
    n_features: int
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None  # where the features are pixels: X[i].reshape(image_shape) is an image
    licence: str
    citation: str  # BibTeX
    homepage: str
    description: str


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set that is loaded and split.

    Parameters
    ----------
    info : DatasetInfo
        What it is.
    train, val, test : Split
        To learn from, to choose by, and to report on.
    source : str
        Where the numbers came from: "generated", "scikit-learn".
    is_standin : bool
        Whether they stand in for the set that was asked for. Results on a stand-in are not results on the set.
    seed : int
        What the split, and the points if they are generated, were drawn with.
    parameters : mapping
        What they were generated with (n_samples, noise, …).
    transforms : tuple of str
        What was done to the inputs afterwards, in order.
    """

    info: DatasetInfo
    train: Split
    val: Split
    test: Split
    source: str
    is_standin: bool = False
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()

    def __repr__(self) -> str:
        sizes = " + ".join(str(len(part)) for part in (self.train, self.val, self.test))
        return f"Dataset({self.name!r}, {sizes} samples, {self.source}, seed={self.seed})"

    @property
    def name(self) -> str:
        """The name that `load_dataset` knows it by."""
        return self.info.name

    @property
    def n_features(self) -> int:
        """The number of inputs of a sample."""
        return self.info.n_features

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.info.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What class 0, 1, … are called."""
        return self.info.class_names

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the inputs are called."""
        return self.info.feature_names

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the type, shape and bytes of the six arrays, as "sha256:…"."""
        import hashlib

        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            for array in (part.X, part.y):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return f"sha256:{digest.hexdigest()}"

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run's manifest keeps, in JSON types: with it the same data can be had again, and recognised."""
        return {
            "name": self.name,
            "source": self.source,
            "is_standin": self.is_standin,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "transforms": list(self.transforms),
            "digest": self.digest,
            "licence": self.info.licence,
        }


class Source(NamedTuple):
    """How a data set is had: one entry of a module in ``sources/``.

    Parameters
    ----------
    info : DatasetInfo
        What it is.
    load : callable
        ``load(seed, **parameters) -> Dataset``. Its keyword-only parameters are those that `load_dataset` accepts for
        this set, their defaults included.
    origins : tuple of str
        The values of `load_dataset`'s `source` that are possible, beside "auto".
    """

    info: DatasetInfo
    load: Callable[..., Dataset]
    origins: tuple[str, ...] = ("generated",)
