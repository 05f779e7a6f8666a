"""What the processes of a run tell one another beside their computation: life signs, positions, what was said.

A process that computes with others waits for them in every update, and if one of them stops, it waits for ever. So a
thread of each process writes to the launcher's store that it lives and how far it has come, and looks after one other.
Nothing here is noticed if all stand still together: then torch's own limit on the time of an operation ends the run.
"""

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

logger = logging.getLogger(__name__)

RUNNING, BUSY, DONE = "running", "busy", "done"


class Store(Protocol):
    """Small texts under keys that all processes share, as ``torch.distributed.TCPStore``.

    Its errors are RuntimeErrors. A call may wait for ever where the process that keeps it is stopped.
    """

    def set(self, key: str, value: str, /) -> None:
        """Put a value."""

    def get(self, key: str, /) -> bytes:
        """Return the value of a key that is there."""
        ...

    def check(self, keys: list[str], /) -> bool:
        """Return whether the keys are there."""
        ...

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number, which begins at 0, and return it."""
        ...


class Beat(NamedTuple):
    """What a process says of itself: a number that grows while it lives, how far it is, and what it does."""

    number: int
    position: int
    state: str


class Watch(threading.Thread):
    """Looks after one other process and says so if that one stands still.

    Process r looks after r - 1, the first after the last. Two things are noticed: that nothing is heard of the other
    process (it is stopped, or cannot be reached), and that it lives but has fallen behind while this one waits for it.
    The store that does not answer is noticed too. A process that has ended in order is no matter of the others.

    Parameters
    ----------
    store : Store
        A connection that is used by nothing else (``store.clone()``): one that waits in it keeps others waiting.
    rank, size : int
        Which process this is, of how many.
    position : callable
        How far this process is: a count that all run through alike, and that a process raises *before* it waits for
        the others. Equal counts are never blamed.
    on_stall : callable
        Is called once, from a thread, with what stands still: "rank 1 has not been heard of for 20 s: …". It is there
        to say so and to end the process, which itself waits for something that does not come.
    patience : float
        Seconds without change until a process counts as standing still. One of which nothing was ever heard gets three
        times as long, to start.
    every : float
        Seconds between two looks.
    prefix : str
        What the keys in the store begin with. The store outlives a restart of the processes: give each start another.
    on_tick : callable, optional
        Is called at each look, from the thread.
    clock : callable
        The time in seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        size: int,
        position: Callable[[], int],
        on_stall: Callable[[str], None],
        patience: float = 20.0,
        every: float = 1.0,
        prefix: str = "",
        on_tick: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="aifs-watch", daemon=True)
        self.store, self.prefix, self.rank, self.size = store, prefix, rank, size
        self.position, self.on_stall, self.on_tick, self.clock = position, on_stall, on_tick, clock
        self.patience, self.every = patience, every
        self._count = self._n_busy = 0
        self._has_said = False
        self._lock, self._ending, self._is_over = threading.Lock(), threading.Event(), threading.Event()
        self._lines: Counter[str] = Counter()
        self._ticked = clock()
        self._unheard, self._unmoved = _Unchanged(self._ticked), _Unchanged(self._ticked)

    def run(self) -> None:
        """Look every so often until `stop`; do not call it, call `start`."""
        message = ""
        try:
            while not message:
                with self._expecting_an_answer():
                    message = self.tick()
                    if self.on_tick is not None:
                        self.on_tick()
                if not message and self._ending.wait(self.every):
                    self._beat(DONE)
                    return
        except RuntimeError as error:
            logger.debug("the watch over the other processes ends: %s", error)  # the launcher ends, or has ended
        self._is_over.set()
        if message:
            self._say(message)

    def stop(self) -> None:
        """Say that this process has ended in order, and look no more. Call it before Python ends."""
        self._ending.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(self.patience / 4)  # the store may be gone

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Within the block this process does what others may have to wait for, such as writing a file."""
        with self._lock:
            self._n_busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_busy -= 1

    def may_say(self, line: str) -> bool:
        """Whether this process is to say what others may say too: rank 0 always, another if it is the first to ask.

        A line that comes again is another line: what each process says five times is said five times. This is meant as
        the ``console_filter`` of `aifs_utils.setup_logging`, with which all but rank 0 hold their lines a little.
        """
        with self._lock:
            self._lines[line] += 1
            digest = hashlib.sha256(f"{self._lines[line]} {line}".encode()).hexdigest()
        if self._is_over.is_set():
            return True
        try:
            is_first = self.store.add(f"{self.prefix}aifs/said/{digest[:32]}", 1) == 1
        except RuntimeError:  # as above: rather twice than not at all
            return True
        return is_first or self.rank == 0

    def tick(self) -> str:
        """Tell the others of this process and look after one; return what stands still, "" if nothing does."""
        now = self.clock()
        if now - self._ticked > self.every + self.patience / 2:
            # This process itself was stopped, and perhaps all of them: a lid was closed.
            self._unheard, self._unmoved = _Unchanged(now), _Unchanged(now)
        self._ticked = now
        own, other = self._beat(BUSY if self._n_busy else RUNNING), (self.rank - 1) % self.size
        beat = self._beat_of(other)
        if beat is not None and beat.state == DONE:
            return ""
        silent = self._unheard.seconds(beat and beat.number, now)
        if silent >= (self.patience if beat else 3 * self.patience):
            return _unheard_of(other, silent)
        return self._behind(own, beat, silent, now) if beat else ""

    def _behind(self, own: Beat, beat: Beat, silent: float, now: float) -> str:
        """Who is the farthest behind if the process that we look after lives and does not come along; "" if it does."""
        still = self._unmoved.seconds((own[1:], beat[1:]), now)
        # One that is silent for long may be stopped: in a moment `tick` will say it better.
        waits = own.state == RUNNING and beat.position < own.position and silent <= self.patience / 4
        return self._farthest_behind(own, still) if waits and still >= self.patience else ""

    def _farthest_behind(self, own: Beat, seconds: float) -> str:
        """Who keeps all others waiting: the process that we look after may be one that waits."""
        beats = {rank: beat for rank in range(self.size) if (beat := self._beat_of(rank)) and beat.state != DONE}
        least = min(beat.position for beat in beats.values())
        ranks = [rank for rank, beat in beats.items() if beat.position == least]
        if least >= own.position or any(beats[rank].state == BUSY for rank in ranks):
            return ""
        who = f"{_names(ranks)} {'stands' if len(ranks) == 1 else 'stand'} still"
        return f"{who}: the others have waited {seconds:.0f} s (count of steps: {least}, ours {own.position})"

    def _beat(self, state: str) -> Beat:
        self._count += 1
        beat = Beat(self._count, self.position(), state)
        self.store.set(self._key(self.rank), " ".join(map(str, beat)))
        return beat

    def _beat_of(self, rank: int) -> Beat | None:
        if not self.store.check([self._key(rank)]):
            return None
        number, position, state = self.store.get(self._key(rank)).decode().split()
        return Beat(int(number), int(position), state)

    def _key(self, rank: int) -> str:
        return f"{self.prefix}aifs/beat/{rank}"

    @contextmanager
    def _expecting_an_answer(self) -> Iterator[None]:
        """Say so if the block takes too long: a store on a stopped or unreachable machine just does not answer."""
        message = (
            f"the store of the launch has not answered for {self.patience:.0f} s: the process that keeps it (torchrun, "
            "or rank 0, on the first machine) is stopped, or its machine is gone or unreachable"
        )
        alarm = threading.Timer(self.patience, self._say, [message])
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def _say(self, message: str) -> None:
        with self._lock:
            is_first = not self._has_said
            self._has_said = True
        self._is_over.set()
        if is_first:
            with suppress(RuntimeError):  # the store may be what is gone
                self._beat(DONE)
            self.on_stall(message)


class _Unchanged:
    """Since when a value is what it is."""

    def __init__(self, since: float) -> None:
        self._value: object = self  # equal to nothing that comes
        self._since = since

    def seconds(self, value: object, now: float) -> float:
        if value != self._value:
            self._value, self._since = value, now
        return now - self._since


def _unheard_of(rank: int, seconds: float) -> str:
    return (
        f"rank {rank} has not been heard of for {seconds:.0f} s: it is stopped, or its machine is gone or unreachable"
    )


def _names(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
