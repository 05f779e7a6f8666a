"""English sentences and their French translations, by the volunteers of Tatoeba."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources._pairs import (
    ELISION,
    PUNCTUATION,
    SPECS,
    STANDIN,
    load_pairs,
    pair_blocks,
    standin_dates,
    tokenized,
)
from aifs_data.sources._text import gathered, group_equal, made_up, read_text, stored_rows
from aifs_data.splits import split_groups
from aifs_utils import DataError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.arrays import Ragged
    from aifs_data.downloads import Blocks

_MOST_BYTES = 64 << 20  # of fra.txt

INFO = DatasetInfo(
    name="fra-eng",
    title="English to French, short sentences",
    task="translation",
    arrays=SPECS,
    licence="CC BY 2.0 (Tatoeba; www.manythings.org/anki)",
    citation="""\
@misc{tatoeba2017,
  author       = {{Tatoeba}},
  title        = {Sentence pairs in English and French},
  howpublished = {www.manythings.org/anki, file of 2017-09-29},
  year         = {2017},
  url          = {https://tatoeba.org}
}""",
    homepage="https://www.manythings.org/anki/",
    description="142,787 pairs of an English sentence and a French one, the shortest first in the file; the edition of "
    "29 September 2017. An English sentence has up to dozens of translations. Pairs that share either sentence are "
    "kept together, and the 93,087 groups that this gives are split 80 : 10 : 10 by seed, so that no part holds a "
    "sentence of another. Small letters, split by aifs_data.vocabulary.split_words; words that occur in the "
    "training part less often than min_count are <unk>; pairs with more than max_length words on a side are left "
    "out of all parts.",
)

_FILES = remote_files(
    "fra-eng",
    urls=("https://raw.githubusercontent.com/genimind/seq2seq/4f3f8eb0adde54fcc8b89394336b002e7961244c/",),
    facts={
        "fra-eng.zip": (2951390, "16c4f7d0df9e7c5e6c54cdb0447f3f4a18a55052ff5e2e0b27dd4a06c0e49d04"),
    },
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the pairs out of the archive."""
    from aifs_data.unpack import read_zip_member

    text = read_text(read_zip_member(files["fra-eng.zip"], "fra.txt", limit=_MOST_BYTES), "fra.txt")
    pairs = [line.split("\t") for line in text.split("\n") if line.strip()]
    strange = next((pair for pair in pairs if len(pair) != 2), None)
    if strange is not None:
        raise DataError(f"fra.txt is expected to have lines of two sentences with a tab between, got {strange}")
    return _blocks(tokenized((pair[0] for pair in pairs), PUNCTUATION), tokenized((pair[1] for pair in pairs), ELISION))


def _blocks(sources: Iterable[Sequence[str]], targets: Iterable[Sequence[str]]) -> Blocks:
    arrays = gathered(pair_blocks(sources, targets))
    yield from arrays.items()
    yield "groups", _linked(_sentences(stored_rows(arrays, "x")), _sentences(stored_rows(arrays, "y")))


def _sentences(rows: Ragged) -> NDArray[np.int32]:
    """Number the sentences so that equal ones have the same number."""
    return group_equal(rows[i].tobytes() for i in range(len(rows)))


def _linked(sources: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the pairs so that two that share a sentence on either side have the same number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # The sentences are the nodes of a graph, and each pair is an edge.
    n_sources = int(sources.max()) + 1
    n_nodes = n_sources + int(targets.max()) + 1
    edges = coo_array((np.ones(len(sources)), (sources, targets + n_sources)), shape=(n_nodes, n_nodes))
    _, component = connected_components(edges, directed=False)
    return group_equal(component[sources].tolist())


def load(
    arrays: Mapping[str, NDArray[Any]], seed: int, *, min_count: int = 2, max_length: int | None = None
) -> Dataset:
    """Split the pairs."""
    return load_pairs(
        INFO,
        arrays,
        split_groups(arrays["groups"], seed=seed),
        seed=seed,
        min_count=min_count,
        max_length=max_length,
        splittings=(PUNCTUATION, ELISION),
    )


def standin(seed: int, *, min_count: int = 2, max_length: int | None = None) -> Dataset:
    """Return 5,000 dates."""
    dataset = load(gathered(_blocks(*standin_dates(seed, 5000))), seed, min_count=min_count, max_length=max_length)
    return made_up(dataset, STANDIN)


SETS = {
    INFO.name: Source(
        INFO,
        load,
        download=Download(
            files=tuple(_FILES.values()),
            decode=decode,
            arrays={
                "x_words": ArrayFacts(
                    dtype="uint8", shape=(111159,), low=10, high=226, digest="447031c38494a87066e781cda4bf18c2"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(1178119,), low=0, high=13678, digest="be8918cbbf592efcc72b193c1527e823"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(142788,), low=0, high=1178119, digest="86f662dcf6037b5cbc667863d45fec14"
                ),
                "y_words": ArrayFacts(
                    dtype="uint8", shape=(209815,), low=10, high=226, digest="be7afd237ce18a0ae4f3ed9fdd8dbab7"
                ),
                "y_values": ArrayFacts(
                    dtype="int32", shape=(1499743,), low=0, high=22886, digest="ea86ecb6bb076be370e943272dd03744"
                ),
                "y_offsets": ArrayFacts(
                    dtype="int64", shape=(142788,), low=0, high=1499743, digest="0853dd29f787d162d41a3c8f9d616000"
                ),
                "groups": ArrayFacts(
                    dtype="int32", shape=(142787,), low=0, high=93086, digest="34bad400bcc037f64fb28eb51ab62860"
                ),
            },
            remark="The site of origin replaces this file often, so a copy of one edition is taken",
        ),
        standin=standin,
    )
}
