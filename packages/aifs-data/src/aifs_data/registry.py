"""Data sets by name.

The registry is the folder ``sources/``: ``sources/iris.py`` holds, in its dict ``SETS``, the set "iris" and those whose
names begin with "iris-". So a set is added by adding a file, and only the file that is asked for is imported.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from aifs_data import sources
from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, Source, keyword_defaults
from aifs_data.validation import check_dataset
from aifs_utils import DataError, look_up

logger = logging.getLogger(__name__)


DOWNLOAD_SOURCES = ("primary", "mirror", "cache", "standin")


def load_dataset(
    name: str,
    *,
    seed: int = 0,
    root: str | os.PathLike[str] | None = None,
    source: str = "auto",
    **parameters: Any,
) -> Dataset:
    """Load a data set by its name, split and checked.

    Parameters
    ----------
    name : str
        One of `list_datasets`.
    seed : int
        At least 0. The split, where it is not official, and the points, if they are generated, are a pure function of
        it and of `parameters`.
    root : path-like, optional
        The folder that keeps downloads; by default the environment's AIFS_DATA_DIR, or the platform's cache folder.
    source : str
        Where to take a set from that is downloaded: "primary" (its public URLs), "mirror" (the environment's
        AIFS_DATA_MIRROR), "cache" (no network), "standin" (other data that needs none). What is in the cache already
        is not downloaded again. "auto" tries cache, mirror and public URLs, and where none of them has the set, it
        warns and takes the stand-in. Sets that are generated or shipped are always here, and are their own "primary".
    **parameters
        What the set can be varied by (n_samples, noise, …); `describe` lists them.

    Returns
    -------
    Dataset
        Its `provenance` says what was loaded.

    Raises
    ------
    DataError
        When the name, a parameter or the source is unknown or out of range; when a set cannot be had from the source
        that was asked for; when data are not what the registry says that they are.

    Examples
    --------
    >>> dataset = load_dataset("moons", seed=1, noise=0.1)
    >>> len(dataset.train), len(dataset.val), len(dataset.test)
    (300, 100, 100)
    """
    entry = find_source(name)
    seed = require_count("seed", seed, at_least=0)
    look_up(dict.fromkeys(("auto", *_sources(entry))), source, f"source of {name}", DataError)
    accepted = parameters_of(entry)
    for parameter in parameters:
        look_up(accepted, parameter, f"parameter of {name}", DataError)
    # .item(): a manifest takes Python's numbers, not NumPy's.
    given = {key: value.item() if isinstance(value, np.generic) else value for key, value in parameters.items()}
    load = partial(entry.load, seed) if entry.download is None else partial(_load_download, entry, seed, root, source)
    dataset = replace(load(**given), parameters={**accepted, **given})
    check_dataset(dataset)
    return dataset


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
    entry = find_source(name)
    info = entry.info
    rows = {"task": info.task}
    rows |= {array: str(spec) for array, spec in info.specs.items()}
    if info.class_names:
        rows["classes"] = f"{len(info.class_names)}: {', '.join(info.class_names)}"
    rows["parameters"] = ", ".join(f"{key}={value!r}" for key, value in parameters_of(entry).items()) or "none"
    rows["sources"] = ", ".join(("auto", *_sources(entry)))
    if entry.download is not None:
        rows["download"] = f"{entry.download.size / 1e6:.1f} MB. {entry.download.remark}".rstrip(". ") + "."
    rows |= {"licence": info.licence, "homepage": info.homepage}
    table = "\n".join(_row(label, text) for label, text in rows.items())
    return f"{info.name}: {info.title}\n\n{_wrapped(info.description)}\n\n{table}\n\n{info.citation}"


def parameters_of(entry: Source) -> dict[str, Any]:
    """Return the parameters that `load_dataset` accepts for a set, with their defaults."""
    decode = keyword_defaults(entry.download.decode) if entry.download else {}
    return decode | keyword_defaults(entry.load)


def _row(label: str, text: str) -> str:
    return _wrapped(text, f"  {label:<12}", " " * 14)


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    from textwrap import fill

    return fill(
        text, 100, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _load_download(entry: Source, seed: int, root: str | os.PathLike[str] | None, source: str, **given: Any) -> Dataset:
    """Load a set that is downloaded, or what stands in for it."""
    # Here, since sets that are not downloaded need neither.
    from aifs_data.cache import load_arrays
    from aifs_data.downloads import Unavailable

    assert entry.download is not None
    assert entry.standin is not None
    name = entry.info.name
    if source == "standin":
        return entry.standin(seed, **given)
    options = keyword_defaults(entry.download.decode)
    options |= {key: given.pop(key) for key in options if key in given}
    try:
        arrays, came_from = load_arrays(name, entry.download, options=options, root=root, source=source)
    except Unavailable as error:
        if source != "auto":
            raise
        dataset = entry.standin(seed, **options, **given)
        logger.info("%s", error)
        logger.warning(
            "%s cannot be had (%s): a STAND-IN comes instead, %s; results on it are no results on %s",
            *(name, error.reason, dataset.standin, name),
        )
        return dataset
    return replace(entry.load(arrays, seed, **given), source=came_from)


def _sources(entry: Source) -> tuple[str, ...]:
    """Return the values of `source` that a set has, beside "auto"."""
    return (*entry.origins, "primary", "cache") if entry.download is None else DOWNLOAD_SOURCES


def find_source(name: str) -> Source:
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
