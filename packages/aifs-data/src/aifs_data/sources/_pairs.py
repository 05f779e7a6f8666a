"""What the sets of sentence pairs share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Split
from aifs_data.sources import _grammar
from aifs_data.sources._text import choose_words, renamed, sentence_blocks, stored_rows, unpacked
from aifs_data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary, split_words

if TYPE_CHECKING:  # it takes milliseconds to import
    from aifs_data.downloads import Blocks
    from aifs_data.sources._text import Arrays
    from aifs_data.splits import Parts

SPECS = {
    "X": ArraySpec(dtype="int32", shape=("n_samples", "length"), low=0, meaning="word ids, <eos> at the end"),
    "y": ArraySpec(dtype="int32", shape=("n_samples", "length"), low=0, meaning="word ids, from <bos> to <eos>"),
}
STANDIN = 'made-up pairs, dates in words and in digits ("the third of march …" is "1 9 9 7 - 0 3 - 0 3")'
# How sentences are split into words, see `aifs_data.vocabulary.split_words`.
PUNCTUATION = "punctuation"
ELISION = "elision"  # for French: l'homme is l' homme

_SPECIALS = (PAD, UNK, BOS, EOS)


def tokenized(sentences: Iterable[str], splitting: str) -> Iterator[list[str]]:
    """Return sentences as their words, in small letters."""
    return (split_words(sentence, splitting=splitting, lowercase=True) for sentence in sentences)


def pair_blocks(sources: Iterable[Sequence[str]], targets: Iterable[Sequence[str]]) -> Blocks:
    """Return pairs of sentences as positions in the two lists of words."""
    yield from sentence_blocks("x", ([*words, EOS] for words in sources))
    yield from sentence_blocks("y", ([BOS, *words, EOS] for words in targets))


def load_pairs(
    info: DatasetInfo,
    arrays: Arrays,
    parts: Parts,
    *,
    seed: int,
    min_count: int,
    max_length: int | None,
    splittings: tuple[str, str],
) -> Dataset:
    """Return the pairs of these parts that are short enough, with the vocabularies of the first part.

    Parameters
    ----------
    info, arrays
        The set, and what `pair_blocks` stored.
    parts : tuple of ndarray of intp
        The rows of train, val and test.
    seed : int
    min_count : int
        How often a word occurs in the training part at least, to be in the vocabulary.
    max_length : int, optional
        The most words that a sentence of a pair may have, <bos> and <eos> not counted.
    splittings : tuple of str
        How the sources and the targets were split.
    """
    if max_length is not None:
        require_count("max_length", max_length)
        short = (np.diff(arrays["x_offsets"]) <= max_length + 1) & (np.diff(arrays["y_offsets"]) <= max_length + 2)
        of_train, of_val, of_test = (part[short[part]] for part in parts)
        parts = of_train, of_val, of_test
    X, vocabulary = _side(arrays, "x", parts, min_count, splittings[0])
    y, target_vocabulary = _side(arrays, "y", parts, min_count, splittings[1])
    train, val, test = map(Split, X, y)
    return Dataset(
        info, train, val, test, source="", seed=seed, vocabulary=vocabulary, target_vocabulary=target_vocabulary
    )


def _side(arrays: Arrays, letter: str, parts: Parts, min_count: int, splitting: str) -> tuple[list[Ragged], Vocabulary]:
    """Return the sources, or the targets, of all parts, and their vocabulary."""
    rows = stored_rows(arrays, letter)
    samples = [rows.take(part) for part in parts]
    vocabulary, table = choose_words(
        unpacked(arrays[f"{letter}_words"]),
        samples[0].values,
        specials=_SPECIALS,
        min_count=min_count,
        splitting=splitting,
    )
    return [renamed(sample, table) for sample in samples], vocabulary


def standin_dates(seed: int, n_pairs: int) -> tuple[Iterator[list[str]], Iterator[list[str]]]:
    """Return the words of dates, and their digits."""
    sources, targets = zip(*_grammar.dates(seed, n_pairs), strict=True)
    return tokenized(sources, PUNCTUATION), tokenized(targets, PUNCTUATION)
