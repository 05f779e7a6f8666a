"""Splits, by their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import split_indices
from aifs_utils import DataError

labels = st.lists(st.integers(3, 60), min_size=1, max_size=6).flatmap(
    lambda sizes: st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist())
)
fractions = st.floats(0.01, 0.33)
seeds = st.integers(0, 2**40)


@settings(deadline=None, max_examples=60)
@given(y=labels, seed=seeds, val=fractions, test=fractions, stratify=st.booleans())
def test_parts_are_disjoint_and_cover_every_sample(y, seed, val, test, stratify):
    """No sample is lost, and none is in two parts."""
    parts = split_indices(y, seed=seed, val_fraction=val, test_fraction=test, stratify=stratify)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))


@settings(deadline=None, max_examples=60)
@given(y=labels, seed=seeds, val=fractions, test=fractions)
def test_every_class_is_in_each_part_in_proportion(y, seed, val, test):
    """To the nearest sample, and at least one."""
    y = np.array(y)
    parts = split_indices(y, seed=seed, val_fraction=val, test_fraction=test)
    for k in np.unique(y):
        n = (y == k).sum()
        n_train, n_val, n_test = ((y[part] == k).sum() for part in parts)
        assert min(n_train, n_val, n_test) >= 1
        assert abs(n_val - val * n) < 1
        assert abs(n_test - test * n) < 1


@settings(deadline=None, max_examples=30)
@given(y=labels, seed=seeds)
def test_the_split_is_a_function_of_the_seed(y, seed):
    """Equal seeds, equal splits; and not of the names of the classes."""
    first, again = split_indices(y, seed=seed), split_indices([f"class {k}" for k in y], seed=seed)
    for part, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(part, same)


def test_another_seed_gives_another_split_in_random_order():
    """Classes come mixed, so that a loader without shuffling sees them so."""
    y = np.repeat([0, 1], 50)
    first, other = (split_indices(y, seed=seed)[0] for seed in (0, 1))
    assert set(first) != set(other)
    assert 5 < np.abs(np.diff(y[first])).sum() < 55


def test_every_sample_gets_everywhere():
    """Over many seeds each sample is in the test part as often as the fraction says."""
    y = np.repeat([0, 1], [30, 70])
    counts = np.zeros(100)
    for seed in range(400):
        counts[split_indices(y, seed=seed)[2]] += 1
    assert counts.sum() == 400 * 20
    assert (np.abs(counts - 80) < 5 * np.sqrt(400 * 0.2 * 0.8)).all()


def test_without_stratification_the_parts_have_the_exact_sizes():
    """Whatever the labels are."""
    parts = split_indices(range(50), seed=0, val_fraction=0.1, test_fraction=0.3, stratify=False)
    assert [len(part) for part in parts] == [30, 5, 15]


@pytest.mark.parametrize("stratify", [True, False])
def test_a_fraction_of_zero_leaves_the_part_empty(stratify):
    """As one without a validation part wants it."""
    train, val, test = split_indices([0, 1] * 10, seed=0, val_fraction=0, stratify=stratify)
    assert [len(train), len(val), len(test)] == [16, 0, 4]
    assert val.dtype == train.dtype == np.intp


@given(n=st.integers(1, 2), rest=st.integers(3, 10))
def test_a_class_too_small_for_three_parts_is_named(n, rest):
    """With what can be done about it."""
    with pytest.raises(
        DataError, match=rf"^class 7 has {n} samples?, too few .*: give more samples .* stratify=False$"
    ):
        split_indices([7] * n + [8] * rest, seed=0)


@settings(deadline=None, max_examples=40)
@given(y=labels, val=st.floats(0, 0.99), test=st.floats(0, 0.99))
def test_a_split_either_trains_on_every_class_or_is_refused(y, val, test):
    """There is no third outcome."""
    try:
        train, *_ = split_indices(y, seed=0, val_fraction=val, test_fraction=test)
    except DataError:
        return
    assert set(np.array(y)[train]) == set(y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val_fraction": -0.1}, "val_fraction is a finite number at least 0 and below 1, got -0.1"),
        ({"test_fraction": 1.0}, "test_fraction is a finite number at least 0 and below 1, got 1.0"),
        ({"test_fraction": float("nan")}, "test_fraction is .*, got nan"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, r"val_fraction \+ test_fraction is below 1, .* got 0.5 \+ 0.5"),
        ({"seed": -1}, "seed is an integer of at least 0, got -1"),
        ({"y": []}, r"n_samples > 0, got shape \(0,\)"),
        ({"y": [[0, 1], [1, 0]]}, r"got shape \(2, 2\)"),
        ({"y": [0, 0], "stratify": False}, "^the set has 2 samples, too few .* or other fractions$"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        split_indices(**{"y": [0, 1] * 10, "seed": 0, **arguments})
