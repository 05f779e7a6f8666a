"""The Olivetti faces: forty people, ten photographs of each."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, RemoteFile
from aifs_data.sources._images import digits_info, enlarged, image_arrays, read_digits
from aifs_data.splits import split_dataset
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_N_PEOPLE, _N_EACH, _SIDE = 40, 10, 64

INFO = DatasetInfo(
    name="olivetti",
    title="Olivetti faces",
    class_names=tuple(f"person {person}" for person in range(_N_PEOPLE)),
    arrays=image_arrays((1, _SIDE, _SIDE), _N_PEOPLE),
    licence="AT&T Laboratories Cambridge: free to use, with credit",
    citation="""\
@inproceedings{samaria1994parameterisation,
  author    = {Samaria, Ferdinando S. and Harter, Andy C.},
  title     = {Parameterisation of a stochastic model for human face identification},
  booktitle = {Proceedings of the IEEE Workshop on Applications of Computer Vision},
  pages     = {138--142},
  year      = {1994},
  doi       = {10.1109/ACV.1994.341300}
}""",
    homepage="https://cam-orl.co.uk/facedatabase.html",
    description="400 portraits, 64 × 64 pixels in shades of grey, taken at AT&T Laboratories Cambridge: ten of each of "
    "forty people, in changing light, with changing looks, with and without glasses. Six of the ten are to learn from.",
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read Sam Roweis' file of the faces."""
    faces = _read_faces(files["olivettifaces.mat"])
    # A column is a face, and within it one column of pixels follows another.
    yield "X", faces.T.reshape(-1, 1, _SIDE, _SIDE).transpose(0, 1, 3, 2)
    yield "y", np.repeat(np.arange(_N_PEOPLE, dtype=np.int64), _N_EACH)


def _read_faces(path: Path) -> NDArray[np.uint8]:
    import zlib

    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    content = io.BytesIO(path.read_bytes())
    # What loadmat raises over a damaged file depends on where the damage is.
    try:
        faces = loadmat(content, variable_names=["faces"]).get("faces")
    except (
        OSError,
        MatReadError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise DataError(f"{path} is damaged ({error}): delete it to get another copy") from error
    shape = (_SIDE * _SIDE, _N_PEOPLE * _N_EACH)
    if not isinstance(faces, np.ndarray) or faces.shape != shape or faces.dtype != np.uint8:
        got = f"{faces.dtype} {faces.shape}" if isinstance(faces, np.ndarray) else "none"
        raise DataError(f"{path} must hold uint8 faces {shape}, got {got}")
    return faces


DOWNLOAD = Download(
    files=(
        RemoteFile(
            path="olivetti/olivettifaces.mat",
            size=1432511,
            sha256="b1988d02c72fe5b8ee82b5ef3bb7982eafc74f1e1ff0ae0ade35061ad0af534d",
            urls=(
                "https://raw.githubusercontent.com/sjgershm/DBM/a30d9abb523aab874a299b8b1aa21e7df2023f60/olivettifaces.mat",
            ),
        ),
    ),
    decode=decode,
    arrays={
        "X": ArrayFacts(
            dtype="uint8", shape=(400, 1, _SIDE, _SIDE), low=0, high=242, digest="a83f8d7be9c76e1753e5815a35f3dd05"
        ),
        "y": ArrayFacts(
            dtype="int64",
            shape=(400,),
            low=0,
            high=39,
            counts=(_N_EACH,) * _N_PEOPLE,
            digest="f671b03b6f9f59a80e5dc2d380a7adc7",
        ),
    },
    remark="scikit-learn's copy of the file holds the same faces in other bytes, and cannot take its place.",
)


def load(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Split the portraits of each person 60 : 20 : 20."""
    return split_dataset(INFO, arrays["X"], arrays["y"], seed=seed, source="")


def standin(seed: int) -> Dataset:
    """Return forty of each handwritten digit, enlarged."""
    digits, labels = read_digits()
    rows = np.sort(np.concatenate([np.flatnonzero(labels == digit)[:40] for digit in range(10)]))
    X = enlarged(digits[rows], _SIDE)[:, np.newaxis]
    dataset = split_dataset(digits_info(INFO), X, labels[rows], seed=seed, source="standin")
    return replace(dataset, standin=f"400 of scikit-learn's digits, upscaled to {_SIDE} × {_SIDE}")


SETS = {INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin)}
