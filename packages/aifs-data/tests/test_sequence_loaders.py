"""Batches of sequences: padded to the longest, or cut out of a stream, each token once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data.arrays import Ragged
from aifs_data.sequence_loaders import IGNORED, RaggedLoader, WindowLoader
from aifs_utils import DataError

sizes = st.integers(1, 60)
epochs = st.integers(0, 2**40)
lengths = st.lists(st.integers(0, 12), min_size=1, max_size=120)


def sequences_of(lengths, first=1):
    """Return sequences whose tokens tell where they are from."""
    return Ragged.of([first + 100 * i + np.arange(length) for i, length in enumerate(lengths)])


@settings(deadline=None)
@given(lengths=lengths, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), ragged=st.sampled_from(["X", "y", "Xy"]))
def test_each_sequence_comes_once_in_an_epoch(lengths, batch_size, epoch, shuffle, ragged):
    """With its own target, padded to the longest of its batch and no farther."""
    rows = np.arange(len(lengths))
    X = sequences_of(lengths) if "X" in ragged else rows
    y = sequences_of(lengths[::-1], first=7) if "y" in ragged else rows
    loader = RaggedLoader(X, y, batch_size, shuffle=shuffle, X_padding=0)
    order, seen = loader.order(epoch), 0
    assert sorted(order) == rows.tolist()
    batches = list(loader.batches(epoch))
    assert len(batches) == len(loader)
    for batch in batches:
        chosen = order[seen : seen + batch_size]
        for array, rows_of, padding in zip(batch, (X, y), (0, IGNORED), strict=True):
            if isinstance(rows_of, Ragged):
                assert array.dtype == np.int64
                np.testing.assert_array_equal(array, rows_of.padded(chosen, padding))
            else:
                np.testing.assert_array_equal(array, chosen)
        seen += len(chosen)
    assert seen == len(lengths)
    assert all(len(y) == batch_size for _, y in batches[:-1])


@settings(deadline=None)
@given(lengths=lengths, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), data=st.data())
def test_starting_at_a_batch_gives_the_tail_of_the_epoch(lengths, batch_size, epoch, shuffle, data):
    """So a run that was stopped goes on where it was."""
    loader = RaggedLoader(sequences_of(lengths), np.arange(len(lengths)), batch_size, shuffle=shuffle)
    start = data.draw(st.integers(0, len(loader)))
    tail = list(loader.batches(epoch, start))
    for (X, y), (same_X, same_y) in zip(list(loader.batches(epoch))[start:], tail, strict=True):
        np.testing.assert_array_equal(X, same_X)
        np.testing.assert_array_equal(y, same_y)


def test_sequences_that_are_not_shuffled_come_as_they_are():
    """So that predictions line up with the data set."""
    loader = RaggedLoader(sequences_of([5, 1, 9, 2]), np.arange(4), 3)
    assert [y.tolist() for _, y in loader] == [[0, 1, 2], [3]]


def test_the_order_is_a_function_of_seed_and_epoch_only():
    """And each is another one."""
    X, y = sequences_of(np.arange(60) % 7), np.arange(60)
    first, second = (RaggedLoader(X, y, 8, seed=3, shuffle=True) for _ in range(2))
    assert first.order(4).tolist() == second.order(4).tolist()
    orders = {
        tuple(RaggedLoader(X, y, 8, seed=seed, shuffle=True).order(epoch)) for seed in range(4) for epoch in range(4)
    }
    assert len(orders) == 16


def test_batches_of_similar_lengths_waste_little():
    """A ninth of a batch, where batches at random have three quarters; and short ones do not come before long ones."""
    lengths = np.random.default_rng(0).geometric(0.05, 20_000)
    X, y = Ragged(np.zeros(lengths.sum(), np.int32), np.r_[0, np.cumsum(lengths)]), np.arange(20_000)

    def waste(loader):
        return 1 - lengths.sum() / sum(X.size for X, _ in loader)

    bucketed = RaggedLoader(X, y, 64, shuffle=True)
    assert waste(bucketed) < 0.12
    assert waste(RaggedLoader(X, y, 64)) > 0.7
    widths = [X.shape[1] for X, _ in bucketed]
    assert abs(np.corrcoef(widths[:-1], widths[1:])[0, 1]) < 0.3


def test_what_drop_last_leaves_out_is_not_the_longest():
    """Each sample is left out as often as any other."""
    lengths = np.arange(1, 12)
    loader = RaggedLoader(sequences_of(lengths), np.arange(11), 5, shuffle=True, drop_last=True)
    assert len(loader) == 2
    left_out = [set(range(11)) - {int(i) for _, y in loader.batches(epoch) for i in y} for epoch in range(1100)]
    counts = np.bincount([next(iter(rows)) for rows in left_out], minlength=11)
    assert (np.abs(counts - 100) < 5 * 10).all()


def test_extras_and_other_types_come_along():
    """Floats stay floats."""
    X = Ragged.of([[0.5, 1.5], [2.5]], dtype=np.float32)
    batch, targets = next(iter(RaggedLoader(X, np.arange(2), 2, X_padding=-1, extras={"weights": np.ones(2)})))
    assert batch.dtype == np.float32
    assert batch.tolist() == [[0.5, 1.5], [2.5, -1]]
    assert list(targets) == ["y", "weights"]


def test_what_pads_can_be_read_from_the_loader():
    """Of what is padded."""
    X, y = sequences_of([3, 1]), np.arange(2)
    both, inputs = RaggedLoader(X, X, 2, X_padding=5), RaggedLoader(X, y, 2, X_padding=5)
    targets = RaggedLoader(y, X, 2, y_padding=6)
    assert [(loader.X_padding, loader.y_padding) for loader in (both, inputs, targets)] == [
        (5, IGNORED),
        (5, None),
        (None, 6),
    ]
    windows = WindowLoader(y, y, 1, context_length=1)
    assert (windows.X_padding, windows.y_padding) == (None, None)


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_are_their_own(shuffle):
    """A learner may change one and the data stay as they are."""
    X, y, tokens = sequences_of([3, 1, 2, 5]), np.arange(4), np.arange(20)
    loaders = [
        RaggedLoader(X, y, 2, shuffle=shuffle, extras={"weights": np.ones(4)}),
        WindowLoader(tokens, tokens, 2, context_length=3, shuffle=shuffle),
    ]
    for _ in range(2):
        for batch_X, targets in loaders[0].batches(0):
            batch_X[:] = targets["y"][:] = targets["weights"][:] = -1
        for batch in loaders[1].batches(0):
            for array in batch:
                array[:] = -1
    assert X.values.tolist() == sequences_of([3, 1, 2, 5]).values.tolist()
    assert (y.tolist(), tokens.tolist()) == (list(range(4)), list(range(20)))


def test_iterating_again_is_warned_of_where_epochs_differ(caplog):
    """Once for each loader that is shuffled."""
    X, tokens = sequences_of([3, 1, 2, 5]), np.arange(20)
    for shuffle, n_warnings in ((False, 0), (True, 2)):
        for loader in (
            RaggedLoader(X, X, 2, shuffle=shuffle),
            WindowLoader(tokens, tokens, 2, context_length=3, shuffle=shuffle),
        ):
            for _ in range(3):
                list(loader)
        assert len(caplog.records) == n_warnings


def test_sequences_that_do_not_fit_are_refused():
    """As arrays are."""
    with pytest.raises(DataError, match="got 2 and 3 rows"):
        RaggedLoader(sequences_of([1, 2]), np.arange(3), 2)
    with pytest.raises(DataError, match="drop_last leaves no batch: 2 samples are less than one batch of 3"):
        RaggedLoader(sequences_of([1, 2]), np.arange(2), 3, drop_last=True)


streams = st.integers(1, 300)
contexts = st.integers(1, 40)


@settings(deadline=None)
@given(n=streams, context_length=contexts, batch_size=sizes)
def test_every_token_counts_once_in_evaluation(n, context_length, batch_size):
    """In order; only the last batch is narrower, and alone then."""
    tokens = np.arange(n + 1, dtype=np.int32)
    loader = WindowLoader(tokens[:-1], tokens[1:], batch_size, context_length=context_length)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert np.concatenate([X.ravel() for X, _ in batches]).tolist() == list(range(n))
    for X, y in batches:
        assert (X.dtype, y.dtype, X.ndim) == (np.int64, np.int64, 2)
        np.testing.assert_array_equal(y, X + 1)
    assert all(X.shape[1] == context_length for X, _ in batches[:-1])
    assert sum(len(X) for X, _ in batches) == loader.n_samples


@settings(deadline=None)
@given(n=streams, context_length=contexts, batch_size=sizes, epoch=epochs, data=st.data())
def test_windows_to_train_on_are_whole_and_disjoint(n, context_length, batch_size, epoch, data):
    """As many in every epoch, fewer than two windows left out, in the epoch's order; a resumed epoch has the same."""
    tokens = np.arange(n + 1, dtype=np.int32)

    def make():
        return WindowLoader(tokens[:-1], tokens[1:], batch_size, context_length=context_length, shuffle=True)

    if n < context_length:
        with pytest.raises(DataError, match=f"does not fit into a stream of {n}"):
            make()
        return
    loader = make()
    batches = list(loader.batches(epoch))
    assert len(batches) == len(loader)
    assert [int(window[0]) for X, _ in batches for window in X] == loader.order(epoch).tolist()
    seen = np.concatenate([X.ravel() for X, _ in batches])
    assert len(np.unique(seen)) == len(seen) == loader.n_samples * context_length > n - 2 * context_length
    for X, y in batches:
        assert X.shape[1] == context_length
        np.testing.assert_array_equal(X - X[:, :1], np.tile(np.arange(context_length), (len(X), 1)))
        np.testing.assert_array_equal(y, X + 1)
    start = data.draw(st.integers(0, len(loader)))
    for (X, _), (same, _) in zip(batches[start:], loader.batches(epoch, start), strict=True):
        np.testing.assert_array_equal(X, same)


@settings(deadline=None)
@given(n=streams, context_length=contexts, batch_size=sizes, epoch=epochs, shuffle=st.booleans())
def test_a_loader_says_where_the_windows_of_a_batch_begin(n, context_length, batch_size, epoch, shuffle):
    """The shorter window at the end, too, which is a batch of its own."""
    tokens = np.arange(max(n, context_length) + 1)
    loader = WindowLoader(tokens[:-1], tokens[1:], batch_size, context_length=context_length, shuffle=shuffle)
    for number, (X, _) in enumerate(loader.batches(epoch)):
        assert loader.batch_indices(epoch, number).tolist() == X[:, 0].tolist()


def test_over_the_epochs_every_token_has_its_turn():
    """In every place of a window."""
    tokens = np.arange(50)
    loader = WindowLoader(tokens, tokens, 4, context_length=8, shuffle=True, seed=1)
    places = {
        (int(token), place)
        for epoch in range(200)
        for X, _ in loader.batches(epoch)
        for w in X
        for place, token in enumerate(w)
    }
    assert {token for token, _ in places} == set(range(50))
    assert {place for token, place in places if token == 25} == set(range(8))


def test_windows_of_a_full_batch_only():
    """drop_last leaves out the rest, and the short window."""
    tokens = np.arange(30)
    loader = WindowLoader(tokens, tokens, 2, context_length=4, drop_last=True)
    assert [X.shape for X, _ in loader] == [(2, 4)] * 3 == [(2, 4)] * len(loader)


def test_streams_that_do_not_fit_are_refused():
    """Of two lengths, of two axes, of none."""
    for X, y in ((np.arange(3), np.arange(4)), (np.zeros((3, 2)), np.zeros((3, 2))), (np.arange(0), np.arange(0))):
        with pytest.raises(DataError, match="streams of as many tokens, and at least one, got shapes"):
            WindowLoader(X, y, 2, context_length=2)
    with pytest.raises(DataError, match="context_length is an integer of at least 1, got 0"):
        WindowLoader(np.arange(3), np.arange(3), 2, context_length=0)


def test_tensors_are_the_arrays():
    """In the same order."""
    torch = pytest.importorskip("torch", reason="torch is an extra")
    torch.set_num_threads(1)
    X, tokens = sequences_of([3, 1, 2, 5]), np.arange(20, dtype=np.int32)
    for make in (
        lambda **options: RaggedLoader(X, X, 2, shuffle=True, **options),
        lambda **options: WindowLoader(tokens, tokens, 2, context_length=3, shuffle=True, **options),
    ):
        for arrays, tensors in zip(make(), make(framework="torch", device="cpu"), strict=True):
            for array, tensor in zip(arrays, tensors, strict=True):
                assert tensor.dtype == torch.int64
                np.testing.assert_array_equal(tensor.numpy(), array)
