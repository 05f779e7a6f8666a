"""Streams of random numbers that are pure functions of a seed."""

# np.random is imported when it is first used, which takes 15 ms: hence the annotations in quotes.
import numpy as np

from aifs_data.checks import require_count


def random_stream(seed: int, purpose: str, *indices: int) -> "np.random.Generator":
    """Return a generator that depends on these values and on nothing else.

    Parameters
    ----------
    seed : int
        At least 0.
    purpose : str
        What the numbers are for. Two purposes get independent streams from one seed, so that the noise of a set and
        its split, say, have nothing to do with each other.
    *indices : int
        An epoch, say; at least 0.
    """
    return np.random.default_rng([seed, *indices, *purpose.encode()])


def epoch_order(n_samples: int, *, seed: int, epoch: int, shuffle: bool) -> "np.typing.NDArray[np.intp]":
    """Return the numbers of all samples in the order of an epoch, shape (n_samples,): 0, 1, … if not shuffled.

    Raises
    ------
    DataError
        When the epoch is no integer of at least 0.
    """
    epoch = require_count("epoch", epoch, at_least=0)
    if not shuffle:
        return np.arange(n_samples)
    return random_stream(seed, "order", epoch).permutation(n_samples)
