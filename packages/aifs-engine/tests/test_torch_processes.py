"""Processes that torch.distributed connects: what they say to one another."""

import random
import runpy
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import torch_processes as module  # noqa: E402  # only where torch is
from aifs_engine.distributed import Agreement, OtherProcessError  # noqa: E402
from aifs_engine.evaluator import RunningMeans  # noqa: E402
from aifs_engine.interrupts import PendingInterrupt  # noqa: E402
from aifs_utils.exceptions import DataError, TrainingError  # noqa: E402

HERE = Path(__file__)
run_on = runpy.run_path(str(HERE.with_name("torch_workers.py")))["run_on"]


def talking():
    """What each process hears from the others."""
    connected = runpy.run_path(str(HERE.with_name("torch_trainings.py")))["connected"]
    with connected() as processes:
        assert module.processes_of(None) is processes  # whoever asks again
        checks = (exchanged, from_first, agreed_later, agreed_anew, tensors, pieces, drawn, means)
        return {check.__name__: check(processes) for check in checks}


def exchanged(processes):
    """Of anything that can be sent."""
    rank = processes.rank
    positions = [processes.position]
    found = [processes.gather({"rank": rank}), processes.broadcast([rank, "a"]), processes.maximum(-rank)]
    positions.append(processes.position)
    return [*found, positions[1] - positions[0], processes.is_first, processes.is_sharded]


def from_first(processes):
    """A result, an error's kind in each, and a result again: one failure leaves all in step."""
    calls = []

    def fails():
        raise DataError("no such file")

    results = [processes.from_first(lambda: calls.append(processes.rank) or "found")]
    with pytest.raises(TrainingError if processes.rank else DataError) as caught:
        processes.from_first(fails)
    assert isinstance(caught.value, OtherProcessError) == (processes.rank > 0)
    results.append(processes.from_first(lambda: None))
    return [results, calls]


def agreed_later(processes):
    """What is heard at each call, of wishes that only the last process has, and only once."""
    last = processes.rank == processes.size - 1
    wishes = [(0, 0), (15 * last, 0), (0, 1 - last), (0, 0), (0, 0)]
    return [processes.agree_later(*each) for each in wishes]


def agreed_anew(processes):
    """What a second training hears of the signal that ended the one before it."""
    heard = []
    for signal_number in (15, 0):
        asked = PendingInterrupt()
        asked.signal_number = signal_number * (processes.rank == 1)
        agreement = Agreement(processes, asked)
        agreement.SECONDS = 0.0
        trainer = SimpleNamespace(learner=object(), at_epoch_end=False)
        for _ in range(2):
            agreement.after_step(trainer, [])
        heard.append(agreement.signal_number)
    return heard


def tensors(processes):
    """Sums and copies of the first one's, of several types and shapes, some of which are parts of others."""
    rank = processes.rank
    total = processes.sum_(torch.full((2,), float(rank)))
    whole = torch.full((2, 3), float(rank))
    shared = [whole[:, 1], torch.tensor(rank), torch.full((2, 2), rank, dtype=torch.float64), torch.zeros(0)]
    processes.share_tensors(shared)
    return [total.tolist(), whole.tolist(), *(tensor.tolist() for tensor in shared[1:])]


def pieces(processes):
    """What counts of a batch of five, and of one, where a loop hands pieces out and where none does."""
    found = [[processes.weight, processes.count(torch.zeros(3)), processes.n_samples(torch.zeros(3))]]
    found += [
        [processes.weight, processes.count(piece), processes.n_samples(piece), piece.tolist()]
        for piece in processes.split([torch.arange(5), torch.arange(1)]).batches(0)
    ]
    processes.part = None
    return found


def drawn(processes):
    """Numbers of the global generators in two batches of two epochs, the second time from the second batch on."""
    processes.seed = 5
    batches = processes.split([torch.zeros(2), torch.zeros(2)])

    def draw(epoch, start):
        return [
            [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002
            for _ in batches.batches(epoch, start)
        ]

    found = [draw(0, 0), draw(1, 0), draw(0, 1)]
    processes.part = None
    return found


def means(processes):
    """Running means of all, gone on from by as many; and from those of one process."""
    own = RunningMeans()
    own.add({"loss": 0.1 + processes.rank}, 3)
    together = RunningMeans.of_all(own, processes)
    again = RunningMeans.of_one(together.state_dict(), processes)
    alone = RunningMeans.of_one({"n_samples": 4, "sums": {"loss": 2.0}}, processes)
    return [together.state_dict(), again.state_dict() == own.state_dict(), alone.state_dict()]


@pytest.fixture(scope="module")
def three():
    """What each of three processes heard."""
    return run_on(3, talking)


def test_all_hear_what_each_one_says(three):
    """In the order of their ranks; and each message moves the position, by which one that stands still is found."""
    for rank, found in enumerate(three):
        gathered, broadcast, maximum, n_messages, is_first, is_sharded = found["exchanged"]
        assert gathered == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
        assert broadcast == [0, "a"]
        assert maximum == 0
        assert n_messages == 3
        assert is_first == (rank == 0)
        assert not is_sharded


def test_what_the_first_does_the_others_get_or_hear_that_it_failed(three):
    """They do not do it themselves, and go on with the next thing."""
    for rank, found in enumerate(three):
        assert found["from_first"] == [["found", None], [0] if rank == 0 else []]


def test_a_wish_of_one_is_known_to_all_at_the_next_exchange(three):
    """The largest of each, and at the first exchange nothing."""
    for found in three:
        assert found["agreed_later"] == [[0, 0], [0, 0], [15, 0], [0, 1], [0, 0]]


def test_a_training_hears_nothing_of_the_signal_that_ended_the_one_before(three):
    """Where a program goes on in the same processes."""
    for found in three:
        assert found["agreed_anew"] == [15, 0]


def test_tensors_are_added_up_or_become_those_of_the_first(three):
    """In their own memory."""
    for rank, found in enumerate(three):
        whole = [[float(rank), 0.0, float(rank)]] * 2
        assert found["tensors"] == [[3.0, 3.0], whole, 0, [[0.0, 0.0], [0.0, 0.0]], []]


def test_a_piece_counts_as_its_samples_in_the_batch(three):
    """With weights whose mean over the processes is 1; a stand-in has none. Without pieces all count alike."""
    samples = [[[0, 1], [2, 3], [4]], [[0], [0], [0]]]
    for rank, found in enumerate(three):
        n_here = [2, 2, 1][rank]
        one = int(rank == 0)
        assert found["pieces"] == [
            [1.0, 3, 9],
            [n_here * 3 / 5, n_here, 5, samples[0][rank]],
            [one * 3.0, one, 1, samples[1][rank]],
        ]


def test_what_is_drawn_in_a_step_depends_on_seed_epoch_batch_and_rank_alone(three):
    """So no process's generators need to be saved: whoever begins with the second batch draws the same."""
    for found in three:
        first, second, again = found["drawn"]
        assert again == first[1:]
        assert first[0] != first[1]
        assert first != second
    for kind in range(3):
        assert len({found["drawn"][0][0][kind] for found in three}) == 3


def test_sums_of_all_are_those_of_each_again_where_as_many_go_on(three):
    """In the order of the ranks; what one process has saved the first one takes over."""
    sums = {"loss": (0.1 * 3 + 1.1 * 3) + 2.1 * 3}
    for rank, found in enumerate(three):
        together, again, alone = found["means"]
        assert (together["n_samples"], together["sums"]) == (9, sums)
        assert [part["n_samples"] for part in together["parts"]] == [3, 3, 3]
        assert again is True
        assert alone == ({"n_samples": 4, "sums": {"loss": 2.0}} if rank == 0 else {"n_samples": 0, "sums": {}})


class Dictionary:
    """A store in this process; what is asked for before it is there is not there."""

    def __init__(self):
        self.content = {}

    def set(self, key, value):
        self.content[key] = value

    def get(self, key):
        return self.content[key].encode()

    def check(self, keys):
        return all(key in self.content for key in keys)


def meet(store, size=3):
    """The name of the meeting that each process has found."""
    names = {}

    def arrive(rank):
        names[rank] = module._meet(store, SimpleNamespace(rank=rank, size=size))

    threads = [threading.Thread(target=arrive, args=[rank]) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return names


def test_processes_meet_under_one_name_that_no_earlier_meeting_had():
    """Whatever those before a restart have left in the store, the name of the first one among it."""
    store = Dictionary()
    before = meet(store)
    after = meet(store)
    for names in (before, after):
        assert sorted(names) == [0, 1, 2]
        assert len(set(names.values())) == 1
    assert set(before.values()) != set(after.values())


def test_a_process_that_does_not_come_is_waited_for_no_longer_than_said(monkeypatch):
    """The message says what to look at."""
    monkeypatch.setattr(module, "_MEETING_SECONDS", 0.05)
    with pytest.raises(TrainingError, match=r"have not met within .* is --nnodes what it should be"):
        module._meet(Dictionary(), SimpleNamespace(rank=0, size=2))
    with pytest.raises(TrainingError, match="have not met"):
        module._meet(Dictionary(), SimpleNamespace(rank=1, size=2))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"), True),
        (RuntimeError("Gloo connectFullMesh failed with …"), True),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("gloo/transport"), False),
    ],
)
def test_a_lost_connection_is_told_from_an_error_of_ones_own(error, expected):
    """The first has its cause elsewhere."""
    assert module.is_lost_connection(error) == expected


def test_what_torch_says_of_a_lost_connection_is_known():
    """Its own class of errors, without a word about gloo."""
    assert module.is_lost_connection(torch.distributed.DistBackendError("NCCL error"))


def losing():
    """The second process leaves without a word; the first finds out in the next exchange, and what it then says."""
    program = runpy.run_path(str(HERE.with_name("torch_trainings.py")))
    with program["connected"]() as processes:
        processes.gather(0)
        if processes.rank == 1:
            module.os._exit(7)
        try:
            processes.gather(1)
        except RuntimeError as error:
            raise ArithmeticError(f"known: {module.is_lost_connection(error)}") from None
        raise AssertionError


def test_one_that_has_gone_is_noticed_by_the_others_at_once():
    """As an error that `is_lost_connection` knows."""
    with pytest.raises(RuntimeError) as caught:
        run_on(2, losing)
    assert "rank 1 ended with 7" in str(caught.value)
    assert "ArithmeticError: known: True" in str(caught.value)
