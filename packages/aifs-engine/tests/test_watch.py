"""Processes that look after one another: with a store and a clock of our own, and once with torch's store."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from aifs_engine.watch import Watch

CHILD = """
import sys
import torch.distributed
from aifs_engine.watch import Watch

store = torch.distributed.TCPStore("127.0.0.1", int(sys.argv[1]), is_master=False, wait_for_workers=False)
watch = Watch(
    store, rank=1, size=2, position=lambda: 7, on_stall=lambda text: print(text, flush=True), patience=2.0, every=0.1
)
watch.start()
print("up", flush=True)
sys.stdin.read()
watch.stop()
"""


class FakeStore:
    """A dictionary that answers as torch.distributed.TCPStore does."""

    def __init__(self):
        self.values = {}
        self.lock = threading.Lock()

    def set(self, key, value):
        self.values[key] = value.encode()

    def get(self, key):
        return self.values[key]

    def check(self, keys):
        return all(key in self.values for key in keys)

    def add(self, key, amount):
        with self.lock:
            number = int(self.values.get(key, b"0")) + amount
            self.values[key] = b"%d" % number
            return number


class Group:
    """Watches of several processes that are ticked by hand, each second of a clock of our own."""

    def __init__(self, size, prefix=""):
        self.now = 1000.0
        self.store = FakeStore()
        self.positions = [0] * size
        self.watches = [self.watch(rank, size, prefix) for rank in range(size)]

    def watch(self, rank, size, prefix):
        return Watch(
            self.store,
            rank=rank,
            size=size,
            position=lambda: self.positions[rank],
            on_stall=lambda message: None,
            prefix=prefix,
            clock=lambda: self.now,
        )

    def said(self, seconds, but=()):
        """What the processes, except those in `but`, say within so many seconds: {(second, rank): message}."""
        messages = {}
        for second in range(1, seconds + 1):
            self.now += 1.0
            for rank, watch in enumerate(self.watches):
                if rank not in but and (message := watch.tick()):
                    messages.setdefault(rank, (second, message))
        return messages


@pytest.fixture
def group():
    """Three processes that have been at step 5 for a moment."""
    group = Group(3)
    group.positions = [5, 5, 5]
    group.said(3)
    return group


def test_processes_that_go_on_say_nothing(group):
    """However long it takes."""
    for step in range(5, 50):
        group.positions = [step, step, step + 1]
        assert group.said(10) == {}


def test_a_stopped_process_is_named_by_the_one_that_looks_after_it(group):
    """After 20 s, and not by others: one line is enough."""
    assert group.said(19, but=[1]) == {}
    second, message = group.said(2, but=[1])[2]
    assert second == 1
    assert message == "rank 1 has not been heard of for 20 s: it is stopped, or its machine is gone or unreachable"


def test_the_last_process_is_looked_after_by_the_first(group):
    """They stand in a ring."""
    assert list(group.said(25, but=[2])) == [0]


def test_a_process_that_was_never_there_has_longer():
    """It may still import what it needs."""
    group = Group(2)
    assert group.said(59, but=[0]) == {}
    ((_, message),) = group.said(2, but=[0]).values()
    assert message.startswith("rank 0 has not been heard of for 60 s")


def test_a_process_that_lives_and_does_not_come_along_is_named(group):
    """The others wait for it, one step ahead."""
    group.positions = [6, 5, 6]
    assert group.said(20) == {}
    assert group.said(1) == {2: (1, "rank 1 stands still: the others have waited 20 s (count of steps: 5, ours 6)")}


def test_whoever_waits_for_it_too_is_not_the_one_that_is_named(group):
    """The process that we look after may be ahead of the one that keeps all waiting."""
    group.positions = [7, 5, 6]
    messages = [message for _, message in group.said(22).values()]
    assert len(messages) == 2
    assert all(message.startswith("rank 1 stands still") for message in messages)


def test_all_that_are_farthest_behind_are_named():
    """Two processes may wait for each other."""
    group = Group(4)
    group.positions = [6, 5, 5, 6]
    assert {text.partition(":")[0] for _, text in group.said(25).values()} == {"ranks 1, 2 stand still"}


def test_a_stop_is_not_taken_for_a_delay(group):
    """A process that is stopped is behind as well; what is said is that it is stopped."""
    group.positions = [6, 5, 6]
    group.said(10)
    ((_, message),) = group.said(25, but=[1]).values()
    assert message.startswith("rank 1 has not been heard of")


def test_a_slow_process_is_not_blamed_while_the_others_go_on(group):
    """Only a wait counts, and each step starts it anew."""
    for step in range(6, 12):
        group.positions = [step, step - 1, step]
        assert group.said(15) == {}


def test_a_busy_process_may_keep_the_others_waiting(group):
    """It writes a file. That it lives is still looked after."""
    group.positions = [6, 5, 6]
    with group.watches[1].busy():
        with group.watches[1].busy():
            assert group.said(50) == {}
        assert group.said(50) == {}
        ((_, message),) = group.said(25, but=[1]).values()
        assert message.startswith("rank 1 has not been heard of")


def test_what_follows_a_busy_time_has_its_own_patience(group):
    """The time before does not count."""
    group.positions = [6, 5, 6]
    with group.watches[1].busy():
        group.said(50)
    assert group.said(20) == {}
    assert list(group.said(2)) == [2]


def test_a_process_that_is_busy_itself_does_not_wait(group):
    """So it blames nobody."""
    group.positions = [6, 5, 6]
    with group.watches[2].busy():
        assert group.said(50) == {}


def test_the_busy_one_excuses_those_that_wait_for_it(group):
    """Rank 2 is behind rank 0 only because both wait for rank 1."""
    group.positions = [7, 5, 6]
    with group.watches[1].busy():
        assert group.said(50) == {}


def test_a_computer_that_slept_blames_nobody(group):
    """All were stopped, and each begins to count anew when it wakes."""
    group.positions = [6, 5, 6]
    group.said(15)
    group.now += 3600
    assert group.said(1, but=[0, 2]) == {}  # the first to wake
    assert group.said(10) == {}
    group.positions = [6, 6, 6]
    assert group.said(30) == {}


def test_another_start_of_the_processes_has_other_keys():
    """The store is that of the launcher, and knows the last words of processes that are gone."""
    group = Group(2, prefix="0/")
    group.said(3)
    again = Group(2, prefix="1/")
    again.store.values |= group.store.values
    assert again.said(59, but=[0]) == {}
    assert sorted(again.store.values) == ["0/aifs/beat/0", "0/aifs/beat/1", "1/aifs/beat/1"]


# --- the thread -------------------------------------------------------------------------------------------------------


@pytest.fixture
def start():
    """Start a watch of rank 1 over rank 0 that looks often; what it says goes to its list `said`."""
    watches = []

    def run(store, **options):
        said = []
        options = {"rank": 1, "size": 2, "position": lambda: 0, "every": 0.02, **options}
        watch = Watch(store, on_stall=said.append, **options)
        watch.said = said
        watch.start()
        watches.append(watch)
        return watch

    yield run
    for watch in watches:
        watch.stop()
        watch.join(10)
        assert not watch.is_alive()


def wait_for(condition, seconds=10.0):
    """Wait until it is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it has not come about"
        time.sleep(0.01)


def test_a_stall_is_said_once_and_the_thread_ends(start):
    """By then the process has better things to do."""
    watch = start(FakeStore(), patience=0.1)
    wait_for(lambda: watch.said)
    watch.join(10)
    assert not watch.is_alive()
    assert len(watch.said) == 1


def test_what_is_to_be_done_at_each_look_is_done(start):
    """Lines that are held back are written then."""
    ticks = []
    start(FakeStore(), on_tick=lambda: ticks.append(threading.current_thread().name), patience=60)
    wait_for(lambda: len(ticks) > 2)
    assert set(ticks) == {"aifs-watch"}


def test_a_process_that_ends_in_order_says_so_and_is_not_missed(start):
    """Whoever still waits for it is the launcher's matter."""
    group = Group(2)
    start(group.store, rank=0, patience=60).stop()
    assert group.store.get("aifs/beat/0").endswith(b" 0 done")
    group.positions = [0, 3]
    assert group.said(90, but=[0]) == {}


def test_a_store_that_is_gone_ends_the_watch_without_a_word(start, caplog):
    """The launcher is closing, and says why itself."""

    class Gone(FakeStore):
        def check(self, keys):
            raise RuntimeError("Connection reset by peer")

    watch = start(Gone(), patience=60)
    watch.join(10)
    assert not watch.is_alive()
    assert watch.said == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


class Silent(FakeStore):
    """A store on a machine that is stopped: it takes what comes and does not answer."""

    def __init__(self):
        super().__init__()
        self.wakes = threading.Event()

    def check(self, keys):
        self.wakes.wait(20)
        return super().check(keys)


def test_a_store_that_does_not_answer_is_said_once(start):
    """It may be on the machine that is gone."""
    store = Silent()
    watch = start(store, patience=0.1)
    wait_for(lambda: watch.said)
    store.wakes.set()
    watch.join(1)
    (message,) = watch.said
    assert message.startswith("the store of the launch has not answered for 0 s: the process that keeps it (torchrun")


def test_a_process_can_stop_while_the_store_does_not_answer(start):
    """It waits for a quarter of the patience, not for the store."""
    store = Silent()
    watch = start(store, patience=1.0)
    begun = time.monotonic()
    watch.stop()
    assert 0.2 < time.monotonic() - begun < 5.0
    store.wakes.set()


# --- what is said once ------------------------------------------------------------------------------------------------


def test_what_all_have_to_say_is_said_by_the_first_process():
    """If it comes first; whoever comes later is silent."""
    group = Group(3)
    assert [watch.may_say("warning: a stand-in") for watch in group.watches] == [True, False, False]


def test_what_only_others_have_to_say_is_said_once():
    """By whoever is the first to ask. Rank 0 says all it has to say: its console is the run's."""
    group = Group(3)
    assert [watch.may_say("warning: x") for watch in reversed(group.watches)] == [True, False, True]


def test_what_comes_again_is_said_again():
    """The second time is an event of its own, for each process."""
    first, second = Group(2).watches
    assert [first.may_say("warning: x"), first.may_say("warning: x")] == [True, True]
    assert [second.may_say("warning: x") for _ in range(4)] == [False, False, True, True]


def test_a_line_is_rather_said_twice_than_lost():
    """Without the store nobody knows what the others said."""

    class Gone(FakeStore):
        def add(self, key, amount):
            raise RuntimeError("Broken pipe")

    watch = Group(2).watches[1]
    watch.store = Gone()
    assert watch.may_say("warning: x")


def test_a_process_that_says_what_stands_still_asks_nobody_before(start):
    """The store that would be asked may be what does not answer."""

    class Hanging(Silent):
        def add(self, key, amount):
            raise AssertionError("asked")

    store = Hanging()
    watch = start(store, patience=0.1)
    wait_for(lambda: watch.said)
    assert watch.may_say("warning: x")
    store.wakes.set()


# --- with torch's store -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows cannot stop a process")
def test_a_process_that_is_really_stopped_is_named_and_blames_nobody_when_it_wakes(start):
    """Two processes and the store that torchrun would have."""
    distributed = pytest.importorskip("torch.distributed", reason="the extra torch is not installed")
    server = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    command = [sys.executable, "-c", CHILD, str(server.port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as child:
        try:
            assert child.stdout.readline() == "up\n"
            watch = start(server.clone(), rank=0, position=lambda: 7, patience=2.0, every=0.1)
            time.sleep(2.5)
            assert watch.said == []
            child.send_signal(signal.SIGSTOP)
            wait_for(lambda: watch.said)
            child.send_signal(signal.SIGCONT)
            time.sleep(0.5)
            written, _ = child.communicate("", timeout=30)
        finally:
            child.kill()
    assert watch.said[0].startswith("rank 1 has not been heard of for 2 s: it is stopped")
    assert written == ""
    assert server.get("aifs/beat/1").endswith(b" 7 done")
