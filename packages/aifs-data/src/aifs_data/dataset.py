"""What a data set is: three parts, what is known about them, and where they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_data.arrays import Ragged, components, take_rows
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.downloads import Download
    from aifs_data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a data set.

    Parameters
    ----------
    X : ndarray or Ragged, shape (n_samples, …)
        Inputs. Their type, shape and range are in the set's ``info.specs``.
    y : ndarray or Ragged, shape (n_samples, …)
        Targets: class indices from 0 (int64) unless the set says otherwise.
    extras : mapping of str to ndarray or Ragged
        What some sets have beside them, row for row: "boxes", "instances".
    """

    X: Any
    y: Any
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            if _n_rows(array) != len(self):
                raise DataError(f"X and {name} have one row per sample each, got {len(self)} and {_n_rows(array)} rows")

    def __len__(self) -> int:
        return _n_rows(self.X)

    def __repr__(self) -> str:
        return f"Split({', '.join(f'{name}: {_short(array)}' for name, array in self.arrays.items())})"

    @property
    def arrays(self) -> dict[str, Any]:
        """All of its arrays, by name."""
        return {"X": self.X, "y": self.y, **self.extras}

    def take(self, rows: NDArray[np.intp]) -> Split:
        """Return these rows of every array, as arrays of their own."""
        X, y, *others = (take_rows(array, rows) for array in self.arrays.values())
        return Split(X, y, dict(zip(self.extras, others, strict=True)))


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """What an array of a part holds.

    Parameters
    ----------
    dtype : str
        "uint8", say.
    shape : tuple of int and str
        A text names an axis whose length is no promise: "n_samples", "length". Sequences of different lengths
        (`Ragged`) have the axis "length".
    low, high : number, optional
        The least and the greatest value that may occur.
    meaning : str
        In a few words, "pixels, 0 is black".
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None
    meaning: str = ""

    def __str__(self) -> str:
        shape = ", ".join(map(str, self.shape)) + ("," if len(self.shape) == 1 else "")
        bounds = "" if self.low is None or self.high is None else f", {self.low:g} to {self.high:g}"
        return f"{self.dtype} ({shape}){bounds}" + (f": {self.meaning}" if self.meaning else "")


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known about a data set before it is loaded.

    `n_features` is 0 where a sample is not a list of so many numbers. `arrays` is empty for a table of float64 features
    with a class each; `specs` is right for all.
    """

    name: str
    title: str
    task: str = "classification"
    n_features: int = 0
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None  # where the features are pixels: X[i].reshape(image_shape) is an image
    arrays: Mapping[str, ArraySpec] = field(default_factory=dict)
    licence: str
    citation: str  # BibTeX
    homepage: str
    description: str

    @property
    def specs(self) -> Mapping[str, ArraySpec]:
        """What the arrays of a part hold."""
        return self.arrays or {
            "X": ArraySpec(dtype="float64", shape=("n_samples", self.n_features), meaning="features"),
            "y": class_indices(len(self.class_names)),
        }


def class_indices(n_classes: int) -> ArraySpec:
    """What the targets of a classification hold."""
    return ArraySpec(dtype="int64", shape=("n_samples",), low=0, high=n_classes - 1, meaning="class indices")


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph whose nodes are to be classified; a part's ``X`` holds the nodes that it consists of.

    Parameters
    ----------
    features : scipy.sparse.csr_array, shape (n_nodes, n_features)
    adjacency : scipy.sparse.csr_array of float32, shape (n_nodes, n_nodes)
        1 where two nodes are neighbours; symmetric, without self-loops.
    labels : ndarray of int64, shape (n_nodes,)
        Class indices of all nodes, those of validation and test included; -1 where a node has none.
    """

    features: Any
    adjacency: Any
    labels: NDArray[np.int64]

    @property
    def n_nodes(self) -> int:
        """The number of nodes."""
        return len(self.labels)


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
        Where the numbers came from: "generated", "scikit-learn"; "cache", "mirror", "primary"; "standin".
    standin : str
        What they are, where they stand in for the set that was asked for; otherwise empty. Results on a stand-in are
        not results on the set.
    seed : int
        What the split, and the points if they are generated, were drawn with.
    parameters : mapping
        What they were generated with (n_samples, noise, …).
    transforms : tuple of str
        What was done to the inputs afterwards, in order.
    vocabulary, target_vocabulary : Vocabulary, optional
        What the token ids in X, and those in y, stand for.
    graph : Graph, optional
        Where the samples are nodes of one graph.
    draw : callable, optional
        Where there are samples without end: ``draw(part, rows)`` returns the `Split` of the samples with these numbers
        of "train", "val" or "test". A sample is a pure function of (seed, part, number), so ``train`` is
        ``draw("train", np.arange(len(train)))``.
    """

    info: DatasetInfo
    train: Split
    val: Split
    test: Split
    source: str
    standin: str = ""
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    target_vocabulary: Vocabulary | None = None
    graph: Graph | None = None
    draw: Callable[[str, NDArray[np.intp]], Split] | None = None

    def __repr__(self) -> str:
        sizes = " + ".join(str(len(part)) for part in (self.train, self.val, self.test))
        source = f"STAND-IN: {self.standin}" if self.standin else self.source
        return f"Dataset({self.name!r}, {sizes} samples, {source}, seed={self.seed})"

    @property
    def is_standin(self) -> bool:
        """Whether other data stands in for the set that was asked for."""
        return bool(self.standin)

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
        """SHA-256 over the type, shape and bytes of all arrays, as "sha256:…"."""
        import hashlib

        digest = hashlib.sha256()
        arrays = [array for part in (self.train, self.val, self.test) for array in part.arrays.values()]
        if self.graph is not None:
            arrays += [self.graph.features, self.graph.adjacency, self.graph.labels]
        for array in arrays:
            for component in components(array):
                digest.update(f"{component.dtype.str}{component.shape}".encode())
                digest.update(component.data)
        return f"sha256:{digest.hexdigest()}"

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run's manifest keeps, in JSON types: with it the same data can be had again, and recognised."""
        return {
            "name": self.name,
            "title": self.info.title,
            "source": self.source,
            "is_standin": self.is_standin,
            "standin": self.standin,
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
        ``load(seed, **parameters) -> Dataset``, or ``load(arrays, seed, **parameters)`` where there is a `download`,
        with the decoded arrays by name. Its keyword-only parameters, and those of the download's ``decode``, are those
        that `load_dataset` accepts for this set, their defaults included.
    origins : tuple of str
        The values of `load_dataset`'s `source` that are possible beside "auto", where nothing is downloaded.
    download : Download, optional
        The files, and how they become arrays.
    standin : callable, optional
        ``standin(seed, **parameters) -> Dataset``, for when the files cannot be had: needs no network, takes the same
        parameters, and says in the field `standin` what it is.
    """

    info: DatasetInfo
    load: Callable[..., Dataset]
    origins: tuple[str, ...] = ("generated",)
    download: Download | None = None
    standin: Callable[..., Dataset] | None = None


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters, with their defaults, of a function that is written with ``def``."""
    if not hasattr(function, "__kwdefaults__"):  # a partial, say: what it binds is no parameter, and not to be lost
        raise TypeError(f"expected a function written with def, whose parameters can be read, got {function!r}")
    return dict(function.__kwdefaults__ or {})


def _n_rows(array: Any) -> int:
    return int(array.shape[0]) if hasattr(array, "shape") else len(array)


def _short(array: Any) -> str:
    return repr(array) if isinstance(array, Ragged) else f"{array.shape} {array.dtype}"
