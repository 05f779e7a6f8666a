"""Samples without end: each is a pure function of the seed, of its part and of its number.

They are drawn in blocks, and every block has a random stream of its own. So any sample can be had without those before
it, and a set with more samples begins with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.dataset import Dataset, DatasetInfo, Split
from aifs_data.streams import random_stream
from aifs_utils import DataError, look_up

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    from aifs_data.vocabulary import Vocabulary

    DrawBlock = Callable[["np.random.Generator", str], Split]

BLOCK = 256  # samples
PARTS = ("train", "val", "test")


def endless_dataset(
    info: DatasetInfo,
    draw_block: DrawBlock,
    *,
    seed: int,
    n_samples: int,
    source: str = "generated",
    vocabulary: Vocabulary | None = None,
    target_vocabulary: Vocabulary | None = None,
) -> Dataset:
    """Return a set that more samples can be drawn of.

    Parameters
    ----------
    info : DatasetInfo
        What it is.
    draw_block : callable
        ``draw_block(rng, part)`` returns `BLOCK` samples of "train", "val" or "test".
    seed : int
        At least 0.
    n_samples : int
        Of the training part. Validation and test have a fifth of it each, and at least one.
    source : str
        Where the samples came from.
    vocabulary, target_vocabulary : Vocabulary, optional
        What the token ids in X, and those in y, stand for.
    """
    draw = partial(draw_rows, info.name, draw_block, seed)
    sizes = (n_samples, max(1, n_samples // 5), max(1, n_samples // 5))
    train, val, test = (draw(part, np.arange(size)) for part, size in zip(PARTS, sizes, strict=True))
    return Dataset(
        info,
        train,
        val,
        test,
        source=source,
        seed=seed,
        vocabulary=vocabulary,
        target_vocabulary=target_vocabulary,
        draw=draw,
    )


def draw_rows(name: str, draw_block: DrawBlock, seed: int, part: str, rows: NDArray[np.intp]) -> Split:
    """Return the samples of a part with these numbers; neighbours are cheap, since whole blocks are drawn.

    Raises
    ------
    DataError
        When there is no such part, or a number is negative.
    """
    look_up(dict.fromkeys(PARTS), part, f"part of {name}", DataError)
    rows = np.asarray(rows, dtype=np.intp)
    if rows.ndim != 1 or (rows < 0).any():
        raise DataError(f"rows are numbers of samples from 0, shape (n_samples,), got {rows!r}")
    order = np.argsort(rows, kind="stable")
    blocks, starts = np.unique(rows[order] // BLOCK, return_index=True)
    chosen = np.split(rows[order] % BLOCK, starts[1:])
    pieces = [
        draw_block(random_stream(seed, f"{name} {part}", block), part).take(within)
        for block, within in zip(blocks.tolist() or [0], chosen, strict=True)
    ]
    together = _concatenate(pieces)
    if (np.diff(order) == 1).all():
        return together
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return together.take(back)


def _concatenate(pieces: list[Split]) -> Split:
    X, y, *others = (_join(arrays) for arrays in zip(*(piece.arrays.values() for piece in pieces), strict=True))
    return Split(X, y, dict(zip(pieces[0].extras, others, strict=True)))


def _join(arrays: Iterable[Any]) -> Any:
    arrays = list(arrays)
    if not isinstance(arrays[0], Ragged):
        return np.concatenate(arrays)
    values = np.concatenate([array.values for array in arrays])
    return Ragged.from_lengths(values, np.concatenate([array.lengths for array in arrays]))
