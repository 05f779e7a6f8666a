"""The processes that torchrun has started, connected by torch.distributed."""

import atexit
import logging
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch

from aifs_engine.distributed import OtherProcessError, Part, Processes, SplitLoader
from aifs_engine.launch import Launch
from aifs_engine.learner import Loader, batch_size
from aifs_engine.watch import Watch
from aifs_utils.exceptions import TrainingError
from aifs_utils.logs import write_held_warnings

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_TIMEOUT = timedelta(minutes=30)  # the last resort; `aifs_engine.watch` finds who stands still much sooner
_MEETING_SECONDS = 600.0  # for all to come, after the first has
_started: list["TorchProcesses"] = []


def processes_of(launch: Launch) -> "TorchProcesses":
    """All processes of this launch, connected at the first call."""
    if not _started:
        _started.append(TorchProcesses(launch))
        atexit.register(stop_processes)
    return _started[0]


def stop_processes(*, in_order: bool = True) -> None:
    """Disconnect, if there is anything to; after an error not `in_order`, without waiting for anybody."""
    if _started:
        _started.pop().close(in_order=in_order)


class TorchProcesses(Processes):
    """All processes of a launch.

    Messages go through the CPU (gloo), gradients by the way of their device (nccl for CUDA). Each process watches
    another, and is ended if that one stands still.

    Attributes
    ----------
    seed : int
        With the position in the training it decides what the global random generators give in a step.
    part : Part or None
        The piece of a batch that is worked on, where the loop of `aifs_engine.Trainer` hands it out.
    position : int
        Grows with each thing that all processes do alike: who stands still is behind.
    messages : ProcessGroup
        Of all processes, over the CPU.
    on_stall : callable
        What is done about one that stands still, see `aifs_engine.watch.Watch`.
    """

    def __init__(self, launch: Launch) -> None:
        distributed = torch.distributed
        self.launch = launch
        self.rank, self.size = launch.rank, launch.size
        self.seed = 0
        self.part: Part | None = None
        self.position = 0
        self.on_stall: Callable[[str], None] = _end_process
        self._wishes: tuple[Any, Any] | None = None
        if torch.cuda.is_available():
            torch.cuda.set_device(launch.local_rank % torch.cuda.device_count())
        store = _connect(launch)
        meeting = _meet(store, launch)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with _ended_by_sigterm():  # which Python would see only when the others have come
            distributed.init_process_group(
                backend,
                store=distributed.PrefixStore(meeting, store),
                rank=self.rank,
                world_size=self.size,
                timeout=_TIMEOUT,
            )
            self.messages = distributed.new_group(backend="gloo", timeout=_TIMEOUT)
        self._watch = Watch(
            _connect(launch, waits=False),
            rank=self.rank,
            size=self.size,
            position=lambda: self.position,
            on_stall=lambda message: self.on_stall(message),
            prefix=f"{meeting}/",
            on_tick=write_held_warnings,
        )
        self._watch.start()

    @property
    def weight(self) -> float:
        """What this process's loss counts, in means over the processes: 1 where their pieces are equal."""
        return self.part.n_here * self.size / self.part.n_all if self.part is not None else 1.0

    def n_samples(self, batch: Any) -> int:
        """Samples of the whole batch."""
        return self.part.n_all if self.part is not None else batch_size(batch) * self.size

    def count(self, batch: Any) -> int:
        """Samples of the batch at hand that count here."""
        return self.part.n_here if self.part is not None else batch_size(batch)

    def split(self, loader: Any) -> Loader:
        """The loader of this process's piece of each batch."""
        return SplitLoader(loader, self, self._begin)

    def _begin(self, epoch: int, batch: int, part: Part) -> None:
        """Note what comes, and seed the global generators for it, so that no process's state has to be kept."""
        self.part = part
        self.position += 1
        words = np.random.SeedSequence([self.seed, epoch, batch, self.rank]).generate_state(3).tolist()
        random.seed(words[0])
        np.random.seed(words[1])  # noqa: NPY002
        # Not torch.manual_seed, which asks for every kind of device and takes a tenth of a millisecond.
        torch.default_generator.manual_seed(words[2])
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed(words[2])

    def gather(self, value: _T) -> list[_T]:
        """What each process gave, in the order of their ranks."""
        self.position += 1
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value, group=self.messages)
        return values

    def broadcast(self, value: _T) -> _T:
        """What the first process gave."""
        self.position += 1
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0, group=self.messages)
        return values[0]

    def maximum(self, value: int) -> int:
        """The largest of what the processes gave."""
        return max(self.gather(value))

    def from_first(self, function: Callable[[], _T]) -> _T:
        """Call a function in the first process only, and return its result everywhere."""
        result: Any = None
        if not self.is_first:
            is_there, result = self.broadcast((False, result))
            if not is_there:
                raise OtherProcessError("the first process could not go on")
            return result  # type: ignore[no-any-return]
        is_there = False
        try:
            with self.busy():
                result = function()
            is_there = True
        finally:
            self.broadcast((is_there, result))
        return result  # type: ignore[no-any-return]

    def agree_later(self, *wishes: int) -> list[int]:
        """Tell the others; return the largest of what the processes told when this was called before (0 at first)."""
        self.position += 1
        before, self._wishes = self._wishes, None
        told = torch.tensor(wishes, dtype=torch.int64)
        work = torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX, group=self.messages, async_op=True)
        self._wishes = (told, work)
        if before is None:
            return [0] * len(wishes)
        before[1].wait()
        numbers: list[int] = before[0].tolist()
        return numbers

    def forget_wishes(self) -> None:
        """Drop what was told in another training, such as the signal that has ended it."""
        told, self._wishes = self._wishes, None
        if told is not None:
            told[1].wait()

    def sum_(self, tensor: Any) -> Any:
        """Add up a tensor over the processes, in place, and return it."""
        torch.distributed.all_reduce(tensor)
        return tensor

    def share_tensors(self, tensors: list[Any]) -> None:
        """Copy the first process's tensors into those of the others, in one message for each type."""
        kinds: dict[Any, list[Any]] = {}
        for tensor in tensors:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        with torch.no_grad():
            for same in kinds.values():
                flat = torch.cat([tensor.reshape(-1) for tensor in same])
                torch.distributed.broadcast(flat, src=0)
                for tensor, values in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
                    tensor.copy_(values.view_as(tensor))

    def busy(self) -> AbstractContextManager[None]:
        """Within the block this process may take its time, and the others wait."""
        return self._watch.busy()

    def may_say(self, line: str) -> bool:
        """Whether this process is to say what the others may say too."""
        return self._watch.may_say(line)

    def close(self, *, in_order: bool) -> None:
        """Disconnect."""
        self._watch.stop()
        if in_order:
            self.forget_wishes()
            torch.distributed.barrier(group=self.messages)  # gloo may abort where one leaves that others still talk to
            torch.distributed.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says that another process has gone."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and ("gloo/transport" in str(error) or "Gloo connect" in str(error))
    )


def _connect(launch: Launch, *, waits: bool = True) -> Any:
    """A connection to the store of the launch, which torchrun keeps, or else the first process."""
    keeps = waits and launch.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    return torch.distributed.TCPStore(
        launch.address, launch.port, is_master=keeps, wait_for_workers=False, timeout=_TIMEOUT
    )


def _meet(store: Any, launch: Launch) -> str:
    """Wait until all processes are here; return a name for this meeting, which no earlier one has had.

    The store may hold what the processes before a restart have left, so nobody is believed to be here who does not
    answer: the first one offers a name, the others answer under it, and it lists those whom it has heard.
    """
    own, until = uuid.uuid4().hex, time.monotonic() + _MEETING_SECONDS
    name = own
    if launch.rank == 0:
        store.set("aifs/meeting", name)
        others = [_wait_for(store, f"aifs/meeting/{name}/{rank}", until) for rank in range(1, launch.size)]
        store.set(f"aifs/meeting/{name}", " ".join(others))
        return name
    while own not in _wait_for(store, f"aifs/meeting/{name}", until, give_up=0.1).split():
        name = _wait_for(store, "aifs/meeting", until)
        store.set(f"aifs/meeting/{name}/{launch.rank}", own)
    return name


def _wait_for(store: Any, key: str, until: float, *, give_up: float = _MEETING_SECONDS) -> str:
    """What is under a key, once it is there; "" if it is not there in `give_up` seconds."""
    started = time.monotonic()
    while not store.check([key]):  # and not store.wait, in which no signal is obeyed
        if time.monotonic() > until:
            raise TrainingError(
                f"the processes of the launch have not met within {_MEETING_SECONDS / 60:.0f} minutes ({key}): is "
                "--nnodes what it should be, and can the machines reach each other?"
            )
        if time.monotonic() - started > give_up:
            return ""
        time.sleep(0.01)
    text: str = store.get(key).decode()
    return text


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the process at once, as it does if nobody handles it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_process(message: str) -> NoReturn:
    """Say what has happened and end the process, whose main thread waits for what does not come."""
    logger.critical("%s", message)
    os._exit(1)
