"""Random numbers that belong to a sample and not to the batch it is in.

Each number is a pure function of (seed, epoch, sample, purpose, how many were drawn before): no generator is carried
along, so a sample gets the same numbers in a batch of 1 and in a batch of 512, and after a resume in mid-epoch.

References
----------
Steele, Lea, Flood. "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: SplitMix64, whose mixing function
turns places on a 64-bit circle into random bits (constants: Stafford's variant 13).
Box, Muller. "A Note on the Generation of Random Normal Deviates", Ann. Math. Statist. 29, 1958, pp. 610-611.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Shape = int | tuple[int, ...]

# Steps along the circle, odd so that none is trodden twice: 2^64 over the golden ratio (SplitMix64's own), and 2^64
# times the fractional part of the square root of 2.
_NUMBER_STEP = 0x9E3779B97F4A7C15
_SAMPLE_STEP = 0x6A09E667F3BCC909
_CIRCLE = 1 << 64


def _word(value: int) -> NDArray[np.uint64]:
    return np.array(value, dtype=np.uint64)  # without axes: computing with it is faster than with np.uint64(value)


_11, _27, _30, _31, _32, _LOW = (_word(value) for value in (11, 27, 30, 31, 32, 0xFFFFFFFF))
_FIRST_FACTOR, _SECOND_FACTOR = _word(0xBF58476D1CE4E5B9), _word(0x94D049BB133111EB)


class Draws:
    """Random numbers for some samples of an epoch.

    Parameters
    ----------
    seed, epoch : int
        At least 0.
    rows : ndarray of int, shape (n,)
        The indices of the samples.
    purpose : str
        What the numbers are for: two purposes get numbers that have nothing to do with each other.

    Examples
    --------
    >>> import numpy as np
    >>> Draws(0, 3, np.array([5, 6])).integers(0, 10, shape=3)
    array([[8, 4, 2],
           [5, 4, 4]])
    >>> Draws(0, 3, np.array([6])).integers(0, 10, shape=3)
    array([[5, 4, 4]])
    """

    def __init__(self, seed: int, epoch: int, rows: NDArray[np.integer], purpose: str = "transform") -> None:
        self.seed = require_count("seed", seed, at_least=0)
        self.epoch = require_count("epoch", epoch, at_least=0)
        self.rows = rows
        self._places = rows.astype(np.uint64) * _word(_SAMPLE_STEP)  # (n,)
        self._begin(purpose)

    def __len__(self) -> int:
        return len(self.rows)

    def child(self, k: int) -> Draws:
        """Return the draws of the k-th of several purposes, for the same samples."""
        child = Draws.__new__(Draws)
        child.seed, child.epoch, child.rows, child._places = self.seed, self.epoch, self.rows, self._places
        child._begin(f"{self.purpose}/{k}")
        return child

    def _begin(self, purpose: str) -> None:
        self.purpose = purpose
        self._next = _place(self.seed, self.epoch, purpose)

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: Shape = ()) -> NDArray[np.float64]:
        """Return numbers from `low` up to, not including, `high`, shape (n, *shape)."""
        fractions = (self._bits(shape) >> _11).astype(np.float64)
        fractions *= 2.0**-53
        return fractions if (low, high) == (0.0, 1.0) else low + (high - low) * fractions

    def integers(self, low: int, high: int, shape: Shape = ()) -> NDArray[np.int64]:
        """Return integers from `low` to ``high - 1``, shape (n, *shape).

        Raises
        ------
        DataError
            When there is none, or more than 2^32. None is likelier than another by more than (high - low) / 2^32.
        """
        if not 0 < high - low <= 1 << 32:
            raise DataError(f"integers are drawn from 1 to 2^32 values, got low={low} and high={high}")
        scaled = (self._bits(shape) >> _32) * _word(high - low) >> _32
        return scaled.view(np.int64) + low

    def normal(self, shape: Shape = ()) -> NDArray[np.float32]:
        """Return numbers of mean 0 and standard deviation 1, shape (n, *shape).

        They are the same on every machine up to rounding, since libraries round logarithm and cosine differently.
        """
        dimensions = _dimensions(shape)
        count = math.prod(dimensions)
        bits = self._bits((count + 1) // 2)
        # A half of the bits gives the radius, from above 0 so that there is a logarithm; the other one the angle.
        radius = (bits >> _32).astype(np.float32)
        radius += np.float32(1)
        radius *= np.float32(2.0**-32)
        np.log(radius, out=radius)
        radius *= np.float32(-2)
        np.maximum(radius, 0, out=radius)
        np.sqrt(radius, out=radius)
        angle = (bits & _LOW).astype(np.float32)
        angle *= np.float32(2 * math.pi * 2.0**-32)
        pairs = np.empty((len(self), 2, bits.shape[1]), dtype=np.float32)
        np.multiply(np.cos(angle), radius, out=pairs[:, 0])
        np.multiply(np.sin(angle, out=angle), radius, out=pairs[:, 1])
        return pairs.reshape(len(self), 2 * bits.shape[1])[:, :count].reshape(len(self), *dimensions)

    def _bits(self, shape: Shape) -> NDArray[np.uint64]:
        """Return 64 random bits each, shape (n, *shape)."""
        dimensions = _dimensions(shape)
        count = math.prod(dimensions)
        here = _word(self._next)
        self._next = (self._next + count * _NUMBER_STEP) % _CIRCLE
        if not dimensions:
            return _mix(self._places + here)
        steps = np.arange(count, dtype=np.uint64) * _word(_NUMBER_STEP) + here
        return _mix(self._places[:, np.newaxis] + steps).reshape(len(self), *dimensions)


def _dimensions(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


@lru_cache(maxsize=256)
def _place(seed: int, epoch: int, purpose: str) -> int:
    """Return where on the circle an epoch's numbers for a purpose begin."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(f"{seed} {epoch} {purpose}".encode(), digest_size=8).digest(), "little")


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Turn places into random bits, in place."""
    z ^= z >> _30
    z *= _FIRST_FACTOR
    z ^= z >> _27
    z *= _SECOND_FACTOR
    z ^= z >> _31
    return z
