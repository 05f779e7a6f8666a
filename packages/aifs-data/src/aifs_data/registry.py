"""Data sets by name.

The registry is the folder ``sources/``: ``sources/iris.py`` holds, in its dict ``SETS``, the set "iris" and those whose
names begin with "iris-". So a set is added by adding a file, and only the file that is asked for is imported.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from aifs_data import sources
from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, Source
from aifs_utils import DataError, look_up


def load_dataset(
    name: str,
    *,
    seed: int = 0,
    root: str | os.PathLike[str] | None = None,
    source: str = "auto",
    **parameters: Any,
) -> Dataset:
    """Load a data set and split it.

    Parameters
    ----------
    name : str
        One of `list_datasets`.
    seed : int
        At least 0. The split, and the points if they are generated, are a pure function of it and of `parameters`.
    root : path-like, optional
        The folder of downloaded data. No set of this version is downloaded, so none looks there.
    source : str
        Where to take the numbers from; "auto" takes the best there is. `describe` lists the others.
    **parameters
        What the set can be varied by (n_samples, noise, …); `describe` lists them.

    Returns
    -------
    Dataset
        Its `provenance` says what was loaded.

    Raises
    ------
    DataError
        When the name, a parameter or the source is unknown or out of range.

    Examples
    --------
    >>> dataset = load_dataset("moons", seed=1, noise=0.1)
    >>> len(dataset.train), len(dataset.val), len(dataset.test)
    (300, 100, 100)
    """
    entry = _find(name)
    seed = require_count("seed", seed, at_least=0)
    look_up(dict.fromkeys(("auto", *entry.origins)), source, f"source of {name}", DataError)
    accepted = _accepted(entry)
    for parameter in parameters:
        look_up(accepted, parameter, f"parameter of {name}", DataError)
    # .item(): a manifest takes Python's numbers, not NumPy's.
    given = {key: value.item() if isinstance(value, np.generic) else value for key, value in parameters.items()}
    dataset = entry.load(seed, **given)
    return replace(dataset, parameters={**accepted, **given})


def list_datasets() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(_all_sets())


def describe(name: str) -> str:
    """Return a card that says what a data set is, what it accepts, and whom to cite.

    Raises
    ------
    DataError
        When there is no such set.
    """
    entry = _find(name)
    info = entry.info
    parameters = ", ".join(f"{key}={value}" for key, value in _accepted(entry).items())
    rows = {
        "task": f"{info.task}, {info.n_features} features, {len(info.class_names)} classes",
        "classes": ", ".join(info.class_names),
        "parameters": parameters or "none",
        "sources": ", ".join(("auto", *entry.origins)),
        "licence": info.licence,
        "homepage": info.homepage,
    }
    table = "\n".join(f"  {key:<12}{value}" for key, value in rows.items())
    return f"{info.name}: {info.title}\n\n{info.description}\n\n{table}\n\n{info.citation}"


def _accepted(entry: Source) -> dict[str, Any]:
    """Return the parameters of a set with their defaults."""
    return dict(getattr(entry.load, "__kwdefaults__", None) or {})


def _find(name: str) -> Source:
    """Return the entry of that name, importing no other file of sources/ than its own."""
    modules = set(_modules())
    words = str(name).split("-")
    for n_words in range(len(words), 0, -1):
        stem = "_".join(words[:n_words])
        for module in (stem, f"{stem}_"):  # and_.py, since `and` is a word of the language
            if module in modules and name in _sets(module):
                return _sets(module)[name]
    return look_up(_all_sets(), name, "data set", DataError)


def _all_sets() -> dict[str, Source]:
    return dict(sorted(item for module in _modules() for item in _sets(module).items()))


def _modules() -> Iterator[str]:
    """List the modules of sources/, those that begin with an underscore left out."""
    # os.listdir, since importing pathlib would take longer than all of this.
    files = (file for folder in sources.__path__ for file in os.listdir(folder))  # noqa: PTH208
    return (file.removesuffix(".py") for file in files if file.endswith(".py") and not file.startswith("_"))


def _sets(module: str) -> dict[str, Source]:
    sets: dict[str, Source] = import_module(f"{sources.__name__}.{module}").SETS
    return sets
