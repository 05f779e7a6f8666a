"""The seam: the engine owns the loop, the learner owns the step."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, TypeVar, runtime_checkable

from aifs_utils.exceptions import DataError, TrainingError

logger = logging.getLogger(__name__)

Metrics = Mapping[str, Any]
_Loss = TypeVar("_Loss", bound=float)


class NonFiniteError(TrainingError):
    """The loss or a gradient became NaN or infinite: training has diverged.

    Parameters
    ----------
    what
        What is not finite.
    details
        What else is known about it.
    remedy
        What to do about it.
    steps_ago
        Where a learner finds out late: 1 if the step before the one that is being made went wrong.
    """

    def __init__(
        self, what: str, *, details: str = "", remedy: str = "try a smaller learning rate", steps_ago: int = 0
    ) -> None:
        super().__init__(what)
        self.details = details
        self.remedy = remedy
        self.steps_ago = steps_ago


@runtime_checkable
class Learner(Protocol):
    """A model together with its learning rule.

    A learner may also offer ``predict(X) -> labels (n,)`` and ``decision_function(X) -> scores``, from which the
    evaluator draws its report; an attribute ``learning_rate``, which is named when training diverges; ``end_epoch()``,
    called after an epoch's last step and before its means are read; ``evaluating()``, a context manager that is entered
    around each pass of evaluation and leaves the random states as they are; ``load_weights(state)``, which takes no
    more of a state than the weights; ``processes``, those that train it together; and ``plain_steps()``, a context
    manager within which each step is one update at the learning rate that is set.
    """

    def train_step(self, batch: Any) -> Metrics:
        """Make one update; return means over the batch, "loss" among them.

        Raise `NonFiniteError` (see `require_finite`) before the weights change if the loss is not finite.
        """

    def eval_step(self, batch: Any) -> Metrics:
        """Return means over the batch; change nothing, not even the training's random state."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on: nested dicts and lists of arrays, numbers, strings and
        None.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned."""


class Loader(Protocol):
    """Batches whose order is a pure function of the epoch, so that a run can be continued in the middle of one.

    A loader may also offer ``batch_indices(epoch, batch) -> ndarray (n,)``, the numbers of the samples in a batch: they
    are named when training diverges on it.

    For several processes it may offer ``split(rank, size)``, the loader of one process's piece of each batch (see
    `aifs_engine.distributed.SplitLoader`), with ``n_in_batch(batch)``, the samples of the whole batch; and ``deal(rank,
    size)``, the loader of the whole batches ``rank``, ``rank + size``, ….
    """

    def __len__(self) -> int:
        """Batches per epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterable[Any]:
        """The batches of an epoch (counted from 0), beginning with batch number `start`."""


class IterableLoader:
    """Any sized iterable as a `Loader`: the same batches in each epoch, or what its ``__iter__`` makes of them."""

    def __init__(self, iterable: Any) -> None:
        if isinstance(iterable, Iterator) or not hasattr(iterable, "__len__"):
            raise DataError(
                f"batches must be readable once per epoch and have a length; got {type(iterable).__name__}. "
                "Give a list of batches, or an object with __len__ and batches(epoch, start)"
            )
        self.iterable = iterable
        if type(getattr(iterable, "sampler", None)).__name__ == "RandomSampler":  # of torch's DataLoader
            logger.warning(
                "this loader draws another order each time it is read: continued in the middle of an epoch, the run "
                "will not be the same (the order of aifs_data.DecodedLoader depends on the epoch alone)"
            )

    def __len__(self) -> int:
        return len(self.iterable)

    def batches(self, epoch: int, start: int = 0) -> Iterable[Any]:
        """The iterable's batches from number `start` on."""
        return islice(self.iterable, start, None)


def as_loader(batches: Any) -> Loader:
    """`batches` itself if it is a `Loader`, otherwise wrapped as one.

    Raises
    ------
    DataError
        If `batches` is a one-shot iterator, has no length, or is empty.
    """
    loader: Loader = batches if hasattr(batches, "batches") else IterableLoader(batches)
    if len(loader) == 0:
        raise DataError("there are no batches: the data set is empty, or smaller than one batch with drop_last")
    return loader


def batch_size(batch: Any) -> int:
    """Samples in a batch: the length of its first array, or of the batch itself if it is a list of numbers."""
    if type(batch) is tuple and batch and getattr(batch[0], "shape", None):  # the usual one, without calls of torch
        return int(batch[0].shape[0])
    while isinstance(batch, tuple | list | dict) and batch:
        first = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
        if not hasattr(first, "__len__"):
            break
        batch = first
    return len(batch)


def require_finite(loss: _Loss) -> _Loss:
    """`loss` itself; a learner calls this before it changes its weights.

    Raises
    ------
    NonFiniteError
        If `loss` is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise NonFiniteError(f"loss is {loss}")
    return loss
