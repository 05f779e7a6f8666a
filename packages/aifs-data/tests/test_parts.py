"""Parts of a loader for processes that train together: what all of them get is what one process would get."""

import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import (
    ArrayLoader,
    FreshLoader,
    GaussianNoise,
    HorizontalFlip,
    Normalize,
    Ragged,
    RaggedLoader,
    RandomCrop,
    Split,
    WindowLoader,
    create_data_loaders,
    load_dataset,
)
from aifs_utils import DataError

sizes = st.integers(1, 60)
epochs = st.integers(0, 2**40)
processes = st.integers(1, 6)


def piece_of(n, rank, size):
    """Return which samples of a batch of `n` a process gets, counted one by one."""
    numbers = [n // size + (1 if other < n % size else 0) for other in range(size)]
    first = sum(numbers[:rank])
    return slice(first, first + numbers[rank]) if numbers[rank] else slice(0, 1)


def arrays_of(batch):
    """Return all arrays of a batch."""
    if isinstance(batch, dict):
        batch = tuple(batch.values())
    return [array for each in batch for array in arrays_of(each)] if isinstance(batch, tuple | list) else [batch]


def assert_same(batch, other):
    """Check that two batches are of the same kind and equal to the bit."""
    for array, expected in zip(arrays_of(batch), arrays_of(other), strict=True):
        assert type(array) is type(expected)
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(np.asarray(array), np.asarray(expected))


def assert_parts_are_of(loader, size, epoch, start=0):
    """Check the pieces and the dealt batches of each process against the batches of the whole loader."""
    whole = list(loader.batches(epoch))
    assert [loader.n_in_batch(batch) for batch in range(len(loader))] == [len(arrays_of(batch)[0]) for batch in whole]
    dealt = {}
    for rank in range(size):
        split = loader.split(rank, size)
        assert len(split) == len(loader)
        for number, piece in enumerate(split.batches(epoch, start), start):
            batch = whole[number]
            cut = piece_of(loader.n_in_batch(number), rank, size)
            for array, of_batch in zip(arrays_of(piece), arrays_of(batch), strict=True):
                assert_same(array, of_batch[cut])
            assert split.n_in_batch(number) == loader.n_in_batch(number)
            np.testing.assert_array_equal(
                split.batch_indices(epoch, number), loader.batch_indices(epoch, number)[cut], strict=True
            )
        deal = loader.deal(rank, size)
        assert len(deal) == len(whole[rank::size])
        for number, batch in enumerate(deal.batches(epoch)):
            dealt[rank + number * size] = batch
            assert deal.n_in_batch(number) == loader.n_in_batch(rank + number * size)
            np.testing.assert_array_equal(
                deal.batch_indices(epoch, number), loader.batch_indices(epoch, rank + number * size), strict=True
            )
    assert sorted(dealt) == list(range(len(whole)))
    for number, batch in dealt.items():
        assert_same(batch, whole[number])


def loader_of(n, batch_size, **options):
    """Return a loader of samples that can be told apart: row i of X holds i, and so does y."""
    X = np.repeat(np.arange(float(n))[:, np.newaxis], 3, axis=1)
    return ArrayLoader(X, np.arange(n), batch_size, **options)


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, size=processes, epoch=epochs, shuffle=st.booleans(), data=st.data())
def test_pieces_of_all_processes_are_the_batch_and_dealt_batches_whole(n, batch_size, size, epoch, shuffle, data):
    """In order, from any batch on, shuffled or not, with and without a last batch that is not full."""
    batch_size = max(batch_size, size)
    drop_last = n >= batch_size and data.draw(st.booleans())
    loader = loader_of(n, batch_size, shuffle=shuffle, drop_last=drop_last, seed=n)
    assert_parts_are_of(loader, size, epoch, data.draw(st.integers(0, len(loader))))


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, changes=st.lists(st.tuples(sizes, processes)), last=processes, epoch=epochs)
def test_each_sample_comes_once_when_the_number_of_processes_changes_in_an_epoch(n, batch_size, changes, last, epoch):
    """The position is a batch, whoever computes it; what stands in for an empty piece is not counted."""
    loader = loader_of(n, max(batch_size, 6), shuffle=True)
    edges = sorted({min(at, len(loader)) for at, _ in changes} | {0, len(loader)})
    seen = []
    for (start, end), (_, size) in zip(pairwise(edges), [*changes, (0, last)], strict=False):
        for rank in range(size):
            batches = loader.split(rank, size).batches(epoch, start)
            for number, (_, y) in zip(range(start, end), batches, strict=False):
                n_batch = loader.n_in_batch(number)
                counted = n_batch // size + (rank < n_batch % size)
                seen += y[:counted].tolist()
    assert sorted(seen) == list(range(n))


def images_of(n):
    """Return images, labels and extras that can be told apart; each sample has another number of boxes."""
    rng = np.random.default_rng(n)
    X = rng.integers(0, 256, (n, 3, 8, 8)).astype(np.uint8)
    boxes = Ragged.of([rng.random((i * 5 % 4, 4)) for i in range(n)], dtype=np.float32)
    return X, np.arange(n), {"weights": np.arange(n) * 0.5, "boxes": boxes}


def draw_images(rows):
    """Return samples without end."""
    return Split(np.multiply.outer(rows, np.ones((1, 8, 8), int)).astype(np.uint8), rows)


def array_loader(part, batch_size, **options):
    """Return the loader of what was drawn; a function, so that it can be pickled."""
    return ArrayLoader(part.X, part.y, batch_size, **options)


AUGMENTED = {
    "transform": [RandomCrop(2), HorizontalFlip(), GaussianNoise(9)],
    "normalize": Normalize([1, 2, 3], [4, 5, 6]),
}


def loaders_of_every_kind(framework, shuffle, drop_last):
    """Return loaders by what they are; none has a number of samples that its batches divide."""
    X, y, extras = images_of(150)
    several = {"framework": framework, "shuffle": shuffle, "drop_last": drop_last, "seed": 5}
    weights = {"weights": extras["weights"]}
    lengths = np.random.default_rng(1).integers(0, 12, 150)
    ragged = Ragged.of([100 * i + np.arange(length) for i, length in enumerate(lengths)])
    reverse = Ragged.of([100 * i + np.arange(length) for i, length in enumerate(lengths[::-1])])
    tokens = np.arange(151, dtype=np.int32)
    reversal = load_dataset("reversal", n_samples=300)
    fresh = {"fresh": True, "drop_last": drop_last, "framework": framework}
    return {
        "rows": ArrayLoader(X, y, 8, **several),
        "large batches of rows": ArrayLoader(X, y, 140, normalize=Normalize.unit(), **several),
        "images": ArrayLoader(X, y, 16, extras=weights, **AUGMENTED, **several),
        "large batches of images": ArrayLoader(X, y, 140, **AUGMENTED, **several),
        "boxes": ArrayLoader(X, y, 16, extras=extras, normalize=Normalize.unit(), **several),
        "augmented boxes": ArrayLoader(X, y, 16, extras=extras, **AUGMENTED, **several),
        "sequences": RaggedLoader(ragged, reverse, 16, extras=extras, **several),
        "labelled sequences": RaggedLoader(ragged, y, 7, **several),
        "windows": WindowLoader(tokens[:-1], tokens[1:], 4, context_length=8, **several),
        "fresh images": FreshLoader(
            draw_images,
            300,
            16,
            transform=GaussianNoise(9),
            make_loader=partial(array_loader, framework=framework),
            drop_last=drop_last,
        ),
        "fresh sequences": create_data_loaders(reversal, 8, **fresh).train,
    }


def require(framework):
    """Skip the test where its framework is torch and torch is not there."""
    if framework == "torch":
        pytest.importorskip("torch", reason="torch is an extra").set_num_threads(1)


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_loaders_of_every_kind_give_the_numbers_of_whole_batches(framework, shuffle, drop_last, size):
    """To the bit: augmented, normalized, as wide as the longest of the whole batch, as arrays and as tensors."""
    require(framework)
    for loader in loaders_of_every_kind(framework, shuffle, drop_last).values():
        assert_parts_are_of(loader, size, epoch=2, start=1)


@settings(deadline=None)
@given(n=st.integers(1, 60), context_length=st.integers(1, 9), batch_size=sizes, size=processes, shuffle=st.booleans())
def test_windows_are_split_and_dealt_whatever_is_left_at_the_end(n, context_length, batch_size, size, shuffle):
    """A shorter window is a batch of its own, of the first process or of whoever it is dealt to."""
    tokens = np.arange(max(n, context_length) + 1)
    options = {"context_length": context_length, "shuffle": shuffle}
    loader = WindowLoader(tokens[:-1], tokens[1:], max(batch_size, size), **options)
    assert_parts_are_of(loader, size, epoch=1)


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_a_part_can_be_pickled(framework):
    """With arrays that are there once, though the whole loader comes along."""
    require(framework)
    for loader in loaders_of_every_kind(framework, shuffle=True, drop_last=False).values():
        for part in (loader.split(1, 2), loader.deal(0, 2)):
            batches = list(part.batches(1, 1))
            pickled = pickle.dumps(part)
            assert len(pickled) < len(pickle.dumps(loader)) + 2000
            copy = pickle.loads(pickled)  # noqa: S301 - the test's own
            for batch, again in zip(batches, copy.batches(1, 1), strict=True):
                assert_same(again, batch)


def test_a_part_has_the_arrays_of_the_whole_loader():
    """Not copies; and on a device the tensors, of which one set is made."""
    loader = loader_of(20, 4)
    for part in (loader.split(0, 2), loader.deal(0, 2)):
        assert part.X is loader.X
        assert part.y is loader.y
    require("torch")
    X, y, _ = images_of(20)
    X.flags.writeable = False  # so that tensors are copies, as on a device
    loader = ArrayLoader(X, y, 4, framework="torch")
    tensors = {part._tensors[0].data_ptr() for part in (loader, loader.split(0, 2), loader.deal(1, 2))}
    assert len(tensors) == 1


def test_batches_of_a_part_can_be_written_and_change_no_data():
    """As those that are shuffled."""
    loader = loader_of(20, 4)
    for part in (loader.split(0, 2), loader.deal(0, 2)):
        for X, _ in part.batches(0):
            X[:] = -1
    assert loader.X.min() == 0


def test_the_whole_loader_stays_as_it_is():
    """Before, beside and after its parts are read."""
    loader = loader_of(21, 4, shuffle=True)
    before = list(loader.batches(3))
    parts = loader.split(0, 2).batches(3), loader.deal(1, 2).batches(3)
    for batch, again, *_ in zip(before, loader.batches(3), *parts, strict=False):
        assert_same(again, batch)
    assert (len(loader), loader.n_samples, loader.batch_size) == (6, 21, 4)


def test_a_part_for_one_process_is_the_loader_itself():
    """So that a loop for any number of processes costs nothing on one: batches that are views stay views."""
    loader = loader_of(20, 4)
    assert loader.split(0, 1) is loader
    assert loader.deal(0, 1) is loader


def test_of_fresh_samples_only_those_of_the_process_are_drawn():
    """Images; of padded sequences whole batches are, since their width depends on all of it."""
    drawn = []

    def draw(rows):
        drawn.append(rows)
        return draw_images(rows)

    loader = FreshLoader(draw, 1000, 512, make_loader=array_loader)
    list(loader.split(1, 2).batches(1))
    assert np.concatenate(drawn).tolist() == [*range(1256, 1512), *range(1756, 2000)]


def test_more_processes_than_batches_leave_some_without():
    """An evaluation of one batch on two processes: the second has nothing to do, in any epoch."""
    for loader in loaders_of_every_kind("numpy", shuffle=False, drop_last=False).values():
        n_batches = len(loader)
        idle = loader.deal(n_batches, n_batches + 1)
        assert len(idle) == 0
        assert list(idle.batches(3)) == list(idle) == []
        with pytest.raises(DataError, match="batch is from 0 to -1"):
            idle.n_in_batch(0)


def test_a_batch_that_has_fewer_samples_than_processes_is_refused():
    """Some would never have any; the last batch of an epoch may."""
    with pytest.raises(DataError, match="a batch of 2 cannot be split over 4 processes: take a batch_size of"):
        loader_of(10, 2).split(0, 4)
    assert [y.tolist() for _, y in loader_of(9, 4).split(3, 4)] == [[3], [7], [8]]
    assert len(loader_of(10, 2).deal(0, 4)) == 2


@pytest.mark.parametrize(
    ("rank", "size", "message"),
    [
        (0, 0, "size is an integer of at least 1, got 0"),
        (0, 2.0, "size is an integer of at least 1, got 2.0"),
        (-1, 2, "rank is an integer of at least 0, got -1"),
        ("0", 2, "rank is an integer of at least 0, got '0'"),
        (2, 2, "rank is from 0 to 1, as there are 2 processes, got 2"),
    ],
)
def test_a_process_that_is_not_there_is_refused(rank, size, message):
    """When the part is asked for."""
    loader = loader_of(10, 4)
    for take in (loader.split, loader.deal):
        with pytest.raises(DataError, match=message):
            take(rank, size)


def test_a_part_cannot_be_split_again():
    """Its batches are not those of the whole loader."""
    loader = loader_of(20, 4)
    for part in (loader.split(1, 2), loader.deal(1, 2)):
        for take in (part.split, part.deal):
            with pytest.raises(DataError, match="has the part of process 1 of 2 already: split or deal the whole one"):
                take(0, 4)


@pytest.mark.parametrize("batch", [-1, 3, 1.0])
def test_there_is_no_number_of_samples_of_a_batch_that_is_not_there(batch):
    """An epoch of seven samples has three batches of three; a part has no more."""
    loader = loader_of(7, 3)
    for each in (loader, loader.split(0, 2)):
        with pytest.raises(DataError, match="batch is"):
            each.n_in_batch(batch)


def test_iterating_over_a_part_again_is_warned_of_once(caplog):
    """As with a whole loader, whose loops do not count."""
    loader = loader_of(10, 4, shuffle=True)
    list(loader)
    part = loader.split(0, 2)
    list(part)
    assert not caplog.records
    list(part)
    assert len(caplog.records) == 1
