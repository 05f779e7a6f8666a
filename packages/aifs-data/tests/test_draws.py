"""Random numbers of samples: pure functions, uniform, and independent of each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data.draws import Draws
from aifs_utils import DataError

positions = st.integers(0, 2**40)


def correlation(a, b):
    """Return the correlation of two lists of numbers, in standard errors."""
    return np.corrcoef(a, b)[0, 1] * np.sqrt(len(a))


@settings(deadline=None)
@given(seed=positions, epoch=positions, rows=st.lists(positions, min_size=1, max_size=40), data=st.data())
def test_a_sample_gets_its_numbers_in_whatever_company(seed, epoch, rows, data):
    """First the same, then the next ones, of each kind."""
    k = data.draw(st.integers(0, len(rows) - 1))
    together, alone = (Draws(seed, epoch, np.array(chosen)) for chosen in (rows, rows[k : k + 1]))
    for draw in (
        lambda draws: draws.uniform(),
        lambda draws: draws.uniform(-2, 3, shape=(2, 3)),
        lambda draws: draws.integers(-5, 6, shape=4),
        lambda draws: draws.normal((3, 5)),
        lambda draws: draws.child(2).normal(7),
    ):
        np.testing.assert_array_equal(draw(together)[k], draw(alone)[0])


def test_shapes_and_types():
    """The samples come first."""
    draws = Draws(0, 0, np.arange(4))
    assert (draws.uniform().shape, draws.uniform().dtype) == ((4,), np.float64)
    assert (draws.integers(0, 3, shape=5).shape, draws.integers(0, 3).dtype) == ((4, 5), np.int64)
    assert (draws.normal((3, 2)).shape, draws.normal().shape, draws.normal().dtype) == ((4, 3, 2), (4,), np.float32)
    assert draws.uniform(shape=(0,)).shape == (4, 0)


def test_the_numbers_are_these():
    """Frozen: a resume with another version of NumPy goes on with the same numbers."""
    assert Draws(7, 2, np.array([0, 1, 10**12])).integers(0, 1000, shape=2).tolist() == [
        [920, 321],
        [413, 169],
        [746, 424],
    ]


def test_every_argument_matters():
    """Other seed, epoch, sample, purpose, call: other numbers."""
    rows = np.arange(1000)
    draws = Draws(3, 4, rows)
    streams = [
        draws.uniform(),
        draws.uniform(),
        draws.child(0).uniform(),
        draws.child(1).uniform(),
        draws.child(0).child(1).uniform(),
        draws.child(1).child(0).uniform(),
        Draws(4, 4, rows).uniform(),
        Draws(3, 5, rows).uniform(),
        Draws(34, 4, rows).uniform(),
        Draws(3, 4, rows, "other").uniform(),
        Draws(3, 4, rows + 1000).uniform(),
    ]
    for i, first in enumerate(streams):
        for second in streams[:i]:
            assert np.intersect1d(first, second).size == 0
            assert abs(correlation(first, second)) < 5


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 256])
def test_neighbours_are_independent(lag):
    """Samples beside each other, numbers one after another, and their top and bottom bits."""
    numbers = Draws(0, 0, np.arange(4000)).uniform(shape=600)
    for bits in (numbers, (numbers * 2) % 1, (numbers * 2**20) % 1):
        assert abs(correlation(bits[:-lag].ravel(), bits[lag:].ravel())) < 5
        assert abs(correlation(bits[:, :-lag].ravel(), bits[:, lag:].ravel())) < 5


def test_uniform_numbers_are_uniform():
    """Chi-squared over 100 bins, over samples and over numbers."""
    for numbers in (Draws(1, 0, np.arange(100_000)).uniform(-1, 3), Draws(1, 0, np.arange(1)).uniform(-1, 3, 100_000)):
        assert -1 <= numbers.min() < numbers.max() < 3
        counts = np.histogram(numbers, bins=100, range=(-1, 3))[0]
        assert abs(((counts - 1000) ** 2 / 1000).sum() - 99) < 5 * np.sqrt(2 * 99)


def test_pairs_are_uniform():
    """Two numbers of a sample fill the square."""
    across, down = Draws(2, 0, np.arange(100_000)).uniform(shape=2).T
    counts = np.histogram2d(across, down, bins=10, range=[[0, 1], [0, 1]])[0]
    assert abs(((counts - 1000) ** 2 / 1000).sum() - 99) < 5 * np.sqrt(2 * 99)


def test_every_integer_is_as_likely():
    """From the first to the one before the last."""
    counts = np.bincount(Draws(5, 1, np.arange(90_000)).integers(-4, 5) + 4)
    assert len(counts) == 9
    assert (np.abs(counts - 10_000) < 5 * 100).all()


def test_normal_numbers_are_normal():
    """Mean, deviation, skewness, kurtosis, tails; and the two of a pair are independent."""
    numbers = Draws(5, 1, np.arange(1000)).normal(1000).astype(np.float64)
    moments = [(numbers**k).mean() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.05)
    assert abs((np.abs(numbers) > 2).mean() - 0.0455) < 0.002
    assert 4.3 < np.abs(numbers).max() < 7
    assert abs(correlation(numbers[:, :500].ravel(), numbers[:, 500:].ravel())) < 5


@pytest.mark.parametrize(("low", "high"), [(3, 3), (4, 3), (0, 2**32 + 1)])
def test_a_range_without_integers_is_refused(low, high):
    """And one that 32 bits do not fill."""
    with pytest.raises(DataError, match=f"got low={low} and high={high}"):
        Draws(0, 0, np.arange(2)).integers(low, high)


def test_a_bad_seed_or_epoch_is_refused():
    """As everywhere."""
    with pytest.raises(DataError, match="seed is an integer of at least 0, got -1"):
        Draws(-1, 0, np.arange(2))
    with pytest.raises(DataError, match=r"epoch is an integer of at least 0, got 0\.5"):
        Draws(0, 0.5, np.arange(2))
