"""What several processes compute of one training, told to stand-ins of them in this process."""

import itertools
import signal
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifs_engine.distributed import (
    ALONE,
    Agreement,
    Part,
    Processes,
    SplitLoader,
    alone,
    choose_strategy,
    chosen_strategy,
    cut,
    dealt,
    piece_of,
)
from aifs_engine.interrupts import Interrupted, PendingInterrupt
from aifs_engine.learner import batch_size
from aifs_utils.exceptions import ConfigError, DataError


class Some(Processes):
    """One of several, which knows its number and has nobody to talk to."""

    def __init__(self, rank, size, is_sharded=False):
        self.rank, self.size, self.is_sharded = rank, size, is_sharded


class CountingLoader:
    """Numbers in batches, in another order each epoch, whose pieces and deals it makes itself and writes down."""

    def __init__(self, n_samples=21, size=4, part=None, own=None):
        self.n_samples, self.size, self.part, self.own = n_samples, size, part, own

    def __len__(self):
        return len(self._numbers())

    def _numbers(self):
        numbers = range(-(-self.n_samples // self.size))
        return numbers if self.own is None else numbers[self.own[0] :: self.own[1]]

    def n_in_batch(self, batch):
        return min(self.size, self.n_samples - batch * self.size)

    def split(self, rank, size):
        return CountingLoader(self.n_samples, self.size, part=(rank, size))

    def deal(self, rank, size):
        return CountingLoader(self.n_samples, self.size, own=(rank, size))

    def batch_indices(self, epoch, batch):
        order = np.random.default_rng(epoch).permutation(self.n_samples)
        samples = order[batch * self.size : (batch + 1) * self.size]
        if self.part is None:
            return samples
        first, end = piece_of(len(samples), *self.part)
        return samples[first:end] if end > first else samples[:1]

    def batches(self, epoch, start=0):
        for number in self._numbers()[start:]:
            yield self.batch_indices(epoch, number)


class PlainLoader:
    """The same batches from a loader that knows nothing of processes."""

    def __init__(self, loader):
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def batches(self, epoch, start=0):
        return self.loader.batches(epoch, start)


@given(n_samples=st.integers(0, 300), size=st.integers(1, 40))
def test_pieces_follow_one_another_and_differ_by_one_sample_at_most(n_samples, size):
    """From the first sample to the last, the larger ones first."""
    pieces = [piece_of(n_samples, rank, size) for rank in range(size)]
    assert pieces[0][0] == 0
    assert pieces[-1][1] == n_samples
    assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))
    lengths = [end - first for first, end in pieces]
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths) - min(lengths) <= 1


Pair = namedtuple("Pair", "X y")  # as other people's loaders have it


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([1, 2, 3, 4], [2, 3]),
        ((1, 2, 3, 4), (2, 3)),
        (([1, 2, 3, 4], [5, 6, 7, 8]), ([2, 3], [6, 7])),
        ([[1, 2, 3, 4], (5, 6, 7, 8)], [[2, 3], (6, 7)]),
        ({"X": [1, 2, 3, 4], "of": ({"y": [5, 6, 7, 8]},)}, {"X": [2, 3], "of": ({"y": [6, 7]},)}),
        (Pair([1, 2, 3, 4], [5, 6, 7, 8]), Pair([2, 3], [6, 7])),
    ],
)
def test_the_rows_are_cut_of_every_array_in_a_batch(batch, expected):
    """Whatever it is nested in, and the nest stays of its kind."""
    found = cut(batch, slice(1, 3))
    assert found == expected
    assert type(found) is type(expected)


def test_arrays_are_cut_along_their_first_axis():
    """And share the batch's memory."""
    X = np.arange(12).reshape(4, 3)
    piece, targets = cut((X, X[:, 0]), slice(2, 4))
    assert np.array_equal(piece, X[2:])
    assert np.array_equal(targets, [6, 9])
    assert np.shares_memory(piece, X)


@pytest.mark.parametrize("plain", [True, False], ids=["cut here", "cut by the loader"])
@pytest.mark.parametrize(("n_samples", "batch_of", "size"), [(21, 4, 2), (21, 4, 3), (20, 8, 3), (9, 8, 4), (7, 7, 4)])
def test_the_pieces_of_all_processes_are_the_batches_of_one(plain, n_samples, batch_of, size):
    """In order, each sample once; who gets none has a stand-in, which does not count. From anywhere in the epoch."""
    whole = CountingLoader(n_samples, batch_of)
    for epoch, start in [(0, 0), (3, 1)]:
        expected = list(whole.batches(epoch, start))
        found = [[] for _ in expected]
        for rank in range(size):
            parts = []
            loader = SplitLoader(
                PlainLoader(whole) if plain else whole,
                Some(rank, size),
                lambda epoch, batch, part, parts=parts: parts.append((epoch, batch, part)),
            )
            assert len(loader) == len(whole)
            for number, piece in enumerate(loader.batches(epoch, start)):
                of_epoch, batch, part = parts[-1]
                assert len(parts) == number + 1  # what is known of a piece comes before it, and not earlier
                assert (of_epoch, batch) == (epoch, start + number)
                assert part.n_all == len(expected[number])
                assert part.is_last == (batch == len(whole) - 1)
                assert len(piece) == max(part.n_here, 1)
                if part.n_here == 0:
                    assert piece.tolist() == expected[number][:1].tolist()
                found[number] += piece[: part.n_here].tolist()
            assert len(parts) == len(expected)
        assert found == [batch.tolist() for batch in expected]


def test_a_list_of_batches_is_cut_as_well():
    """With a last batch that has fewer samples than there are processes."""
    parts = []
    loader = SplitLoader([([1, 2, 3, 4, 5], "abcde"), ([6], "f")], Some(1, 3), lambda *told: parts.append(told))
    assert list(loader.batches(4)) == [([3, 4], "cd"), ([6], "f")]
    assert parts == [(4, 0, Part(2, 5, is_last=False)), (4, 1, Part(0, 1, is_last=True))]


def test_the_samples_of_a_piece_are_named_where_the_loader_knows_them():
    """For the message about a batch on which training diverges."""
    whole = CountingLoader(10, 4)
    pieces = [SplitLoader(whole, Some(rank, 2), lambda *told: None).batch_indices(1, 0) for rank in range(2)]
    assert np.array_equal(np.concatenate(pieces), whole.batch_indices(1, 0))
    assert len(SplitLoader(PlainLoader(whole), Some(0, 2), lambda *told: None).batch_indices(1, 0)) == 0


def test_an_empty_loader_is_refused_as_in_one_process():
    """By what reads it."""
    with pytest.raises(DataError, match="there are no batches"):
        SplitLoader([], Some(0, 2), lambda *told: None)


@pytest.mark.parametrize("plain", [True, False], ids=["dealt here", "dealt by the loader"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_whole_batches_are_dealt_out_each_to_one_process(plain, size):
    """Also where there are fewer batches than processes: some then have none."""
    whole = CountingLoader(21, 4)
    loader = PlainLoader(whole) if plain else whole
    dealt_out = [list(dealt(loader, Some(rank, size))) for rank in range(size)]
    for rank, batches in enumerate(dealt_out):
        assert [number for number, _ in batches] == list(range(rank, 6, size))
    found = dict(pair for batches in dealt_out for pair in batches)
    expected = list(whole.batches(0))
    assert [found[number].tolist() for number in sorted(found)] == [batch.tolist() for batch in expected]


@pytest.mark.parametrize("plain", [True, False], ids=["dealt here", "dealt by the loader"])
@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_processes_that_need_one_another_go_through_as_many_batches_each(plain, size):
    """Those with one less repeat one, which has no number, or take the first if they have none at all."""
    whole = CountingLoader(21, 4)
    loader = PlainLoader(whole) if plain else whole
    dealt_out = [list(dealt(loader, Some(rank, size, is_sharded=True))) for rank in range(size)]
    assert {len(batches) for batches in dealt_out} == {-(-6 // size)}
    numbers = [number for batches in dealt_out for number, _ in batches if number is not None]
    assert sorted(numbers) == list(range(6))
    assert all(batch_size(batch) > 0 for batches in dealt_out for _, batch in batches)


def test_one_process_is_all_there_are():
    """Whatever it asks the others it has answered itself."""
    loader = CountingLoader()
    assert (ALONE.rank, ALONE.size, ALONE.is_first, ALONE.is_sharded) == (0, 1, True, False)
    assert ALONE.split(loader) is loader
    assert ALONE.gather("a") == ["a"]
    assert ALONE.broadcast("a") == "a"
    assert ALONE.maximum(-3) == -3
    assert ALONE.from_first(lambda: "a") == "a"
    assert ALONE.may_say("a")
    assert ALONE.count((np.zeros((3, 2)), np.zeros(3))) == 3
    with ALONE.busy(), pytest.raises(ZeroDivisionError):
        ALONE.from_first(lambda: 1 / 0)


class Together(Some):
    """Processes that know of one another's wishes: what they say at each exchange, signal, save and steps to wait."""

    def __init__(self, told, rank=0):
        super().__init__(rank, 2)
        self.told, self.wishes = list(told), []

    def agree_later(self, *wishes):
        self.wishes.append(wishes)
        return self.told.pop(0)

    def maximum(self, value):
        return max(value, signal.SIGTERM)


class Saving:
    """In the place of `Checkpointing`: due when it is told so, and it counts."""

    def __init__(self, due=False):
        self.due, self.saved = due, 0

    def is_due(self, trainer):
        return self.due

    def save(self, trainer):
        self.saved += 1


def standing(*, between_updates=True, at_epoch_end=False):
    """A trainer as far as an agreement looks at it."""
    return SimpleNamespace(learner=SimpleNamespace(between_updates=between_updates), at_epoch_end=at_epoch_end)


def test_a_checkpoint_is_made_when_all_have_heard_that_it_is_due():
    """And once, not at the step in which the first process found that it was time."""
    saving = Saving(due=True)
    agreement = Agreement(Together([(0, 0, 1), (0, 1, 1), (0, 0, 1)]), PendingInterrupt())
    saved = []
    for due in (True, False, False):
        saving.due = due
        agreement.after_step(standing(), [saving])
        saved.append(saving.saved)
    assert saved == [0, 1, 1]
    assert [wish[:2] for wish in agreement.processes.wishes] == [(0, 1), (0, 0), (0, 0)]


def test_no_checkpoint_is_made_within_a_window_of_accumulation_nor_at_an_epochs_end():
    """It waits for the next moment that suits."""
    saving = Saving()
    agreement = Agreement(Together([(0, 1, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1)]), PendingInterrupt())
    trainers = [standing(between_updates=False), standing(at_epoch_end=True), standing(), standing()]
    saved = []
    for trainer in trainers:
        agreement.after_step(trainer, [saving])
        saved.append(saving.saved)
    assert saved == [0, 0, 1, 1]


def test_a_signal_stops_all_once_it_is_agreed_on_and_the_window_is_full():
    """The own one of this process waits for the others too."""
    asked = PendingInterrupt()
    asked.signal_number = signal.SIGINT
    agreement = Agreement(Together([(0, 0, 1), (signal.SIGINT, 0, 1), (0, 0, 1)]), asked)
    agreement.after_step(standing(), [])
    agreement.raise_if_any()  # only we know of it
    agreement.after_step(standing(between_updates=False), [])
    agreement.raise_if_any()
    agreement.after_step(standing(), [])
    with pytest.raises(Interrupted) as caught:
        agreement.raise_if_any()
    assert caught.value.exit_code == 130
    assert [wish[:2] for wish in agreement.processes.wishes] == [(signal.SIGINT, 0)] * 3


def test_a_signal_that_another_process_got_last_of_all_ends_this_one_as_well():
    """After the last step nobody waits for a step more."""
    agreement = Agreement(Together([]), PendingInterrupt())
    with pytest.raises(Interrupted) as caught:
        agreement.conclude()
    assert caught.value.exit_code == 143


def test_a_learner_without_windows_is_always_between_updates():
    """Only learners of torch accumulate."""
    saving = Saving()
    Agreement(Together([(0, 1, 1)]), PendingInterrupt()).after_step(
        SimpleNamespace(learner=object(), at_epoch_end=False), [saving]
    )
    assert saving.saved == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_steps_that_are_short_are_not_each_followed_by_an_exchange(monkeypatch, rank):
    """There is one about every tenth of a second; how many steps that are the first process says for all."""
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    together = Together([(0, 0, wait) for wait in (0, 0, 10, 5, 1, 1)], rank)
    agreement = Agreement(together, PendingInterrupt())
    exchanged = []
    for step in range(1, 20):
        now += 0.01
        before = len(together.wishes)
        agreement.after_step(standing(), [])
        exchanged += [step] * (len(together.wishes) - before)
    assert exchanged == [1, 2, 3, 13, 18, 19]
    paces = [pace for _, _, pace in together.wishes]
    assert all(9 <= pace <= 10 for pace in paces) if rank == 0 else paces == [0] * 6  # rounded down


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [(None, 1, "single"), (None, 2, "ddp"), ("fsdp", 2, "fsdp"), ("ddp", 1, "ddp"), ("single", 1, "single")],
)
def test_the_number_of_processes_chooses_unless_somebody_does(name, size, expected):
    """Several make a DDP training of what says nothing."""
    assert choose_strategy(name, size) == expected


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("dpp", 2, r"strategy must be .*'ddp'.*got 'dpp'"),
        ("single", 3, r"3 processes would train the same model 3 times: take strategy 'ddp' or 'fsdp'"),
    ],
)
def test_a_strategy_that_cannot_be_meant_is_refused(name, size, message):
    """With what to take instead."""
    with pytest.raises(ConfigError, match=message):
        choose_strategy(name, size)


def test_the_command_line_chooses_for_learners_that_do_not():
    """Within the run, and not after it, however it ends."""
    with chosen_strategy("fsdp"):
        assert choose_strategy(None, 2) == "fsdp"
        assert choose_strategy("ddp", 2) == "ddp"
        with chosen_strategy(None):
            assert choose_strategy(None, 2) == "ddp"
        with alone():
            assert choose_strategy(None, 2) == choose_strategy("fsdp", 2) == "single"
        assert choose_strategy(None, 2) == "fsdp"
    with pytest.raises(ZeroDivisionError), chosen_strategy("fsdp"):
        raise ZeroDivisionError
    assert choose_strategy(None, 2) == "ddp"
