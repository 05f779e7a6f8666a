"""CIFAR-10: small photographs of ten kinds of things, whole and a CPU-sized part of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import Archive, ArrayFacts, Download, RemoteFile
from aifs_data.sources._images import digits_standin, image_arrays, official_parts
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

    Arrays = Mapping[str, NDArray[Any]]

_IMAGE = (3, 32, 32)

INFO = DatasetInfo(
    name="cifar-10",
    title="CIFAR-10, small photographs",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    arrays=image_arrays(_IMAGE, n_classes=10),
    licence="none stated by the authors; for research, citing the report",
    citation="""\
@techreport{krizhevsky2009learning,
  author      = {Krizhevsky, Alex},
  title       = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year        = {2009}
}""",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    description="50,000 colour photographs to learn from and 10,000 to test on, 32 × 32 pixels, the classes equally "
    "often. The test part is the official one, and validation is carved from the training part by seed.",
)

SMALL = replace(
    INFO,
    name="cifar-10-10k",
    title="CIFAR-10, its first training batch",
    description="The first 10,000 training photographs of CIFAR-10, 32 × 32 pixels, the classes nearly equally often, "
    "and its whole test part of 10,000. Validation is carved from the training part by seed.",
)

_ARCHIVE = Archive(
    file=RemoteFile(
        path="cifar-10/cifar-10-python.tar.gz",
        size=170498071,
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    ),
    prefix="cifar-10-batches-py/",
)


def _member(name: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(path=f"cifar-10/{name}", size=size, sha256=sha256, archive=_ARCHIVE)


_FIRST = _member("data_batch_1", 31035704, "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd")
_OTHERS = (
    _member("data_batch_2", 31035320, "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8"),
    _member("data_batch_3", 31035999, "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9"),
    _member("data_batch_4", 31035696, "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b"),
    _member("data_batch_5", 31035623, "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154"),
)
_TEST = _member("test_batch", 31035526, "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831")
_NAMES = _member("batches.meta", 158, "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb")

_TEST_ARRAYS = {
    "test_X": ArrayFacts(
        dtype="uint8", shape=(10000, *_IMAGE), low=0, high=255, digest="0a92e848042c1808c9d4d070978a1f9c"
    ),
    "test_y": ArrayFacts(
        dtype="int64", shape=(10000,), low=0, high=9, counts=(1000,) * 10, digest="39ab38efd0ecb0cd3fcdbcc190870bf6"
    ),
}


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the batches one after another: only one of them is in memory at a time."""
    _check_names(files[_NAMES.name])
    for name in sorted(files):
        if name.startswith("data_batch_"):
            yield from _read_batch("train", files[name])
    yield from _read_batch("test", files[_TEST.name])


def _check_names(path: Path) -> None:
    (names,) = _read(path, "label_names")
    expected = [name.encode() for name in INFO.class_names]
    if names != expected:
        raise DataError(f"{path} must name the classes {expected}, got {names}")


def _read_batch(part: str, path: Path) -> Blocks:
    pixels, labels = _read(path, "data", "labels")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DataError(f"{path} must hold a list of class indices, got {type(labels).__name__}")
    rows = (len(labels), int(np.prod(_IMAGE)))
    if not isinstance(pixels, np.ndarray) or pixels.shape != rows or pixels.dtype != np.uint8:
        raise DataError(f"{path} must hold uint8 pixels {rows}, got {pixels!r}")
    yield f"{part}_X", pixels.reshape(-1, *_IMAGE)
    yield f"{part}_y", np.array(labels, dtype=np.int64)


def _read(path: Path, *keys: str) -> list[Any]:
    """Return what the dict in a file has under these keys."""
    from aifs_data.python2_pickles import read_pickle

    content = read_pickle(path)
    try:
        return [content[key] for key in keys]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} must hold a dict with {', '.join(keys)}, got {type(content).__name__}") from error


DOWNLOAD = Download(
    files=(_FIRST, *_OTHERS, _TEST, _NAMES),
    decode=decode,
    arrays={
        # Without a digest: four of the files were not at hand when this was written, only their checksums.
        "train_X": ArrayFacts(dtype="uint8", shape=(50000, *_IMAGE), low=0, high=255),
        "train_y": ArrayFacts(dtype="int64", shape=(50000,), low=0, high=9, counts=(5000,) * 10),
        **_TEST_ARRAYS,
    },
)

SMALL_DOWNLOAD = Download(
    files=(_FIRST, _TEST, _NAMES),
    decode=decode,
    arrays={
        "train_X": ArrayFacts(
            dtype="uint8", shape=(10000, *_IMAGE), low=0, high=255, digest="f4adf69b42779be4dc63e7970b510f1f"
        ),
        "train_y": ArrayFacts(
            dtype="int64",
            shape=(10000,),
            low=0,
            high=9,
            counts=(1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981),
            digest="97dd601ad7f7ff8dcb98f06a00015b63",
        ),
        **_TEST_ARRAYS,
    },
    remark="A mirror may serve the three files themselves, 62 MB.",
)


def load(arrays: Arrays, seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Carve validation from the five training batches."""
    return official_parts(INFO, arrays, seed=seed, val_fraction=val_fraction)


def load_small(arrays: Arrays, seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Carve validation from the first training batch."""
    return official_parts(SMALL, arrays, seed=seed, val_fraction=val_fraction)


def standin(seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Return handwritten digits, enlarged."""
    return digits_standin(INFO, seed=seed, val_fraction=val_fraction)


def standin_small(seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Return handwritten digits, enlarged."""
    return digits_standin(SMALL, seed=seed, val_fraction=val_fraction)


SETS = {
    INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin),
    SMALL.name: Source(SMALL, load_small, download=SMALL_DOWNLOAD, standin=standin_small),
}
