"""What the sets of text share: words as positions in a list, and vocabularies from a training part.

A decoder stores sentences as positions in the list of all words, which is sorted by code points. A load counts the
training part, keeps its frequent words, and renames the positions by a table, so that a vocabulary depends on the split
and costs milliseconds all the same.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, Split
from aifs_data.sources._generated import LICENCE
from aifs_data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

    Arrays = Mapping[str, NDArray[Any]]


class Remapped(NamedTuple):
    """A vocabulary, and the id in it of each word of the full list, shape (n_words,)."""

    vocabulary: Vocabulary
    table: NDArray[np.int32]


# --- for decoders -----------------------------------------------------------------------------------------------------


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file without the blanks at their ends, empty lines left out.

    Raises
    ------
    DataError
        When the file is no UTF-8.
    """
    return [line.strip() for line in read_text(path.read_bytes(), path.name).split("\n") if line.strip()]


def read_text(data: bytes, name: str) -> str:
    """Return bytes as text; `name` is what they are called if they are no UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is expected to be text in UTF-8, got other bytes: {error}") from error


def index_words(sentences: Iterable[Sequence[str]]) -> tuple[list[str], Ragged]:
    """Return all words, sorted by code points, and the sentences as positions in that list."""
    first_seen: defaultdict[str, int] = defaultdict()
    first_seen.default_factory = first_seen.__len__
    positions, lengths = array("i"), array("q")
    for sentence in sentences:
        positions.extend(map(first_seen.__getitem__, sentence))
        lengths.append(len(sentence))
    words = sorted(first_seen)
    rank = np.empty(len(words), dtype=np.int32)
    rank[[first_seen[word] for word in words]] = np.arange(len(words), dtype=np.int32)
    return words, Ragged.from_lengths(rank[np.frombuffer(positions, dtype=np.int32)], lengths)


def sentence_blocks(letter: str, sentences: Iterable[Sequence[str]]) -> Blocks:
    """Return the arrays "x_words", "x_values" and "x_offsets" of some sentences, for the letter "x"."""
    words, rows = index_words(sentences)
    yield f"{letter}_words", packed(words)
    yield f"{letter}_values", rows.values
    yield f"{letter}_offsets", rows.offsets


def packed(words: Sequence[str]) -> NDArray[np.uint8]:
    """Return a list of words as an array: their UTF-8, with line ends between them."""
    return np.frombuffer("\n".join(words).encode(), dtype=np.uint8)


def group_equal(rows: Iterable[Any]) -> NDArray[np.int32]:
    """Number the rows so that equal ones, and no others, have the same number: 0, 1, … as they come."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(row, len(numbers)) for row in rows], dtype=np.int32)


# --- for loads --------------------------------------------------------------------------------------------------------


def unpacked(words: NDArray[np.uint8]) -> list[str]:
    """Return the words that `packed` was given."""
    return words.tobytes().decode().split("\n")


def stored_rows(arrays: Arrays, letter: str) -> Ragged:
    """Return the sentences that `sentence_blocks` stored."""
    return Ragged(arrays[f"{letter}_values"], arrays[f"{letter}_offsets"])


def choose_words(
    words: Sequence[str],
    train: NDArray[np.int32],
    *,
    specials: Sequence[str],
    min_count: int,
    splitting: str,
) -> Remapped:
    """Return the vocabulary of a training part.

    Parameters
    ----------
    words : sequence of str
        All words, sorted by code points.
    train : ndarray of int32
        The training part, as positions in `words`.
    specials : sequence of str
        The first tokens, "<unk>" among them. Where one occurs among the words it is the same token.
    min_count : int
        How often a word occurs in the training part at least; others are "<unk>".
    splitting : str
        How the words, in small letters, were split; see `aifs_data.vocabulary.split_words`.

    Returns
    -------
    Remapped
        The words come after the specials, the most frequent first, and by code points where they are as frequent.
    """
    require_count("min_count", min_count)
    counts = np.bincount(train, minlength=len(words))
    table = np.full(len(words), specials.index(UNK), dtype=np.int32)
    for i, special in enumerate(specials):
        position = bisect_left(words, special)
        if words[position : position + 1] == [special]:
            counts[position], table[position] = 0, i
    kept = np.flatnonzero(counts >= min_count)
    kept = kept[np.argsort(-counts[kept], kind="stable")]
    table[kept] = np.arange(len(specials), len(specials) + len(kept), dtype=np.int32)
    tokens = [*specials, *(words[position] for position in kept.tolist())]
    pad, unk, bos, eos = (special if special in specials else None for special in (PAD, UNK, BOS, EOS))
    vocabulary = Vocabulary(
        tokens, kind="words", pad=pad, unk=unk, bos=bos, eos=eos, splitting=splitting, lowercase=True
    )
    return Remapped(vocabulary, table)


def renamed(rows: Ragged, table: NDArray[np.int32]) -> Ragged:
    """Return the rows with each position replaced by its id."""
    return Ragged(table[rows.values], rows.offsets)


def stream_split(tokens: NDArray[np.int32]) -> Split:
    """Return one long text to be predicted token by token: y[i] is the token after X[i]. Both are views of it."""
    if len(tokens) < 2:
        raise DataError(f"each part of a text has at least 2 tokens, got {len(tokens)}")
    return Split(tokens[:-1], tokens[1:])


def gathered(blocks: Blocks) -> dict[str, NDArray[Any]]:
    """Return blocks of which each has a name of its own, as the arrays that a cache would make of them."""
    return dict(blocks)


def made_up(dataset: Dataset, what: str) -> Dataset:
    """Return a set of made-up text as what it is: nothing is said of it that is true of the real one only."""
    info = replace(
        dataset.info,
        title=f"{dataset.info.title}: a stand-in",
        description=f"{what[0].upper()}{what[1:]}.",
        licence=LICENCE,
        citation="",
        homepage="",
    )
    return replace(dataset, info=info, source="standin", standin=what)
