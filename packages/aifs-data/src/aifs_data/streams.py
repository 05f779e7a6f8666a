"""Streams of random numbers that are pure functions of a seed."""

# np.random is imported when it is first used, which takes 15 ms: hence the annotation in quotes.
import numpy as np


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
