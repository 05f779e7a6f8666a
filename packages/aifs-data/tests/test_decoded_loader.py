"""Samples read one by one: their order, their randomness, their workers and their errors."""

import hashlib
import itertools
import multiprocessing
import random
import subprocess
import sys
import traceback
from collections import namedtuple
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from aifs_data import ArrayLoader
from aifs_utils import DataError

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_data import DecodedLoader  # noqa: E402  # only where torch is there

# Forking is what these tests are about, and so are more workers than processors.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]

HERE = Path(__file__).parent
FORK = pytest.param(
    "fork", marks=pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
)
SPAWN = pytest.param("spawn", marks=pytest.mark.slow)  # each worker imports torch


@pytest.fixture
def strange(monkeypatch):
    """The module of samples, importable by workers too."""
    monkeypatch.syspath_prepend(str(HERE))
    import torch_samples

    return torch_samples


def numbers(batches):
    """All of some batches, as nested lists."""
    return [(X.tolist(), y.tolist()) for X, y in batches]


def digest(batches):
    """A hash over the targets of batches, in their order."""
    return hashlib.sha256(b"|".join(np.asarray(y).tobytes() for _, y in batches)).hexdigest()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_hold_the_samples_of_an_array_loaders_batches(workers, drop_last):
    """The order hash of both is the same for each (seed, epoch), and different epochs differ."""
    X, y = np.arange(50.0), np.arange(50)
    options = {"batch_size": 8, "seed": 3, "shuffle": True, "drop_last": drop_last}
    arrays = ArrayLoader(X, y, **options)
    decoded = DecodedLoader(list(zip(X.tolist(), y.tolist(), strict=True)), workers=workers, **options)
    assert len(decoded) == len(arrays)
    hashes = [digest(decoded.batches(epoch)) for epoch in range(3)]
    assert hashes == [digest(arrays.batches(epoch)) for epoch in range(3)]
    assert len(set(hashes)) == 3
    assert decoded.order(1).tolist() == arrays.order(1).tolist()
    assert decoded.batch_indices(1, 2).tolist() == arrays.batch_indices(1, 2).tolist()


def test_without_shuffling_the_samples_come_as_they_are():
    """In every epoch."""
    loader = DecodedLoader([(i, i) for i in range(5)], 2, seed=0, shuffle=False)
    assert numbers(loader.batches(7)) == [([0, 1], [0, 1]), ([2, 3], [2, 3]), ([4], [4])]


@pytest.mark.parametrize("start_method", [FORK, SPAWN])
@pytest.mark.parametrize("workers", [1, 2])
def test_augmentation_is_the_same_with_any_number_of_workers(strange, workers, start_method):
    """Whichever of the three global generators it draws from, and however often."""
    here = DecodedLoader(strange.Augmented(), 6, seed=1)
    there = DecodedLoader(strange.Augmented(), 6, seed=1, workers=workers, start_method=start_method)
    for epoch in (0, 1):
        assert numbers(there.batches(epoch)) == numbers(here.batches(epoch))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_can_be_entered_anywhere(strange, workers):
    """A resumed run reads the same numbers in the same batches."""
    loader = DecodedLoader(strange.Augmented(), 6, seed=1, workers=workers)
    whole = numbers(loader.batches(2))
    for start in range(len(loader) + 1):
        assert numbers(loader.batches(2, start)) == whole[start:]


def test_a_sample_is_the_same_in_every_batch_and_differs_by_seed_epoch_and_index(strange):
    """What is drawn is a function of these three and of nothing else."""

    def by_sample(seed, epoch, batch_size=6):
        batches = DecodedLoader(strange.Augmented(), batch_size, seed=seed).batches(epoch)
        return {index: tuple(noise) for X, y in numbers(batches) for noise, index in zip(X, y, strict=True)}

    assert by_sample(1, 0) == by_sample(1, 0, batch_size=1) == by_sample(1, 0, batch_size=20)
    drawn = [noise for seed, epoch in [(1, 0), (1, 1), (2, 0)] for noise in by_sample(seed, epoch).values()]
    assert len(set(drawn)) == 60
    for numbers_of_one_generator in zip(*drawn, strict=True):
        assert len(set(numbers_of_one_generator)) == 60
    uniform = np.array(drawn)[:, :3]
    assert np.abs(uniform.mean(axis=0) - 0.5).max() < 0.15
    assert np.abs(np.corrcoef(uniform.T) - np.eye(3)).max() < 0.5


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_generators_of_this_process_are_left_alone(strange, workers):
    """Also between two batches, where a model may draw for its dropout; and so is torch's number of threads."""

    def drawn(read):
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)
        n_threads = torch.get_num_threads()
        batches = iter(DecodedLoader(strange.Augmented(), 6, seed=1, workers=workers).batches(0)) if read else None
        values = []
        for _ in range(4):
            if batches is not None:
                next(batches)
            values.append((random.random(), np.random.random(), torch.rand(()).item()))  # noqa: NPY002
        assert torch.get_num_threads() == n_threads
        return values

    assert drawn(read=True) == drawn(read=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_arrives_with_the_samples_index(strange, workers):
    """Its type stays what it was; the next epoch can be read."""
    loader = DecodedLoader(strange.Damaged(), 5, seed=0, shuffle=False, workers=workers)
    with pytest.raises(OSError, match="image file is truncated") as caught:
        list(loader.batches(3))
    assert "while sample 13 was read, in epoch 3" in "".join(traceback.format_exception(caught.value))
    first, second = itertools.islice(loader.batches(4), 2)
    assert first[1].tolist() + second[1].tolist() == list(range(10))


def test_ctrl_c_does_not_reach_the_workers(strange):
    """It goes to all processes of a terminal; the step that runs still needs its batch."""
    loader = DecodedLoader(strange.Interrupted(), 10, seed=0, workers=1)
    assert len(numbers(loader.batches(0))) == 2


def test_workers_stay_from_one_epoch_to_the_next_and_compute_on_one_thread(strange):
    """Here, with no workers, reading takes one thread too: a sum on several may round otherwise."""
    loader = DecodedLoader(strange.Process(), 5, seed=0, workers=2)
    seen = [X.tolist() for epoch in range(3) for X, _ in loader.batches(epoch)]
    processes = {process for X in seen for process, _ in X}
    assert len(processes) == 2
    here = [X.tolist() for X, _ in DecodedLoader(strange.Process(), 5, seed=0).batches(0)]
    assert {threads for X in seen + here for _, threads in X} == {1}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loop_that_is_left_and_a_loop_within_a_loop_take_nothing_from_another(strange, workers):
    """Each has the batches of its own epoch."""
    loader = DecodedLoader(strange.Augmented(), 6, seed=1, workers=workers)
    expected = [numbers(loader.batches(epoch)) for epoch in range(3)]
    left = loader.batches(0)
    assert numbers([next(left)]) == expected[0][:1]
    left.close()
    pairs = [(X, y, numbers(loader.batches(2))) for X, y in loader.batches(1)]
    assert numbers((X, y) for X, y, _ in pairs) == expected[1]
    assert [inner for *_, inner in pairs] == [expected[2]] * len(pairs)


def run(samples):
    """Read an epoch of `samples` by a worker, in a process of its own."""
    command = [sys.executable, str(HERE / "torch_samples.py"), samples]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_process_with_waiting_workers_ends_in_silence():
    """No worker is left over, and none is reported as killed."""
    finished = run("Samples")
    assert (finished.stdout, finished.stderr, finished.returncode) == ("20\n", "", 0)


def test_a_worker_that_dies_is_an_error():
    """It is not waited for."""
    finished = run("Deadly")
    assert (finished.stdout, finished.returncode) == ("", 1)
    assert "exited unexpectedly" in finished.stderr


def test_a_copy_gives_the_same_batches(strange):
    """As pickling does; the workers stay with the original."""
    loader = DecodedLoader(strange.Augmented(), 6, seed=1, workers=1)
    expected = numbers(loader.batches(0))
    assert numbers(deepcopy(loader).batches(0)) == expected


def test_a_data_set_of_torch_is_read():
    """Two tensors, in tuples as other loaders give them."""
    samples = torch.utils.data.TensorDataset(torch.arange(6.0).reshape(3, 2), torch.arange(3))
    (X, y), _ = DecodedLoader(samples, 2, seed=0, shuffle=False)
    assert (X.tolist(), y.tolist()) == ([[0.0, 1.0], [2.0, 3.0]], [0, 1])
    assert type(next(iter(DecodedLoader(samples, 2, seed=0).batches(0)))) is tuple


def test_samples_can_be_collated_in_ones_own_way():
    """Of different lengths, say."""
    texts = [("a", 0), ("bcd", 1), ("ef", 0)]
    loader = DecodedLoader(texts, 2, seed=0, shuffle=False, collate=lambda samples: [text for text, _ in samples])
    assert list(loader.batches(0)) == [["a", "bcd"], ["ef"]]


def test_tensors_of_a_batch_are_moved_to_the_device_however_they_are_nested():
    """The device "meta" is everywhere."""
    Pair = namedtuple("Pair", "left right")
    samples = [{"pair": Pair(torch.zeros(2), 1.0), "parts": [torch.zeros(1)], "name": "a"} for _ in range(3)]
    (batch,) = DecodedLoader(samples, 3, seed=0, device="meta").batches(0)
    assert batch["pair"].left.is_meta
    assert batch["pair"].right.is_meta
    assert batch["parts"][0].is_meta
    assert batch["name"] == ["a"] * 3


def test_dropping_the_last_batch_may_leave_nothing():
    """As with the other loaders."""
    with pytest.raises(DataError, match="drop_last leaves no batch"):
        DecodedLoader([1.0, 2.0], 3, seed=0, drop_last=True)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (iter([1, 2]), {}, "samples have __len__ and __getitem__, got list_iterator"),
        ([], {}, "at least one sample"),
        ([1], {"workers": -1}, "workers is an integer of at least 0, got -1"),
        ([1], {"batch_size": 0}, "batch_size"),
        ([1], {"seed": -1}, "seed"),
        ([1], {"device": "nowhere"}, "torch cannot use device='nowhere'"),
        ([1], {"start_method": "thread"}, "start_method is .*'spawn'.* or None on this system, got 'thread'"),
    ],
)
def test_what_makes_no_sense_is_refused(samples, options, message):
    """Before anything is read."""
    with pytest.raises(DataError, match=message):
        DecodedLoader(samples, **{"batch_size": 1, "seed": 0} | options)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_that_share_a_loader_each_read_their_own_samples(strange, workers, shuffle):
    """Of a split the pieces of all batches, dealt out whole batches; with the same random numbers as in one process."""
    loader = DecodedLoader(strange.Augmented(), 6, seed=1, shuffle=shuffle, workers=workers)
    whole = numbers(loader.batches(2))  # of 6, 6, 6 and 2 samples
    # The last two have nothing of the last batch, and get its first sample.
    cuts = [[(0, 2), (0, 1)], [(2, 4), (1, 2)], [(4, 5), (0, 1)], [(5, 6), (0, 1)]]
    for rank, (full, rest) in enumerate(cuts):
        pieces = zip(whole[1:], [full, full, rest], strict=True)
        expected = [(X[first:end], y[first:end]) for (X, y), (first, end) in pieces]
        assert numbers(loader.split(rank, 4).batches(2, 1)) == expected
    assert [numbers(loader.deal(rank, 3).batches(2)) for rank in range(3)] == [whole[rank::3] for rank in range(3)]


def test_what_other_processes_get_is_not_read(strange):
    """Decoding is what the time goes into."""
    read = []

    class Noted(strange.Samples):
        def read(self, index):
            read.append(index)
            return float(index)

    part = DecodedLoader(Noted(), 8, seed=0, shuffle=False).split(1, 2)
    list(part.batches(0))
    assert read == [4, 5, 6, 7, 12, 13, 14, 15, 18, 19]
