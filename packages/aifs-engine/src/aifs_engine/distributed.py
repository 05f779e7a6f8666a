"""Several processes that train one model together: what each of them computes, and how they come to one result.

A learner that trains in several processes has an attribute ``processes``; the loop asks it for its part of the data and
for what all of them know. This module knows no array library: `aifs_engine.torch_processes` has the processes that
PyTorch connects, and `ALONE` is the one that most runs have.

- Training: each process computes a piece of every batch (`SplitLoader`). What a batch is does not depend on the number
  of processes, and neither does the position in an epoch, so a run may go on with more or fewer of them.
- Evaluation: whole batches are dealt out (`dealt`), and their values are added in the order of the batches, so the
  result is the same to the bit on any number of processes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from aifs_engine.experiment import require_choice
from aifs_engine.interrupts import Interrupted, PendingInterrupt
from aifs_engine.learner import Loader, as_loader, batch_size
from aifs_utils.exceptions import ConfigError, TrainingError

_T = TypeVar("_T")


class OtherProcessError(TrainingError):
    """Another process of the run has failed, and says why itself."""


@dataclass(frozen=True)
class Part:
    """One process's piece of the batch that is worked on."""

    n_here: int  # samples that count; 0 where the piece is empty and a stand-in is computed
    n_all: int  # samples of the whole batch
    is_last: bool  # of the epoch


class Processes:
    """The processes that train together; as it stands, the only one.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are.
    is_sharded : bool
        Whether each has only a part of the weights: then evaluation too needs all of them at once, and so does saving.
    """

    rank = 0
    size = 1
    is_sharded = False
    messages: Any = None  # by which torch's own functions agree

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    # Samples of the batch at hand that count here.
    count: Callable[[Any], int] = staticmethod(batch_size)

    def split(self, loader: Any) -> Loader:
        """The loader of this process's piece of each batch."""
        return as_loader(loader)

    def gather(self, value: _T) -> list[_T]:
        """What each process gave, in the order of their ranks."""
        return [value]

    def broadcast(self, value: _T) -> _T:
        """What the first process gave."""
        return value

    def maximum(self, value: int) -> int:
        """The largest of what the processes gave."""
        return value

    def busy(self) -> AbstractContextManager[None]:
        """Within the block this process may take its time, and the others wait: it writes a file, say."""
        return nullcontext()

    def may_say(self, line: str) -> bool:
        """Whether this process is to say what the others may say too."""
        return True

    def forget_wishes(self) -> None:
        """Drop what was told in another training, such as the signal that has ended it."""

    def from_first(self, function: Callable[[], _T]) -> _T:
        """Call a function in the first process only, and return its result everywhere.

        Raises
        ------
        OtherProcessError
            In the others, if it failed there.
        """
        return function()


ALONE = Processes()


class SplitLoader:
    """One process's piece of each batch of a loader; `begin` is called with what is known of a piece before it comes.

    The samples of a batch go to the processes in order, in pieces that differ by one sample at most. A process whose
    piece is empty gets the batch's first sample, which does not count.

    Parameters
    ----------
    loader
        Any that trains in one process. One that offers ``split(rank, size)`` and ``n_in_batch(batch)`` makes the pieces
        itself, so that nothing is read or augmented twice; of others the batches are cut.
    processes
        Those that share it.
    begin
        ``begin(epoch, batch, part)``.
    """

    def __init__(self, loader: Any, processes: Processes, begin: Callable[[int, int, Part], None]) -> None:
        whole: Any = as_loader(loader)
        self.whole = whole
        self.processes = processes
        self.begin = begin
        cuts_itself = hasattr(whole, "split") and hasattr(whole, "n_in_batch")
        self.part: Any = whole.split(processes.rank, processes.size) if cuts_itself else None

    def __len__(self) -> int:
        return len(self.whole)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The pieces of an epoch's batches from number `start` on."""
        if self.part is None:
            pieces: Iterable[tuple[Any, int]] = (self._cut(batch) for batch in self.whole.batches(epoch, start))
        else:
            size_of = self.whole.n_in_batch
            pieces = ((piece, size_of(start + i)) for i, piece in enumerate(self.part.batches(epoch, start)))
        for number, (piece, n_all) in enumerate(pieces, start):
            first, end = piece_of(n_all, self.processes.rank, self.processes.size)
            self.begin(epoch, number, Part(end - first, n_all, is_last=number == len(self) - 1))
            yield piece

    def batch_indices(self, epoch: int, batch: int) -> Any:
        """The numbers of the samples in a piece, where the loader knows them."""
        return self.part.batch_indices(epoch, batch) if hasattr(self.part, "batch_indices") else ()

    def _cut(self, batch: Any) -> tuple[Any, int]:
        n_all = batch_size(batch)
        first, end = piece_of(n_all, self.processes.rank, self.processes.size)
        return cut(batch, slice(first, end) if end > first else slice(0, 1)), n_all


def piece_of(n_samples: int, rank: int, size: int) -> tuple[int, int]:
    """The first sample of a process's piece, and the one after its last.

    Examples
    --------
    >>> [piece_of(5, rank, 3) for rank in range(3)]
    [(0, 2), (2, 4), (4, 5)]
    """
    each, more = divmod(n_samples, size)
    first = rank * each + min(rank, more)
    return first, first + each + (rank < more)


def cut(batch: Any, rows: slice) -> Any:
    """Those rows of all arrays of a batch, whatever they are nested in.

    Examples
    --------
    >>> cut(([1, 2, 3], {"y": (4, 5, 6)}), slice(0, 2))
    ([1, 2], {'y': (4, 5)})
    """
    if isinstance(batch, Mapping):
        return {name: cut(item, rows) for name, item in batch.items()}
    if isinstance(batch, list | tuple) and batch and hasattr(batch[0], "__len__"):
        items = [cut(item, rows) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    return batch[rows]


def dealt(loader: Any, processes: Processes) -> Iterator[tuple[int | None, Any]]:
    """The batches of epoch 0 that this process computes, each with its number: every `size`-th one.

    Where the processes have to keep step, those with a batch less go through one once more, whose number is None.
    """
    whole, rank, size = as_loader(loader), processes.rank, processes.size
    deal = getattr(whole, "deal", None)
    batches = islice(whole.batches(0), rank, None, size) if deal is None else deal(rank, size).batches(0)
    number, batch = rank, None
    for batch in batches:
        yield number, batch
        number += size
    missing = processes.is_sharded and number - rank < -(-len(whole) // size) * size
    if missing:
        yield None, next(iter(whole.batches(0))) if batch is None else batch


class Agreement(PendingInterrupt):
    """What several processes do at one step that each of them would do at its own time: save, and stop.

    A wish of one is known to all at the next exchange: meanwhile nobody has waited for it.

    Parameters
    ----------
    processes
        Those that agree; they have ``agree_later``.
    asked : PendingInterrupt
        What this process was asked by a signal.
    """

    SECONDS = 0.1  # about, from one exchange to the next

    def __init__(self, processes: Any, asked: PendingInterrupt) -> None:
        super().__init__()
        self.processes = processes
        self.processes.forget_wishes()
        self.asked = asked
        self._save = 0
        self._learner: Any = None
        self._steps = 0  # since the last exchange
        self._wait = 1  # steps between two of them
        self._exchanged = time.perf_counter()

    def after_step(self, trainer: Any, checkpointing: Sequence[Any]) -> None:
        """Exchange wishes, and save if that was agreed; not within a window of accumulation, nor at an epoch's end."""
        self._steps += 1
        if self._steps >= self._wait:
            self._exchange(any(each.is_due(trainer) for each in checkpointing))
        self._learner = trainer.learner
        if self._save and self._is_between_updates and not trainer.at_epoch_end:
            self._save = 0
            for each in checkpointing:
                each.save(trainer)

    def _exchange(self, due: bool) -> None:
        """Tell what is wished here, and learn what was wished anywhere at the exchange before.

        The first process also says after how many steps the next one comes, by its clock: an exchange takes as long as
        many a step.
        """
        now = time.perf_counter()
        pace = int(self._steps * self.SECONDS / max(now - self._exchanged, 1e-9)) if self.processes.is_first else 0
        self._steps, self._exchanged = 0, now
        signal_number, save, wait = self.processes.agree_later(self.asked.signal_number, int(due), pace)
        self.signal_number = max(self.signal_number, signal_number)
        self._save = max(self._save, save)
        self._wait = max(1, wait)

    def raise_if_any(self) -> None:
        """Raise `Interrupted` if a signal was agreed on and the learner is between two updates."""
        if self.signal_number and self._is_between_updates:
            raise Interrupted(self.signal_number)

    @property
    def _is_between_updates(self) -> bool:
        is_between: bool = getattr(self._learner, "between_updates", True)
        return is_between

    def conclude(self) -> None:
        """Raise `Interrupted` if any process has got a signal; all of them are here."""
        self.signal_number = self.processes.maximum(self.asked.signal_number)
        self.raise_if_any()


STRATEGIES = ("single", "ddp", "fsdp")
_ALONE = "alone"
_chosen: list[str] = []


def choose_strategy(name: str | None, size: int) -> str:
    """How a model is trained: as it was asked for, else as `chosen_strategy` says, else by the number of processes.

    Raises
    ------
    ConfigError
        If there is no such strategy, or it does not fit the number of processes.
    """
    if _chosen and _chosen[-1] == _ALONE:
        return "single"
    name = name or (_chosen[-1] if _chosen else "") or ("ddp" if size > 1 else "single")
    require_choice("strategy", name, STRATEGIES)
    if name == "single" and size > 1:
        raise ConfigError(f"{size} processes would train the same model {size} times: take strategy 'ddp' or 'fsdp'")
    return name


@contextmanager
def chosen_strategy(name: str | None) -> Iterator[None]:
    """Within the block models are trained that way unless they say otherwise; None leaves it to the environment."""
    _chosen.append(name or "")
    try:
        yield
    finally:
        _chosen.pop()


def alone() -> AbstractContextManager[None]:
    """Within the block learners are made for this process by itself, whoever else there is."""
    return chosen_strategy(_ALONE)
