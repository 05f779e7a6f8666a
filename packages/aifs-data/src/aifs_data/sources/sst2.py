"""SST-2: sentences of film reviews, positive or negative, with the official split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources import _grammar
from aifs_data.sources._sentiment import CLASS_NAMES, SPECS, STANDIN, load_reviews, review_blocks
from aifs_data.sources._text import gathered, made_up, read_lines
from aifs_data.splits import parts_in_order
from aifs_utils import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_PARTS = ("train.tsv", "dev.tsv", "test.tsv")
_SPLITTING = "spaces"

INFO = DatasetInfo(
    name="sst2",
    title="Stanford Sentiment Treebank, sentences, two classes",
    class_names=CLASS_NAMES,
    arrays=SPECS,
    licence="none stated (research use)",
    citation="""\
@inproceedings{socher2013recursive,
  author    = {Socher, Richard and Perelygin, Alex and Wu, Jean and Chuang, Jason and Manning, Christopher D. and
               Ng, Andrew and Potts, Christopher},
  title     = {Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank},
  booktitle = {Proceedings of EMNLP},
  pages     = {1631--1642},
  year      = {2013}
}""",
    homepage="https://nlp.stanford.edu/sentiment/",
    description="9,613 sentences of film reviews, in small letters and split at spaces as published; neutral ones are "
    "left out. The official split: 6,920 for training, 872 for validation, 1,821 for testing. As published, two of "
    'the test sentences are in the training part too: "no" and "what \'s next ?". Words that occur in the '
    "training part less often than min_count are <unk>.",
)

_FILES = remote_files(
    "sst2",
    urls=(
        "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/"
        "457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/",
    ),
    facts={
        "train.tsv": (720259, "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920"),
        "dev.tsv": (92057, "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359"),
        "test.tsv": (188749, "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7"),
    },
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the three parts."""
    return _blocks([[_labelled(line, name) for line in read_lines(files[name])] for name in _PARTS])


def _labelled(line: str, name: str) -> tuple[str, int]:
    text, _, label = line.rpartition("\t")
    if not text or label not in ("0", "1"):
        raise DataError(f"{name} is expected to have lines of a sentence, a tab and 0 or 1, got {line!r}")
    return text, int(label)


def _blocks(parts: Sequence[Sequence[tuple[str, int]]]) -> Blocks:
    yield from review_blocks([review for part in parts for review in part], _SPLITTING)
    yield "sizes", np.array([len(part) for part in parts], dtype=np.int64)


def load(arrays: Mapping[str, NDArray[Any]], seed: int, *, min_count: int = 2) -> Dataset:
    """Return the official split."""
    parts = parts_in_order(arrays["sizes"])
    return load_reviews(INFO, arrays, parts, seed=seed, min_count=min_count, splitting=_SPLITTING)


def standin(seed: int, *, min_count: int = 2) -> Dataset:
    """Return 3,000 made-up sentences, 2,400 for training."""
    reviews = _grammar.reviews(seed, 3000)
    arrays = gathered(_blocks([reviews[:2400], reviews[2400:2700], reviews[2700:]]))
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
                    dtype="uint8", shape=(134658,), low=10, high=122, digest="a94f6dcc57f14aae00c6a5d87f02d6a0"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(178080,), low=0, high=16187, digest="f71a77c701a8d87e563d2e1a725b531a"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(9614,), low=0, high=178080, digest="241a8fde71da68df8d65800ec6688c3a"
                ),
                "y": ArrayFacts(
                    dtype="int64",
                    shape=(9613,),
                    low=0,
                    high=1,
                    counts=(4650, 4963),
                    digest="a6ba1a80fb07cc2649e8552af9d1b88f",
                ),
                "sizes": ArrayFacts(
                    dtype="int64", shape=(3,), low=872, high=6920, digest="95f3d22a6ab40ea407b38f61e34a6cfe"
                ),
            },
        ),
        standin=standin,
    )
}
