"""RT-polarity: sentences of film reviews, positive or negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources import _grammar
from aifs_data.sources._sentiment import CLASS_NAMES, SPECS, STANDIN, load_reviews, review_blocks
from aifs_data.sources._text import gathered, made_up, read_lines
from aifs_data.splits import split_indices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_SPLITTING = "punctuation"

INFO = DatasetInfo(
    name="rt-polarity",
    title="Film reviews by sentence, two classes",
    class_names=CLASS_NAMES,
    arrays=SPECS,
    licence="none stated (research use)",
    citation="""\
@inproceedings{pang2005seeing,
  author    = {Pang, Bo and Lee, Lillian},
  title     = {Seeing stars: Exploiting class relationships for sentiment categorization with respect to rating scales},
  booktitle = {Proceedings of ACL},
  pages     = {115--124},
  year      = {2005}
}""",
    homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
    description="5,331 positive and 5,331 negative sentences of film reviews, in small letters, no two the same. There "
    "is no official split, and papers report ten-fold cross-validation: here it is 80 : 10 : 10 by seed, each "
    "class for itself. Words are split by aifs_data.vocabulary.split_words; those that occur in the training part "
    "less often than min_count are <unk>.",
)

_FILES = remote_files(
    "rt-polarity",
    urls=(
        "https://raw.githubusercontent.com/dennybritz/cnn-text-classification-tf/"
        "18762b459e21d9c70e5c242f8d43fc4e6db37a0d/data/rt-polaritydata/",
    ),
    facts={
        "rt-polarity.pos": (626395, "4134882974a28d0c7b5151256f0e33a6169984ee7372c279e673f1114f475d58"),
        "rt-polarity.neg": (612506, "2d11cfbc790f1cd96d78339f41ce53ced1efa83cd22d37d6788fa3fe3d17e2fd"),
    },
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read both classes, the negative one first."""
    texts = [read_lines(files[f"rt-polarity.{ending}"]) for ending in ("neg", "pos")]
    return review_blocks([(text, label) for label, of_class in enumerate(texts) for text in of_class], _SPLITTING)


def load(arrays: Mapping[str, NDArray[Any]], seed: int, *, min_count: int = 2) -> Dataset:
    """Split the sentences."""
    parts = split_indices(arrays["y"], seed=seed, val_fraction=0.1, test_fraction=0.1)
    return load_reviews(INFO, arrays, parts, seed=seed, min_count=min_count, splitting=_SPLITTING)


def standin(seed: int, *, min_count: int = 2) -> Dataset:
    """Return 3,000 made-up sentences, 2,400 for training."""
    arrays = gathered(review_blocks(_grammar.reviews(seed, 3000), _SPLITTING))
    return made_up(load(arrays, seed, min_count=min_count), STANDIN)


SETS = {
    INFO.name: Source(
        INFO,
        load,
        download=Download(
            files=tuple(_FILES.values()),
            decode=decode,
            arrays={
                "x_words": ArrayFacts(
                    dtype="uint8", shape=(159976,), low=10, high=226, digest="f95427c879d737e0ef0f67bd4c0ff164"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(234139,), low=0, high=19078, digest="3e83197a0a599895d0e5ab19bedf34d6"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(10663,), low=0, high=234139, digest="0a642199b5570ff65d151d8a03901236"
                ),
                "y": ArrayFacts(
                    dtype="int64",
                    shape=(10662,),
                    low=0,
                    high=1,
                    counts=(5331, 5331),
                    digest="d04406be9e27a9e4b3b388ac89377a4d",
                ),
            },
        ),
        standin=standin,
    )
}
