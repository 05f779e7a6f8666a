"""The training loop: epochs of steps, and a position that a run can be continued from."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aifs_engine.callbacks import Callback, Checkpointing
from aifs_engine.distributed import ALONE, Agreement, Processes
from aifs_engine.evaluator import Evaluator, RunningMeans
from aifs_engine.experiment import require_positive_int
from aifs_engine.history import History
from aifs_engine.interrupts import Interrupted, PendingInterrupt, deferred_interrupts
from aifs_engine.learner import Learner, NonFiniteError
from aifs_utils.exceptions import TrainingError
from aifs_utils.seeds import get_random_state, restore_random_state

logger = logging.getLogger(__name__)


class Trainer:
    """Trains a learner for a number of epochs; can be stopped anywhere and continued to the same end, bit by bit.

    The trainer knows no array library: it hands batches to the learner's ``train_step`` and averages what comes back.

    Parameters
    ----------
    learner
        See `aifs_engine.learner.Learner`.
    epochs
        Passes over the training data in total, those of a continued run included.
    callbacks
        Called in order, the `Checkpointing` among them always last, so that it saves what the others have become.

    Attributes
    ----------
    epoch, batch, step
        The position: epochs completed, batches done in the epoch that runs, updates in total.
    history
        One row per completed epoch.
    batches_per_epoch
        Length of the loader; 0 before `train` is called.
    processes : Processes
        Those that train together, as the learner says; one alone, if it says nothing.
    stop_reason
        Why training ended before `epochs`, or an empty string.

    Examples
    --------
    >>> class Mean:  # learns the mean of what it sees
    ...     w = 0.0
    ...     def train_step(self, batch):
    ...         error = sum(x - self.w for x in batch) / len(batch)
    ...         self.w += 0.5 * error
    ...         return {"loss": error**2}
    ...     def eval_step(self, batch):
    ...         return {"loss": sum((x - self.w) ** 2 for x in batch) / len(batch)}
    ...     def state_dict(self):
    ...         return {"w": self.w}
    ...     def load_state_dict(self, state):
    ...         self.w = state["w"]
    >>> trainer = Trainer(Mean(), epochs=3)
    >>> trainer.train([[1.0, 3.0], [2.0]])["train_loss"]
    [3.0, 0.1875, 0.01171875]
    """

    def __init__(self, learner: Learner, *, epochs: int, callbacks: Sequence[Callback] = ()) -> None:
        require_positive_int("epochs", epochs)
        self.learner = learner
        self.processes: Processes = getattr(learner, "processes", ALONE)
        self.epochs = epochs
        self.callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpointing))
        self.history = History()
        self.epoch = self.batch = self.step = 0
        self.stop_reason = ""
        self._means = RunningMeans()
        self.batches_per_epoch = 0

    @property
    def at_epoch_end(self) -> bool:
        """Whether the step just made was the epoch's last."""
        return self.batch == self.batches_per_epoch

    def train(self, train_loader: Any, val_loader: Any = None) -> History:
        """Train from the current position to the last epoch.

        Parameters
        ----------
        train_loader, val_loader
            Batches: any sized iterable, or a `aifs_engine.learner.Loader`, whose order may depend on the epoch and
            which continues in the middle of one. Without `val_loader` there are no ``val_`` metrics.

        Returns
        -------
        History
            All epochs, those from before a continuation included.

        Raises
        ------
        NonFiniteError
            If the loss is not finite; no checkpoint is written from there on.
        Interrupted
            After SIGINT or SIGTERM: the step was finished and the state saved (with `Checkpointing` among the
            callbacks).
        """
        loader = self.processes.split(train_loader)
        self.batches_per_epoch = len(loader)
        with deferred_interrupts() as asked:
            pending = asked if self.processes.size == 1 else Agreement(self.processes, asked)
            for callback in self.callbacks:
                callback.on_train_start(self)
            try:
                self._train_epochs(loader, val_loader, pending)
            except NonFiniteError as error:
                raise self._diverged(error, loader) from error
            for callback in self.callbacks:
                callback.on_train_end(self)
            pending.conclude()
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the epoch that runs; for callbacks."""
        self.stop_reason = reason

    def _train_epochs(self, loader: Any, val_loader: Any, pending: PendingInterrupt) -> None:
        """Train to the end, or until a signal stops the run and its state is saved."""
        try:
            while self.epoch < self.epochs and not self.stop_reason:
                self._train_epoch(loader, pending)
                self._finish_epoch(val_loader)
                pending.raise_if_any()
        except Interrupted:
            self._save()
            raise

    def _train_epoch(self, loader: Any, pending: PendingInterrupt) -> None:
        """Make the steps that are left of the current epoch."""
        train_step, means, count = self.learner.train_step, self._means, self.processes.count
        step_hooks = self._step_hooks(pending)
        for batch in loader.batches(self.epoch, self.batch):
            metrics = train_step(batch)
            if "loss" not in metrics:
                raise TrainingError(f"train_step must return a 'loss', got {', '.join(metrics) or 'nothing'}")
            means.add(metrics, count(batch))
            losses = means.sums["loss"]
            if type(losses) is float and not math.isfinite(losses):  # a tensor is read at the epoch's end
                raise NonFiniteError(f"loss is {float(metrics['loss'])}")
            self.batch += 1
            self.step += 1
            for hook in step_hooks:
                hook(self)
            if pending.signal_number:
                pending.raise_if_any()
        if not self.at_epoch_end:
            raise TrainingError(
                f"epoch {self.epoch + 1} gave {self.batch} batches, its loader's length is {self.batches_per_epoch}"
            )

    def _step_hooks(self, pending: PendingInterrupt) -> list[Callable[["Trainer"], None]]:
        """What is called after each step; several processes save together."""
        hooked = [each for each in self.callbacks if type(each).on_step_end is not Callback.on_step_end]
        if not isinstance(pending, Agreement):
            return [callback.on_step_end for callback in hooked]
        saving = [callback for callback in hooked if isinstance(callback, Checkpointing)]
        others = [callback.on_step_end for callback in hooked if not isinstance(callback, Checkpointing)]
        return [*others, partial(pending.after_step, checkpointing=saving)]

    def _finish_epoch(self, val_loader: Any) -> None:
        """Write the epoch's row of the history and move the position to the next epoch."""
        if hasattr(self.learner, "end_epoch"):
            self.learner.end_epoch()
        means = RunningMeans.of_all(self._means, self.processes).means("train_")
        if not math.isfinite(means["train_loss"]):
            raise NonFiniteError(f"mean loss is {means['train_loss']}", steps_ago=1)
        row: dict[str, Any] = {"epoch": self.epoch + 1, "step": self.step, **means}
        if val_loader is not None:
            row |= Evaluator(self.learner).evaluate(val_loader, prefix="val_")
        self.history.append(row)
        self.epoch += 1
        self.batch = 0
        self._means = RunningMeans()
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _save(self) -> None:
        for callback in self.callbacks:
            if isinstance(callback, Checkpointing):
                callback.save(self)

    def _diverged(self, error: NonFiniteError, loader: Any) -> NonFiniteError:
        """The error with all that is known here: where it happened, and what is left."""
        rate = getattr(self.learner, "learning_rate", None)
        saved = [c.files.last for c in self.callbacks if isinstance(c, Checkpointing) and c.files.last.exists()]
        return NonFiniteError(
            f"training diverged: {error} in epoch {self.epoch + 1}, step {self.step + 1 - error.steps_ago}"
            + (f", at learning rate {rate:g}" if isinstance(rate, int | float) else "")
            + self._samples(loader, self.batch - error.steps_ago)
            + (f"; {error.details}" if error.details else "")
            + f"; last good checkpoint: {saved[0] if saved else 'none'}; {error.remedy}",
            details=error.details,
            remedy=error.remedy,
            steps_ago=error.steps_ago,
        )

    def _samples(self, loader: Any, batch: int) -> str:
        """The samples of a batch of this epoch, in words, where the loader knows them."""
        if not 0 <= batch < self.batches_per_epoch or not hasattr(loader, "batch_indices"):
            return ""
        indices = [str(index) for index in loader.batch_indices(self.epoch, batch)]
        return f", on samples {', '.join(indices[:5])}{', …' if len(indices) > 5 else ''} ({len(indices)} in the batch)"

    def state_dict(self) -> dict[str, Any]:
        """The whole run as it stands: position, history, learner, callbacks, random states."""
        return {
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step, "stop_reason": self.stop_reason},
            "means": RunningMeans.of_all(self._means, self.processes).state_dict(),
            "history": self.history.rows,
            "learner": self.learner.state_dict(),
            "callbacks": {name: callback.state_dict() for name, callback in self.named_callbacks()},
            "random": get_random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned: the next step is the one that would have come then."""
        position = state["position"]
        self.epoch, self.batch, self.step = position["epoch"], position["batch"], position["step"]
        self.stop_reason = position["stop_reason"]
        self._means = RunningMeans.of_one(state["means"], self.processes)
        self.history = History(state["history"])
        self.learner.load_state_dict(state["learner"])
        for name, callback in self.named_callbacks():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
        restore_random_state(state["random"])

    def named_callbacks(self) -> list[tuple[str, Callback]]:
        """Each callback with a name of its own: its class, numbered where a class occurs twice."""
        names = [type(callback).__name__ for callback in self.callbacks]
        return [
            (f"{name}-{names[:i].count(name)}" if name in names[:i] else name, callback)
            for i, (name, callback) in enumerate(zip(names, self.callbacks, strict=True))
        ]
