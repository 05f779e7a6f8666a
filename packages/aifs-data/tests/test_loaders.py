"""Batches: each sample once, in an order that is a pure function of (seed, epoch)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import ArrayLoader, create_data_loaders, load_dataset
from aifs_utils import DataError


def loader_of(n, batch_size, **options):
    """Return a loader of samples that can be told apart: row i of X holds i, and so does y."""
    X = np.repeat(np.arange(float(n))[:, np.newaxis], 3, axis=1)
    return ArrayLoader(X, np.arange(n), batch_size, **options)


def seen(batches):
    """Return the samples in the order they come."""
    return [int(i) for _, y in batches for i in y]


sizes = st.integers(1, 200)
epochs = st.integers(0, 2**40)


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, seed=epochs, epoch=epochs, shuffle=st.booleans())
def test_each_sample_comes_once_in_an_epoch(n, batch_size, seed, epoch, shuffle):
    """With its own label, in as many batches as len() says."""
    loader = loader_of(n, batch_size, seed=seed, shuffle=shuffle)
    batches = list(loader.batches(epoch))
    assert len(batches) == len(loader)
    assert [len(y) for _, y in batches[:-1]] == [batch_size] * (len(loader) - 1)
    assert sorted(seen(batches)) == list(range(n))
    assert seen(batches) == loader.order(epoch).tolist()
    for X, y in batches:
        np.testing.assert_array_equal(X, np.repeat(y[:, np.newaxis], 3, axis=1))


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), data=st.data())
def test_starting_at_a_batch_gives_the_tail_of_the_epoch(n, batch_size, epoch, shuffle, data):
    """So a run that was stopped goes on where it was."""
    loader = loader_of(n, batch_size, shuffle=shuffle)
    start = data.draw(st.integers(0, len(loader)))
    whole, tail = list(loader.batches(epoch)), list(loader.batches(epoch, start))
    assert len(tail) == len(whole) - start
    for (X, y), (same_X, same_y) in zip(whole[start:], tail, strict=True):
        np.testing.assert_array_equal(X, same_X)
        np.testing.assert_array_equal(y, same_y)


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, shuffle=st.booleans())
def test_drop_last_leaves_out_what_does_not_fill_a_batch(n, batch_size, shuffle):
    """And nothing else."""
    if n < batch_size:
        with pytest.raises(DataError, match=f"{n} samples are less than one batch of {batch_size}"):
            loader_of(n, batch_size, shuffle=shuffle, drop_last=True)
        return
    loader = loader_of(n, batch_size, shuffle=shuffle, drop_last=True)
    whole = loader_of(n, batch_size, shuffle=shuffle)
    assert {len(y) for _, y in loader} == {batch_size}
    assert seen(loader) == seen(whole)[: n // batch_size * batch_size]


def test_the_order_is_a_function_of_seed_and_epoch_only():
    """Whatever was loaded before, and whatever the global random state is."""
    first, second = (loader_of(50, 7, seed=3, shuffle=True) for _ in range(2))
    seen(first.batches(0))
    np.random.seed(0)  # noqa: NPY002
    assert seen(first.batches(4)) == seen(second.batches(4)) == seen(second.batches(4))
    orders = {tuple(loader_of(50, 7, seed=seed, shuffle=True).order(epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_every_order_is_as_likely():
    """Over many epochs each sample is first as often as any other."""
    loader = loader_of(4, 1, shuffle=True)
    counts = np.bincount([loader.order(epoch)[0] for epoch in range(2000)], minlength=4)
    assert (np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75)).all()


def test_batches_that_are_not_shuffled_are_views():
    """Evaluation copies nothing."""
    loader = loader_of(10, 4)
    assert all(np.shares_memory(X, loader.X) and np.shares_memory(y, loader.y) for X, y in loader)


def test_batches_that_are_shuffled_are_their_own():
    """A learner may change one, or keep it, and neither the data nor the next batch changes."""
    loader = loader_of(10, 4, shuffle=True)
    kept = list(loader.batches(0))
    for X, y in kept:
        X[:], y[:] = -1, -1
    assert sorted(seen(loader.batches(0))) == list(range(10))
    assert not np.shares_memory(kept[0][0], kept[1][0])


def test_the_order_is_drawn_once_in_an_epoch(monkeypatch):
    """Drawing it costs as much as many batches."""
    loader = loader_of(100, 1, shuffle=True)
    calls, order = [], loader.order
    monkeypatch.setattr(loader, "order", lambda epoch: calls.append(epoch) or order(epoch))
    assert len(list(loader.batches(2))) == 100
    assert calls == [2]


def test_iterating_is_epoch_0_again_and_again():
    """A loader has no state."""
    loader = loader_of(10, 3, shuffle=True)
    assert seen(loader) == seen(loader) == seen(loader.batches(0))


def test_inputs_and_targets_may_have_any_shape_and_type():
    """Images, vectors as targets."""
    images, targets = np.zeros((6, 2, 8, 8), dtype=np.float32), np.zeros((6, 3))
    X, y = next(iter(ArrayLoader(images, targets, 4, shuffle=True)))
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((4, 2, 8, 8), np.float32, (4, 3), np.float64)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "8", None, True])
def test_a_bad_batch_size_is_refused(batch_size):
    """Here and where loaders are made."""
    with pytest.raises(DataError, match="batch_size is an integer of at least 1, got "):
        loader_of(10, batch_size)
    with pytest.raises(DataError, match="batch_size is an integer of at least 1, got "):
        create_data_loaders(load_dataset("xor"), batch_size)
    if batch_size is not None:
        with pytest.raises(DataError, match="eval_batch_size is an integer of at least 1, got "):
            create_data_loaders(load_dataset("xor"), 1, eval_batch_size=batch_size)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 5), (0.5, 0), (0, None)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_bad_position_is_refused_at_once(epoch, start, shuffle):
    """Not when the first batch is asked for."""
    with pytest.raises(DataError, match=r"(epoch|start) is "):
        loader_of(10, 3, shuffle=shuffle).batches(epoch, start)


@pytest.mark.parametrize(("n_X", "n_y"), [(5, 4), (0, 0)])
def test_arrays_that_do_not_fit_are_refused(n_X, n_y):
    """So that no sample gets another's label."""
    with pytest.raises(DataError, match=f"got {n_X} and {n_y} rows"):
        ArrayLoader(np.zeros((n_X, 2)), np.zeros(n_y), 2)


def test_a_bad_seed_is_refused():
    """As everywhere."""
    with pytest.raises(DataError, match="seed is an integer of at least 0, got -3"):
        loader_of(10, 2, seed=-3)


def test_the_loaders_of_a_data_set():
    """Training is shuffled; evaluation is neither shuffled nor cut, in larger batches."""
    moons = load_dataset("moons")
    loaders = create_data_loaders(moons, 32, seed=5, drop_last=True)
    train, val, test = loaders
    assert (loaders.train, loaders.val, loaders.test) == (train, val, test)
    assert (train.n_samples, val.n_samples, test.n_samples) == (300, 100, 100)
    assert (len(train), len(val), len(test)) == (9, 1, 1)
    np.testing.assert_array_equal(next(iter(test))[0], moons.test.X)
    np.testing.assert_array_equal(
        train.order(2), ArrayLoader(moons.train.X, moons.train.y, 1, seed=5, shuffle=True).order(2)
    )
    assert len(create_data_loaders(moons, 32, eval_batch_size=30).val) == 4
    assert create_data_loaders(moons, 1024).val.batch_size == 1024
    assert not create_data_loaders(moons, 32, shuffle=False).train.shuffle


def test_a_part_without_samples_has_no_loader():
    from dataclasses import replace

    from aifs_data import create_data_loaders, load_dataset
    from aifs_data.dataset import Split

    dataset = load_dataset("moons", seed=0)
    empty = Split(dataset.val.X[:0], dataset.val.y[:0])
    loaders = create_data_loaders(replace(dataset, val=empty), batch_size=8)
    assert loaders.val is None
    assert loaders.test is not None
