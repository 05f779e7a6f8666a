"""Samples without end: none comes twice, and an epoch can be resumed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import ArrayLoader, Split, create_data_loaders, load_dataset
from aifs_data.augment import HorizontalFlip, augment
from aifs_data.draws import Draws
from aifs_data.fresh_loader import FreshLoader
from aifs_utils import DataError

sizes = st.integers(1, 400)


def draw(rows):
    """Return samples that can be told apart: images of their number, modulo 251."""
    return Split(np.multiply.outer(rows, np.ones((1, 2, 2), int)) % 251 + np.array([0, 1]), rows)


def loader_of(n_samples, batch_size, **options):
    """Return a loader of these samples."""
    return FreshLoader(
        draw, n_samples, batch_size, make_loader=lambda part, size: ArrayLoader(part.X, part.y, size), **options
    )


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, epoch=st.integers(0, 10**6), data=st.data())
def test_an_epoch_has_the_samples_after_those_of_the_epoch_before(n, batch_size, epoch, data):
    """Each once, from any batch on."""
    loader = loader_of(n, batch_size)
    start = data.draw(st.integers(0, len(loader)))
    batches = list(loader.batches(epoch, start))
    assert len(batches) == len(loader) - start
    seen = [int(i) for _, y in batches for i in y]
    assert seen == list(range(epoch * n + min(n, start * batch_size), (epoch + 1) * n))
    assert all(len(y) == batch_size for _, y in batches[:-1])
    for X, y in batches:
        np.testing.assert_array_equal(X, draw(y).X)


def test_only_what_is_needed_is_drawn():
    """In runs of whole batches; a resumed epoch does not draw what came before."""
    drawn = []
    loader = FreshLoader(
        lambda rows: drawn.append(rows) or draw(rows),
        1000,
        100,
        make_loader=lambda part, size: ArrayLoader(part.X, part.y, size),
    )
    next(loader.batches(2, 3))
    assert [rows.tolist() for rows in drawn] == [list(range(2300, 2500))]


def test_drop_last_leaves_out_what_does_not_fill_a_batch():
    """In every epoch."""
    loader = loader_of(10, 4, drop_last=True)
    assert [y.tolist() for _, y in loader.batches(1)] == [[10, 11, 12, 13], [14, 15, 16, 17]]


def test_a_sample_is_augmented_by_its_number():
    """Whatever batch it is in."""

    def images(rows):
        return Split(draw(rows).X.astype(np.uint8), rows)

    for batch_size in (3, 50):
        loader = FreshLoader(
            images,
            300,
            batch_size,
            seed=4,
            transform=HorizontalFlip(),
            make_loader=lambda part, size: ArrayLoader(part.X, part.y, size),
        )
        for X, y in loader.batches(1, 2):
            np.testing.assert_array_equal(X, augment([HorizontalFlip()], images(y).X, Draws(4, 1, y)))


def test_a_set_that_draws_samples_gives_fresh_ones():
    """The first epoch is its training part; the other parts stay."""
    adding = load_dataset("adding", seed=0, n_samples=300)
    loaders = create_data_loaders(adding, 64, fresh=True)
    assert type(loaders.train) is FreshLoader
    first = np.concatenate([X for X, _ in loaders.train.batches(0)])
    np.testing.assert_array_equal(first, adding.train.X)
    np.testing.assert_array_equal(next(loaders.train.batches(2))[0], adding.draw("train", np.arange(600, 664)).X)
    np.testing.assert_array_equal(next(iter(loaders.val))[0], adding.val.X)


def test_sequences_are_padded_batch_by_batch():
    """As in the loader of sequences."""
    reversal = load_dataset("reversal", seed=0, n_samples=200)
    fresh = create_data_loaders(reversal, 32, fresh=True).train
    plain = create_data_loaders(reversal, 32, shuffle=False).train
    for batch, expected in zip(fresh.batches(0), plain.batches(0), strict=True):
        for array, other in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(array, other)


def test_what_pads_sequences_can_be_read_from_the_loader():
    """As from the loader of the other parts."""
    loaders = create_data_loaders(load_dataset("reversal", seed=0, n_samples=200), 32, fresh=True)
    assert (loaders.train.X_padding, loaders.train.y_padding) == (loaders.val.X_padding, loaders.val.y_padding)
    assert loaders.train.y_padding is not None


def test_iterating_again_is_warned_of(caplog):
    """It is the samples of epoch 0 again, and no fresh ones."""
    loader = loader_of(10, 4)
    assert [y.tolist() for _, y in loader] == [y.tolist() for _, y in loader]
    assert ["take loader.batches(epoch) to train" in record.getMessage() for record in caplog.records] == [True]


def test_sizes_are_checked():
    """As everywhere."""
    with pytest.raises(DataError, match="n_samples is an integer of at least 1, got 0"):
        loader_of(0, 4)
    with pytest.raises(DataError, match="start is from 0 to 3, the number of batches in an epoch, got 4"):
        loader_of(10, 4).batches(0, 4)
