"""Batches of samples that are read one by one: files to be decoded, or any data set of torch's kind."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aifs_data._columns import slices
from aifs_data._loader import Loader
from aifs_data._tensors import converter, import_torch
from aifs_data.checks import require_count
from aifs_data.draws import Draws
from aifs_data.streams import epoch_order
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

# An epoch, the index of a sample, and two random numbers of 32 bits that belong to it.
Place = list[int]


class Samples(Protocol):
    """Samples by index, as in ``torch.utils.data.Dataset``."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Any:
        """One of them, from 0: usually (x, y)."""


class DecodedLoader(Loader):
    """Batches of samples that are read one by one, by worker processes where it is asked for.

    Takes ``torch.utils.data.DataLoader`` and gives what it lacks: the order of an epoch is that of `ArrayLoader` for
    the same seed, an epoch can be entered at any batch, and a sample comes out the same wherever and whenever it is
    read. For arrays in memory `ArrayLoader` is many times faster.

    Parameters
    ----------
    samples : object with ``__len__`` and ``__getitem__``
        A ``torch.utils.data.Dataset``, a list, or your own. Workers that are not forked get it pickled.
    batch_size : int
        Samples in a batch; the last one has what is left.
    seed : int
        What everything random is drawn with, together with the epoch's number.
    shuffle : bool
        Whether each epoch has an order of its own. Otherwise the samples come as they are.
    workers : int
        Processes that read samples; with 0 it is done here. They stay as long as the loader, from epoch to epoch.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    collate : callable, optional
        Makes a batch of a list of samples; torch's ``default_collate`` if it is not given, with tuples for its lists.
    device : str, optional
        Of torch: where the tensors of a batch are moved.
    start_method : {"fork", "spawn", "forkserver"}, optional
        How workers are started; the system's own way if it is not given.

    Raises
    ------
    DataError
        When `samples` cannot be indexed or there are none, a size is no integer or too small, or torch is not there.

    Notes
    -----
    Before a sample is read the global generators of Python, NumPy and torch (on the CPU) are seeded by (seed, epoch,
    index), so what ``__getitem__`` draws from them is the same with any number of workers, and after a resume in the
    middle of an epoch. What `collate` draws is decided by the last sample it is given, in a `split` that of the piece.
    Generators that a data set keeps for itself are not reached. In this process the global generators go on as if
    nothing had been drawn.

    An error in ``__getitem__`` arrives here with the sample's index in a note.

    Workers leave Ctrl-C to this process, which decides when to stop.

    Examples
    --------
    Photographs in a list of files, cropped at random in four processes::

        class Photographs:
            def __len__(self):
                return len(files)

            def __getitem__(self, index):
                return random_crop(decode(files[index])), labels[index]

        loader = DecodedLoader(Photographs(), batch_size=64, seed=0, workers=4)
        for X, y in loader.batches(epoch):
            ...
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool = True,
        workers: int = 0,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
        device: str | None = None,
        start_method: str | None = None,
    ) -> None:
        import_torch()
        converter("torch", device)
        self.samples = samples
        self.shuffle = shuffle
        self.workers = require_count("workers", workers, at_least=0)
        self.collate = collate
        self.device = device
        self.start_method = _checked_start_method(start_method)
        super().__init__(_count(samples), batch_size, seed=seed, drop_last=drop_last, epochs_differ=shuffle)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return epoch_order(self.n_samples, seed=self.seed, epoch=epoch, shuffle=self.shuffle)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        indices = self.order(epoch)[start * self.batch_size : self._end()]
        if len(indices) == 0:
            return
        # One reader waits for the next epoch, with its workers; a loop within a loop gets another.
        reader = self._waiting.pop() if self._waiting else self._new_reader()
        reader.batch_sampler.begin(epoch, indices)
        batches = iter(reader)
        try:
            for _ in range(len(reader)):
                with nullcontext() if self.workers else _generators_put_back():
                    batch = next(batches)
                yield self._finished(batch)
        except GeneratorExit:  # the loop was left; after an error, though, the reader may be broken and is let go
            pass
        self._waiting[:] = [reader]

    @cached_property
    def _waiting(self) -> list[Any]:
        return []

    def _new_reader(self) -> Any:
        from torch import Generator
        from torch.utils.data import DataLoader

        options: dict[str, Any] = {}
        if self.workers:
            options = {"multiprocessing_context": self.start_method, "worker_init_fn": _begin_worker}
        samples: Any = _SeededSamples(self.samples)  # a torch Dataset in all but its class
        return DataLoader(
            samples,
            batch_sampler=_Places(self.seed, self.batch_size),
            collate_fn=self.collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=self._to_cuda,
            generator=Generator(),  # else each epoch would draw from the global one
            **options,
        )

    @property
    def _to_cuda(self) -> bool:
        return self.device is not None and self.device.startswith("cuda")

    def _finished(self, batch: Any) -> Any:
        if self.collate is None and isinstance(batch, list):
            batch = tuple(batch)
        return batch if self.device is None else _moved(batch, self.device, non_blocking=self._to_cuda)


class _SeededSamples:
    """Samples by their place, each read with generators that are seeded for it."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, place: Place) -> Any:
        epoch, index, *words = place
        _seed_generators(*words)
        try:
            return self.samples[index]
        except BaseException as error:  # from a worker, a traceback alone does not tell which sample it was
            error.add_note(f"while sample {index} was read, in epoch {epoch}")
            raise


class _Places:
    """What torch calls a batch sampler: which samples each batch of an epoch has. It has one epoch after the other."""

    def __init__(self, seed: int, batch_size: int) -> None:
        self.seed = seed
        self.batch_size = batch_size
        self.begin(0, np.arange(0))

    def begin(self, epoch: int, indices: NDArray[np.intp]) -> None:
        """Say what the next iteration is over."""
        self.epoch, self.indices = epoch, indices

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[Place]]:
        return map(partial(self._places, self.epoch), slices(self.indices, self.batch_size))

    def _places(self, epoch: int, indices: NDArray[np.intp]) -> list[Place]:
        words = Draws(self.seed, epoch, indices, "sample").integers(0, 1 << 32, shape=2)  # (n, 2)
        places: list[Place] = np.column_stack([np.full(len(indices), epoch), indices, words]).tolist()
        return places


def _seed_generators(first: int, second: int) -> None:
    """Seed the global generators, which other people's code draws from, by two numbers of 32 bits."""
    from torch import default_generator

    random.seed(first << 32 | second)
    # NumPy and torch have the same generator and take 32 bits: from the same ones they would draw the same numbers.
    np.random.seed(first)  # noqa: NPY002
    # Not torch.manual_seed, which seeds the generators of all devices and is slower than all of this.
    default_generator.manual_seed(second)


@contextmanager
def _generators_put_back() -> Iterator[None]:
    """Within the block samples are read as in a worker; afterwards the global generators are what they were."""
    import torch

    python, numpy, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    n_threads = torch.get_num_threads()
    try:
        # As in a worker: with several threads a sum may have other last bits.
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(n_threads)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(tensors)


def _begin_worker(number: int) -> None:
    # Ctrl-C goes to all processes of a terminal. The run decides when to stop, and needs its batches until then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _moved(batch: Any, device: str, *, non_blocking: bool) -> Any:
    """Return a batch with its tensors, in whatever they are nested, on a device."""
    if hasattr(batch, "to"):
        return batch.to(device, non_blocking=non_blocking)
    move = partial(_moved, device=device, non_blocking=non_blocking)
    if isinstance(batch, Mapping):
        return {name: move(item) for name, item in batch.items()}
    if isinstance(batch, list | tuple):
        items = list(map(move, batch))
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    return batch


def _count(samples: Any) -> int:
    if not hasattr(samples, "__getitem__") or not hasattr(samples, "__len__"):
        raise DataError(
            f"samples have __len__ and __getitem__, got {type(samples).__name__}: "
            "a stream has no order that depends on the epoch, so put what it gives into a list"
        )
    if len(samples) == 0:
        raise DataError("there is at least one sample, got none")
    return len(samples)


def _checked_start_method(method: str | None) -> str | None:
    from multiprocessing import get_all_start_methods

    methods = get_all_start_methods()
    if method is not None and method not in methods:
        raise DataError(f"start_method is {', '.join(map(repr, methods))} or None on this system, got {method!r}")
    return method
