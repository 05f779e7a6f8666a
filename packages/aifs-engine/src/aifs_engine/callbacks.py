"""What happens beside the update: early stopping, the best weights, checkpoints, snapshots for figures."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aifs_engine.experiment import require_positive_int
from aifs_utils.exceptions import ConfigError

if TYPE_CHECKING:
    from aifs_engine.trainer import Trainer

logger = logging.getLogger(__name__)

Mode = Literal["min", "max"]


class Callback:
    """Hooks of the training loop; override what you need. A callback's state travels in the checkpoints."""

    def on_train_start(self, trainer: "Trainer") -> None:
        """Before the first step, after a checkpoint was loaded."""

    def on_step_end(self, trainer: "Trainer") -> None:
        """After each update. Costs nothing unless it is overridden."""

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """After each epoch; `row` is a copy of the history's newest."""

    def on_train_end(self, trainer: "Trainer") -> None:
        """After the last epoch. Not called when the run is interrupted or fails."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that later calls depend on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned."""


class _Monitor(Callback):
    """Compares a metric of the history with its best value so far."""

    def __init__(self, metric: str, mode: Mode | None, min_delta: float = 0.0) -> None:
        if mode not in (None, "min", "max"):
            raise ConfigError(f"mode must be 'min' or 'max', got {mode!r}")
        self.metric = metric
        self.mode: Mode = mode or _direction(metric)
        self.min_delta = min_delta
        self.best_value: float | None = None
        self.best_epoch = 0

    def improved(self, row: Mapping[str, Any]) -> bool:
        """Whether `row` is better than all before it by more than `min_delta`; NaN never is."""
        if self.metric not in row:
            raise ConfigError(f"there is no metric {self.metric!r} to watch; this run has: {', '.join(row)}")
        value = row[self.metric]
        sign = 1 if self.mode == "max" else -1
        better = self.best_value is None or sign * (value - self.best_value) > self.min_delta
        if math.isnan(value) or not better:
            return False
        self.best_value, self.best_epoch = value, row["epoch"]
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_value, self.best_epoch = state["best_value"], state["best_epoch"]


def _direction(metric: str) -> Mode:
    """Whether less or more of a metric is better, where its name says so."""
    if metric.endswith(("loss", "error", "mse", "mae", "perplexity")):
        return "min"
    if metric.endswith(("accuracy", "precision", "recall", "f1", "auc", "bleu", "epoch")):
        return "max"
    raise ConfigError(f"is less or more {metric!r} better? Its name does not tell: give mode='min' or mode='max'")


class EarlyStopping(_Monitor):
    """Stops when `metric` has not improved by more than `min_delta` for `patience` epochs in a row.

    Parameters
    ----------
    metric
        A column of the history.
    mode
        Whether less or more is better; told from the name if not given (losses, errors, accuracies…).
    """

    def __init__(
        self, metric: str = "val_loss", *, patience: int = 10, min_delta: float = 0.0, mode: Mode | None = None
    ) -> None:
        super().__init__(metric, mode, min_delta)
        require_positive_int("patience", patience)
        self.patience = patience

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Stop the training if the patience is used up."""
        if not self.improved(row) and row["epoch"] - self.best_epoch >= self.patience:
            trainer.stop(f"{self.metric} has not improved for {self.patience} epochs")


class BestSoFar(_Monitor):
    """Keeps a copy of the learner's state from the epoch in which `metric` was best; the first of equals.

    The metric "epoch" keeps the last state of all.
    """

    def __init__(self, metric: str = "val_loss", *, mode: Mode | None = None) -> None:
        super().__init__(metric, mode)
        self.best_state: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Copy the learner's state if this epoch is the best."""
        if self.improved(row):
            self.best_state = deepcopy(trainer.learner.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"best_state": self.best_state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.best_state = state["best_state"]


class Snapshots(Callback):
    """Copies of the learner's state after chosen epochs (0: before the first) and the last one, to show how it
    changed.
    """

    def __init__(self, epochs: Sequence[int] = (0, 1, 2, 5, 10, 20, 50, 100)) -> None:
        self.epochs = frozenset(epochs)
        self.states: dict[int, dict[str, Any]] = {}

    def on_train_start(self, trainer: "Trainer") -> None:
        """Keep the state from before the first step; let go of what was the last one of a run that is now longer."""
        self.states = {epoch: state for epoch, state in self.states.items() if epoch in self.epochs}
        if trainer.step == 0:
            self._keep(trainer, 0)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Keep the state of the epochs that were asked for."""
        self._keep(trainer, row["epoch"])

    def on_train_end(self, trainer: "Trainer") -> None:
        """Keep the state that the run ends with."""
        self.states[trainer.epoch] = deepcopy(trainer.learner.state_dict())

    def items(self) -> list[tuple[int, dict[str, Any]]]:
        """(epoch, state) in order."""
        return sorted(self.states.items(), key=lambda item: item[0])

    def _keep(self, trainer: "Trainer", epoch: int) -> None:
        if epoch in self.epochs:
            self.states[epoch] = deepcopy(trainer.learner.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {str(epoch): state for epoch, state in self.states.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.states = {int(epoch): value for epoch, value in state.items()}


class Checkpointing(Callback):
    """Writes the run's state to `folder`, as often as that is cheap.

    A checkpoint is due when the time since the last one is `1 / overhead` times what that one took to write: a small
    run loses at most tenths of a second when it is killed, a large one spends at most that share of its time on the
    disk. What is written depends on the position alone, so a continued run ends in the same bytes whenever its
    checkpoints were made.

    Parameters
    ----------
    folder
        Receives ``last``, ``previous`` and ``best`` ``.safetensors``; the best as the first `BestSoFar` of the
        trainer's callbacks sees it, if there is one.
    header
        What a reader of the file should know: model, experiment, config…
    every_epochs
        Also keep the state of each so-manieth epoch.
    overhead
        The largest share of the time that goes into writing, in (0, 1].
    """

    FIRST_SECONDS = 0.2  # into the run there is a checkpoint, however short a run is

    def __init__(
        self,
        folder: Path | str,
        *,
        header: Mapping[str, Any] | None = None,
        every_epochs: int | None = None,
        overhead: float = 0.02,
    ) -> None:
        from aifs_engine.checkpoint import CheckpointFolder

        if not 0 < overhead <= 1:
            raise ConfigError(f"overhead is a share of the time, above 0 and at most 1, got {overhead!r}")
        if every_epochs is not None:
            require_positive_int("every_epochs", every_epochs)
        self.files = CheckpointFolder(Path(folder))
        self.header = dict(header or {})
        self.every_epochs = every_epochs
        self.overhead = overhead
        self._due = 0.0
        self._best_epoch = 0  # whose weights `best` holds

    def on_train_start(self, trainer: "Trainer") -> None:
        """Start the clock, as if the last checkpoint had just been written in a hundredth of a second."""
        self._due = time.perf_counter() + min(0.01 / self.overhead, self.FIRST_SECONDS)

    def on_step_end(self, trainer: "Trainer") -> None:
        """Save if a checkpoint is due and the epoch goes on; several processes agree on it, see `Trainer`."""
        if time.perf_counter() >= self._due and not trainer.at_epoch_end:
            self.save(trainer)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Save if a checkpoint is due, or the epoch is one to keep."""
        if trainer.processes.maximum(int(self.is_due(trainer))):
            self.save(trainer)
        if self.every_epochs and row["epoch"] % self.every_epochs == 0:
            self._keep(trainer, row["epoch"])

    def on_train_end(self, trainer: "Trainer") -> None:
        """Save the finished run."""
        self.save(trainer)
        if trainer.processes.is_first:
            with trainer.processes.busy():
                if trainer.processes.is_sharded:
                    self._put_together(trainer)
                self.files.remove_shards()

    def is_due(self, trainer: "Trainer") -> bool:
        """Whether it is time for a checkpoint, by the clock of the first process."""
        return trainer.processes.is_first and time.perf_counter() >= self._due

    def save(self, trainer: "Trainer") -> None:
        """Write ``last`` now, and ``best`` if there are better weights than the file holds.

        Several processes call this together; the first one writes.
        """
        started = time.perf_counter()
        state = trainer.state_dict()
        if trainer.processes.is_sharded:
            from aifs_engine.torch_sharded_checkpoint import save_sharded

            save_sharded(self.files.shards, state, self._header(trainer), group=trainer.processes.messages)
            self._saved_since(started)
            return
        if not trainer.processes.is_first:
            return
        with trainer.processes.busy():
            self.files.save_last(state, self._header(trainer))
            best = next((callback for callback in trainer.callbacks if isinstance(callback, BestSoFar)), None)
            if best is not None and best.best_epoch != self._best_epoch:
                self._save_best(best, trainer, best.best_state)
        self._saved_since(started)
        logger.debug("saved %s at step %d", self.files.last, trainer.step)

    def _saved_since(self, started: float) -> None:
        finished = time.perf_counter()
        self._due = finished + (finished - started) / self.overhead

    def _put_together(self, trainer: "Trainer") -> None:
        """Write what one process would have written, of the shards of all."""
        from aifs_engine.torch_sharded_checkpoint import consolidate

        state = consolidate(self.files.shards).state
        self.files.save_last(state, self._header(trainer))
        for name, callback in trainer.named_callbacks():
            if isinstance(callback, BestSoFar):
                if callback.best_epoch:
                    self._save_best(callback, trainer, state["callbacks"][name]["best_state"])
                return

    def _keep(self, trainer: "Trainer", epoch: int) -> None:
        from aifs_engine.checkpoint import save_checkpoint

        state = trainer.state_dict()
        if trainer.processes.is_sharded:
            from aifs_engine.torch_sharded_state import full_state

            state = full_state(state)
        if trainer.processes.is_first:
            self.files.folder.mkdir(parents=True, exist_ok=True)
            save_checkpoint(self.files.of_epoch(epoch), state, self._header(trainer))

    def _save_best(self, best: BestSoFar, trainer: "Trainer", state: dict[str, Any] | None) -> None:
        from aifs_engine.checkpoint import save_checkpoint

        # Of these weights alone, not of the moment of writing: equal runs leave equal files.
        header = self.header | {"epoch": best.best_epoch, "metrics": {best.metric: best.best_value}}
        rows = trainer.history.rows[: best.best_epoch]
        save_checkpoint(self.files.best, {"learner": state, "history": rows}, header)
        self._best_epoch = best.best_epoch

    def _header(self, trainer: "Trainer") -> dict[str, Any]:
        return self.header | {"epoch": trainer.epoch, "step": trainer.step, "metrics": trainer.history.last}
