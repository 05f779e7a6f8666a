"""Are the brackets balanced? One kind needs a counter, two kinds need a stack."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split, class_indices
from aifs_data.sources._endless import BLOCK, endless_dataset
from aifs_data.sources._generated import LICENCE
from aifs_data.sources._tokens import beginnings, require_lengths
from aifs_data.vocabulary import Vocabulary
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Table = NDArray[Any]  # one string in each row, as long as the longest can be; what is behind its end has no meaning

_BRACKETS = ("(", ")", "[", "]", "{", "}")


def _arrays(kinds: int) -> Mapping[str, ArraySpec]:
    return {
        "X": ArraySpec(dtype="int32", shape=("n_samples", "length"), low=1, high=2 * kinds, meaning="brackets"),
        "y": class_indices(2),
    }


INFO = DatasetInfo(
    name="parentheses",
    title="Balanced and unbalanced brackets",
    class_names=("unbalanced", "balanced"),
    arrays=_arrays(2),
    licence=LICENCE,
    citation="""\
@incollection{chomsky1963algebraic,
  author    = {Chomsky, Noam and Sch{\\"u}tzenberger, Marcel-Paul},
  title     = {The Algebraic Theory of Context-Free Languages},
  booktitle = {Computer Programming and Formal Systems},
  pages     = {118--161},
  publisher = {North-Holland},
  year      = {1963}
}""",
    homepage="https://en.wikipedia.org/wiki/Dyck_language",
    description="Strings of brackets of one, two or three `kinds`, of every even length from `min_length` to "
    "`length` as often. Half are balanced, uniform among the balanced strings of their length. A quarter are a "
    "balanced string in which two brackets have changed places, so that every bracket occurs as often as in a "
    "balanced one: counting does not find them (where all are of one kind of several, one bracket is changed "
    "instead). The last quarter are brackets at random. The even-numbered samples are the balanced ones. The parts "
    "are drawn independently: short strings recur in all of them.",
)


def load(seed: int, *, n_samples: int = 10_000, min_length: int = 16, length: int = 40, kinds: int = 2) -> Dataset:
    """Generate the set."""
    n_samples, kinds = require_count("n_samples", n_samples), require_count("kinds", kinds)
    min_length, length = require_lengths(min_length, length)
    if 2 * kinds > len(_BRACKETS):
        raise DataError(f"kinds is at most {len(_BRACKETS) // 2}, got {kinds}")
    shortest, longest = (min_length + 1) // 2, length // 2
    if shortest > longest:
        raise DataError(f"balanced strings have even length, and there is none from {min_length} to {length}")
    return endless_dataset(
        replace(INFO, arrays=_arrays(kinds)),
        partial(_draw_block, shortest=shortest, longest=longest, kinds=kinds),
        seed=seed,
        n_samples=n_samples,
        vocabulary=Vocabulary(("<pad>", *_BRACKETS[: 2 * kinds]), kind="characters", pad="<pad>"),
    )


def _draw_block(rng: np.random.Generator, part: str, *, shortest: int, longest: int, kinds: int) -> Split:
    n_pairs = rng.integers(shortest, longest + 1, BLOCK)
    opens = _balanced(rng, n_pairs, longest)
    kind = rng.integers(0, kinds, opens.shape)
    partner, _ = _partners(opens)
    # A closing bracket takes the kind of the one that it closes.
    kind = np.where(opens, kind, np.take_along_axis(kind, partner, axis=1))
    number = np.arange(BLOCK, dtype=np.int64)
    inside = np.arange(2 * longest) < 2 * n_pairs[:, np.newaxis]

    at_random = number % 4 == 3
    random_opens, random_kind = rng.integers(0, 2, opens.shape) == 1, rng.integers(0, kinds, opens.shape)
    by_chance = _is_balanced(random_opens, random_kind, inside)
    at_random &= ~by_chance  # those are spoilt like the others
    opens[at_random], kind[at_random] = random_opens[at_random], random_kind[at_random]

    spoil = _swap_halves_of_a_pair if kinds == 1 else partial(_swap_kinds, kinds=kinds)
    spoilt_opens, spoilt_kind = spoil(rng, opens, kind, inside)
    spoilt = (number % 2 == 1) & ~at_random
    opens[spoilt], kind[spoilt] = spoilt_opens[spoilt], spoilt_kind[spoilt]
    tokens = (1 + 2 * kind + ~opens).astype(np.int32)
    return Split(beginnings(tokens, 2 * n_pairs), (number + 1) % 2)


def _balanced(rng: np.random.Generator, n_pairs: NDArray[np.int64], longest: int) -> Table:
    """Return where balanced strings open a bracket: uniform among those of n_pairs pairs, (BLOCK, 2 * longest).

    With r brackets to come and h open, (r - h)(h + 2) in 2r(h + 1) of the ways to go on begin with another opening one
    (Arnold and Sleep, "Uniform random generation of balanced parenthesis strings", TOPLAS 2(1), 1980).
    """
    opens = np.zeros((len(n_pairs), 2 * longest), dtype=bool)
    height = np.zeros(len(n_pairs), dtype=np.int64)
    for place in range(2 * longest):
        rest = np.maximum(2 * n_pairs - place, 1)
        opens[:, place] = rng.integers(0, 2 * rest * (height + 1)) < (rest - height) * (height + 2)
        height = np.maximum(height + np.where(opens[:, place], 1, -1), 0)
    return opens


def _partners(opens: Table) -> tuple[Table, Table]:
    """Return for each closing bracket the place of the opening one, or its own; and how many are open at each place.

    A string that closes more than it has opened has -1 open there and from there on.
    """
    samples = np.arange(len(opens))
    stack = np.zeros((len(opens), opens.shape[1] + 1), dtype=np.int64)
    partner = np.tile(np.arange(opens.shape[1]), (len(opens), 1))
    height = np.zeros_like(opens, dtype=np.int64)
    now = np.zeros(len(opens), dtype=np.int64)
    for place in range(opens.shape[1]):
        rising = opens[:, place] & (now >= 0)
        stack[samples[rising], now[rising]] = place
        closing = ~opens[:, place] & (now > 0)
        partner[closing, place] = stack[samples[closing], now[closing] - 1]
        now = np.where(now < 0, -1, now + np.where(opens[:, place], 1, -1))
        height[:, place] = now
    return partner, height


def _is_balanced(opens: Table, kind: Table, inside: Table) -> Table:
    partner, height = _partners(opens)
    fits = np.take_along_axis(kind, partner, axis=1) == kind
    last = np.take_along_axis(height, inside.sum(axis=1, keepdims=True) - 1, axis=1)[:, 0]
    fine: Table = (last == 0) & (fits | ~inside).all(axis=1)
    return fine


def _swap_kinds(rng: np.random.Generator, opens: Table, kind: Table, inside: Table, kinds: int) -> tuple[Table, Table]:
    """Let two closing brackets of different kinds change places; where there is one kind only, one gets another."""
    kind, samples = kind.copy(), np.arange(len(kind))
    closing = ~opens & inside
    scores = rng.random(kind.shape)
    one = np.where(closing, scores, -1).argmax(axis=1)
    first = kind[samples, one]
    others = closing & (kind != first[:, np.newaxis])
    other = np.where(others, scores, -1).argmax(axis=1)
    both = others.any(axis=1)
    kind[samples, one] = np.where(both, kind[samples, other], (first + 1) % kinds)
    kind[samples[both], other[both]] = first[both]
    return opens, kind


def _swap_halves_of_a_pair(rng: np.random.Generator, opens: Table, kind: Table, inside: Table) -> tuple[Table, Table]:
    """Let a bracket that no other encloses change places with its partner: the string closes what it has not opened."""
    opens, samples = opens.copy(), np.arange(len(opens))
    partner, height = _partners(opens)
    outermost = ~opens & inside & (height == 0)
    end = np.where(outermost, rng.random(opens.shape), -1).argmax(axis=1)
    opens[samples, end], opens[samples, partner[samples, end]] = True, False
    return opens, kind


SETS = {INFO.name: Source(INFO, load)}
