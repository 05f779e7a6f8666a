"""What the two sets of film reviews share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Split, class_indices
from aifs_data.sources._text import choose_words, renamed, sentence_blocks, stored_rows, unpacked
from aifs_data.vocabulary import PAD, UNK, split_words

if TYPE_CHECKING:  # it takes milliseconds to import
    from aifs_data.downloads import Blocks
    from aifs_data.sources._text import Arrays
    from aifs_data.splits import Parts

CLASS_NAMES = ("negative", "positive")
SPECS = {
    "X": ArraySpec(dtype="int32", shape=("n_samples", "length"), low=0, meaning="word ids"),
    "y": class_indices(len(CLASS_NAMES)),
}
STANDIN = "made-up sentences on films, praise and blame drawn from a small grammar"


def review_blocks(reviews: Sequence[tuple[str, int]], splitting: str) -> Blocks:
    """Return sentences as positions in the list of their words, in small letters, and their classes."""
    yield from sentence_blocks("x", (split_words(text, splitting=splitting, lowercase=True) for text, _ in reviews))
    yield "y", np.array([label for _, label in reviews], dtype=np.int64)


def load_reviews(
    info: DatasetInfo, arrays: Arrays, parts: Parts, *, seed: int, min_count: int, splitting: str
) -> Dataset:
    """Return the reviews of these parts, with the vocabulary of the first."""
    rows, y = stored_rows(arrays, "x"), arrays["y"]
    samples = [rows.take(part) for part in parts]
    vocabulary, table = choose_words(
        unpacked(arrays["x_words"]),
        samples[0].values,
        specials=(PAD, UNK),
        min_count=min_count,
        splitting=splitting,
    )
    train, val, test = (Split(renamed(X, table), y[part]) for X, part in zip(samples, parts, strict=True))
    return Dataset(info, train, val, test, source="", seed=seed, vocabulary=vocabulary)
