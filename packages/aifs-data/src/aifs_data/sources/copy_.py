"""Keep some symbols in mind, and write them down when told to.

::

    X   c a b _ _ _ _ > _ _ _       _ is blank, > is the go signal
    y   _ _ _ _ _ _ _ _ c a b

The first `length` places are symbols; the next `delay` are blank, but for the last of them, which is the go signal; and
`length` blanks leave room for the answer. This is the task of Arjovsky et al., with other numbers for the tokens. Who
remembers nothing can at best write blanks and then guess: a mean cross-entropy of length · log(n_symbols) / total.
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
from aifs_data.sources._tokens import symbols
from aifs_data.vocabulary import Vocabulary

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

BLANK, GO = 0, 1  # the symbols follow


def _arrays(total: int, n_symbols: int) -> Mapping[str, ArraySpec]:
    tokens = ArraySpec(
        dtype="int32", shape=("n_samples", total), low=0, high=n_symbols + 1, meaning="0 blank, 1 go, then the symbols"
    )
    return {"X": tokens, "y": replace(tokens, meaning="the same tokens; blank until the answer")}


INFO = DatasetInfo(
    name="copy",
    title="Copy after a delay",
    task="sequence labelling",
    arrays=_arrays(40, 8),
    licence=LICENCE,
    citation="""\
@inproceedings{arjovsky2016unitary,
  author    = {Arjovsky, Martin and Shah, Amar and Bengio, Yoshua},
  title     = {Unitary Evolution Recurrent Neural Networks},
  booktitle = {International Conference on Machine Learning},
  pages     = {1120--1128},
  year      = {2016}
}""",
    homepage="https://arxiv.org/abs/1511.06464",
    description="`length` symbols, each uniform among `n_symbols`, are to be repeated after `delay` steps, the last of "
    "which is the go signal. X and y are 2 · length + delay tokens long: 0 is blank, 1 is go, the symbols follow. "
    "The first form of the task is Hochreiter and Schmidhuber's (1997).",
)


def load(seed: int, *, n_samples: int = 10_000, length: int = 10, delay: int = 20, n_symbols: int = 8) -> Dataset:
    """Generate the set."""
    n_samples, letters = require_count("n_samples", n_samples), symbols(n_symbols)
    length, delay = require_count("length", length), require_count("delay", delay)
    vocabulary = Vocabulary(("_", ">", *letters), kind="characters")
    return endless_dataset(
        replace(INFO, arrays=_arrays(2 * length + delay, n_symbols)),
        partial(_draw_block, length=length, delay=delay, n_symbols=n_symbols),
        seed=seed,
        n_samples=n_samples,
        vocabulary=vocabulary,
        target_vocabulary=vocabulary,
    )


def _draw_block(rng: np.random.Generator, part: str, *, length: int, delay: int, n_symbols: int) -> Split:
    X = np.full((BLOCK, 2 * length + delay), BLANK, dtype=np.int32)
    y = X.copy()
    X[:, :length] = y[:, -length:] = rng.integers(GO + 1, GO + 1 + n_symbols, (BLOCK, length))
    X[:, length + delay - 1] = GO
    return Split(X, y)


SETS = {INFO.name: Source(INFO, load)}
