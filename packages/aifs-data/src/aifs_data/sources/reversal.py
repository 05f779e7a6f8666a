"""Write a sequence backwards: the smallest task for an encoder and a decoder.

::

    X         c a b <eos>
    y   <bos> b a c <eos>
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split
from aifs_data.sources._endless import BLOCK, endless_dataset
from aifs_data.sources._generated import LICENCE
from aifs_data.sources._tokens import beginnings, require_lengths, symbols
from aifs_data.vocabulary import Vocabulary

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

_SPECIAL = ("<pad>", "<bos>", "<eos>")
_BOS, _EOS = 1, 2


def _arrays(n_symbols: int) -> Mapping[str, ArraySpec]:
    tokens = ArraySpec(dtype="int32", shape=("n_samples", "length"), low=_BOS, high=len(_SPECIAL) + n_symbols - 1)
    return {
        "X": replace(tokens, meaning="symbols, then <eos>"),
        "y": replace(tokens, meaning="<bos>, the symbols backwards, <eos>"),
    }


INFO = DatasetInfo(
    name="reversal",
    title="Sequences to be reversed",
    task="sequence to sequence",
    arrays=_arrays(26),
    licence=LICENCE,
    citation="""\
@inproceedings{sutskever2014sequence,
  author    = {Sutskever, Ilya and Vinyals, Oriol and Le, Quoc V.},
  title     = {Sequence to Sequence Learning with Neural Networks},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {27},
  year      = {2014}
}""",
    homepage="https://arxiv.org/abs/1409.3215",
    description="From `min_length` to `length` symbols, every length as likely, each symbol uniform among `n_symbols`. "
    "The parts are drawn independently: sequences that are short or of few symbols recur in all of them.",
)


def load(seed: int, *, n_samples: int = 10_000, min_length: int = 5, length: int = 10, n_symbols: int = 26) -> Dataset:
    """Generate the set."""
    n_samples, letters = require_count("n_samples", n_samples), symbols(n_symbols)
    min_length, length = require_lengths(min_length, length)
    vocabulary = Vocabulary((*_SPECIAL, *letters), kind="characters", pad="<pad>", bos="<bos>", eos="<eos>")
    return endless_dataset(
        replace(INFO, arrays=_arrays(n_symbols)),
        partial(_draw_block, min_length=min_length, length=length, n_symbols=n_symbols),
        seed=seed,
        n_samples=n_samples,
        vocabulary=vocabulary,
        target_vocabulary=vocabulary,
    )


def _draw_block(rng: np.random.Generator, part: str, *, min_length: int, length: int, n_symbols: int) -> Split:
    lengths = rng.integers(min_length, length + 1, BLOCK)
    drawn = rng.integers(len(_SPECIAL), len(_SPECIAL) + n_symbols, (BLOCK, length + 2), dtype=np.int32)
    place, end = np.arange(length + 2), lengths[:, np.newaxis]
    X = np.where(place == end, np.int32(_EOS), drawn)
    # Place 0 of y is <bos>, so place p has the symbol length - p of X.
    y = np.take_along_axis(X, np.clip(end - place, 0, None), axis=1)
    y[:, 0] = _BOS
    y[place == end + 1] = _EOS
    return Split(beginnings(X, lengths + 1), beginnings(y, lengths + 2))


SETS = {INFO.name: Source(INFO, load)}
