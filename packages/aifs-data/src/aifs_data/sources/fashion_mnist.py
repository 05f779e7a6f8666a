"""Fashion-MNIST: pieces of clothing in the format of MNIST, and harder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources._images import decode_idx, digits_standin, image_arrays, official_parts

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

    from numpy.typing import NDArray

INFO = DatasetInfo(
    name="fashion-mnist",
    title="Fashion-MNIST, pieces of clothing",
    class_names=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    arrays=image_arrays((1, 28, 28), n_classes=10),
    licence="MIT (Zalando SE)",
    citation="""\
@misc{xiao2017fashion,
  author        = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  title         = {Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  year          = {2017},
  eprint        = {1708.07747},
  archiveprefix = {arXiv}
}""",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    description="60,000 photographs of clothing to learn from and 10,000 to test on, 28 × 28 pixels, the classes "
    "equally often. The test part is the official one, and validation is carved from the training part by seed.",
)

_FILES = remote_files(
    "fashion-mnist",
    urls=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
        "https://ossci-datasets.s3.amazonaws.com/fashion-mnist/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    facts={
        "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
)

DOWNLOAD = Download(
    files=tuple(_FILES.values()),
    decode=decode_idx,
    # Without digests: the files were not at hand when this was written, only their checksums.
    arrays={
        "train_X": ArrayFacts(dtype="uint8", shape=(60000, 1, 28, 28), low=0, high=255),
        "train_y": ArrayFacts(dtype="int64", shape=(60000,), low=0, high=9, counts=(6000,) * 10),
        "test_X": ArrayFacts(dtype="uint8", shape=(10000, 1, 28, 28), low=0, high=255),
        "test_y": ArrayFacts(dtype="int64", shape=(10000,), low=0, high=9, counts=(1000,) * 10),
    },
)


def load(arrays: Mapping[str, NDArray[Any]], seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Carve validation from the official training part."""
    return official_parts(INFO, arrays, seed=seed, val_fraction=val_fraction)


def standin(seed: int, *, val_fraction: float = 0.1) -> Dataset:
    """Return handwritten digits, enlarged."""
    return digits_standin(INFO, seed=seed, val_fraction=val_fraction)


SETS = {INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin)}
