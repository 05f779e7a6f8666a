"""Splits, by their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import Ragged, Split, split_indices
from aifs_data.splits import parts_in_order, split_groups, take_in_order
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


# --- groups -----------------------------------------------------------------------------------------------------------

groups = st.lists(st.integers(-5, 30), max_size=200).map(lambda others: [0, *others, 1, 2])


@settings(deadline=None, max_examples=60)
@given(groups=groups, seed=seeds, val=fractions, test=fractions)
def test_a_group_is_never_in_two_parts(groups, seed, val, test):
    """No sample is lost, and the shares are those of groups."""
    groups = np.array(groups)
    n = len(set(groups.tolist()))
    parts = split_groups(groups, seed=seed, val_fraction=val, test_fraction=test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    in_parts = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, in_parts)) == n
    assert [len(part) for part in in_parts[1:]] == [max(1, round(val * n)), max(1, round(test * n))]


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(3, 20), min_size=1, max_size=4), seed=seeds)
def test_the_groups_of_each_class_are_split_in_proportion(sizes, seed):
    """To the nearest group; how many samples a group has does not matter."""
    label_of = np.repeat(np.arange(len(sizes)), sizes)
    group_of = np.repeat(np.arange(len(label_of)), 1 + np.arange(len(label_of)) % 3)
    parts = split_groups(group_of, seed=seed, val_fraction=0.2, test_fraction=0.2, labels=label_of[group_of])
    for part in parts[1:]:
        counts = np.bincount(label_of[np.unique(group_of[part])], minlength=len(sizes))
        assert counts.tolist() == [max(1, round(0.2 * size)) for size in sizes]


def test_samples_of_a_group_follow_one_another_and_groups_come_mixed():
    """In the order that they have among themselves."""
    groups = np.arange(300) % 100
    train, *_ = split_groups(groups, seed=0)
    assert (groups[train].reshape(-1, 3) == groups[train][::3, np.newaxis]).all()
    assert (np.diff(train.reshape(-1, 3), axis=1) == 100).all()
    assert 20 < (np.diff(train[::3]) < 0).sum() < 60


def test_groups_of_one_sample_are_split_like_samples():
    """So the two functions agree where both make sense, labels included."""
    labels = np.repeat([0, 1, 2], 30)
    chosen = {"seed": 4, "val_fraction": 0.2, "test_fraction": 0.3}
    for of_groups, of_samples in (
        (split_groups(range(90), **chosen, labels=labels), split_indices(labels, **chosen)),
        (split_groups(range(90), **chosen), split_indices(labels, **chosen, stratify=False)),
    ):
        for part, same in zip(of_groups, of_samples, strict=True):
            np.testing.assert_array_equal(part, same)


def test_a_group_may_have_any_name():
    """Only their order counts."""
    numbers = np.array([3, 1, 3, 2, 0, 5, 4, 4, 1])
    for part, same in zip(
        split_groups(numbers, seed=2), split_groups([f"writer {k}" for k in numbers], seed=2), strict=True
    ):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": []}, r"groups has one entry per sample, .* got shape \(0,\)"),
        ({"labels": [0] * 5}, "labels has one entry per sample, as groups has, got 5 and 6"),
        ({"labels": [0, 1, 0, 0, 0, 0]}, "the samples of a group have the same label, got [01] and [01] in group a"),
        ({"groups": list("aaabbb")}, "^the set has 2 groups, too few .* give more groups or other fractions$"),
        ({"labels": [0, 0, 0, 0, 1, 1]}, "^class 0 has 2 groups, too few .* or other fractions, or no labels$"),
        ({"val_fraction": 1}, "val_fraction is a finite number at least 0 and below 1, got 1"),
        ({"seed": -1}, "seed is an integer of at least 0, got -1"),
    ],
)
def test_groups_that_make_no_sense_are_refused(arguments, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        split_groups(**{"groups": list("aabbcc"), "seed": 0, **arguments})


# --- rows as they are stored ------------------------------------------------------------------------------------------


def test_official_parts_follow_one_another():
    """One of them may be empty."""
    assert [part.tolist() for part in parts_in_order(np.array([2, 0, 3]))] == [[0, 1], [], [2, 3, 4]]


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_are_taken_in_the_order_of_their_part(tmp_path, mapped):
    """Of every array, whether it lies in memory or in a file."""
    X = np.arange(20.0).reshape(10, 2)
    if mapped:
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="c")
    boxes = Ragged.of([[k] * k for k in range(10)])
    taken = take_in_order(Split(X, np.arange(10), {"boxes": boxes}), np.array([7, 1, 4]))
    assert taken.y.tolist() == [1, 4, 7]
    assert taken.X[:, 0].tolist() == [2, 8, 14]
    assert [row.tolist() for row in taken.extras["boxes"]] == [[1], [4] * 4, [7] * 7]
    assert not isinstance(taken.X, np.memmap)
