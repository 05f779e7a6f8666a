"""MNIST: handwritten digits, 28 × 28 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources._images import decode_idx, digits_standin, image_arrays, official_parts

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

    from numpy.typing import NDArray

INFO = DatasetInfo(
    name="mnist",
    title="MNIST, handwritten digits",
    class_names=tuple(str(digit) for digit in range(10)),
    arrays=image_arrays((1, 28, 28), n_classes=10),
    licence="CC BY-SA 3.0, as Keras states it; the authors' page states none",
    citation="""\
@article{lecun1998gradient,
  author  = {LeCun, Yann and Bottou, Léon and Bengio, Yoshua and Haffner, Patrick},
  title   = {Gradient-based learning applied to document recognition},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998},
  doi     = {10.1109/5.726791}
}""",
    homepage="http://yann.lecun.com/exdb/mnist/",
    description="60,000 digits to learn from and 10,000 to test on, by different writers; white ink on black. The test "
    "part is the official one, and validation is carved from the training part by seed.",
)

_FILES = remote_files(
    "mnist",
    urls=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    facts={
        "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
)

DOWNLOAD = Download(
    files=tuple(_FILES.values()),
    decode=decode_idx,
    arrays={
        "train_X": ArrayFacts(
            dtype="uint8", shape=(60000, 1, 28, 28), low=0, high=255, digest="f3c049ed82eae768ed2563878851ab06"
        ),
        "train_y": ArrayFacts(
            dtype="int64",
            shape=(60000,),
            low=0,
            high=9,
            counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            digest="e51a0e47ea479195a33325642951d045",
        ),
        "test_X": ArrayFacts(
            dtype="uint8", shape=(10000, 1, 28, 28), low=0, high=255, digest="082333e0a3956e785b56e07a8f294d2c"
        ),
        "test_y": ArrayFacts(
            dtype="int64",
            shape=(10000,),
            low=0,
            high=9,
            counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
            digest="2714ef03fb42a122b6ba935cf723e3e7",
        ),
    },
)


def load(arrays: Mapping[str, NDArray[Any]], seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Carve validation from the official training part."""
    return official_parts(INFO, arrays, seed=seed, val_fraction=val_fraction)


def standin(seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Return smaller digits, enlarged."""
    return digits_standin(INFO, seed=seed, val_fraction=val_fraction)


SETS = {INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin)}
