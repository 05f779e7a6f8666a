"""Showing that a run goes on: a bar on a terminal, a line per epoch anywhere else."""

import sys
import time
from typing import TYPE_CHECKING, Any

from aifs_engine.callbacks import Callback
from aifs_engine.cli import say

if TYPE_CHECKING:
    from aifs_engine.trainer import Trainer


class ProgressLines(Callback):
    """Prints one line per epoch."""

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Print the epoch's means."""
        width = len(str(trainer.epochs))
        say(f"epoch {row['epoch']:>{width}}/{trainer.epochs}  {format_row(row)}")

    def close(self) -> None:
        """Nothing to close, as there is with a bar."""


class ProgressBar(Callback):
    """Draws a bar over the run's steps, with the newest epoch's means beside it."""

    REFRESH_SECONDS = 0.1

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None
        self._next_refresh = 0.0

    def on_train_start(self, trainer: "Trainer") -> None:
        """Draw the bar at the position from which the run goes on."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        whole = Column(no_wrap=True, min_width=len(f"epoch {trainer.epochs}/{trainer.epochs}"))
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # on a narrow terminal the means are cut, not the bar
        self._progress = Progress(
            TextColumn("{task.description}", table_column=whole),
            BarColumn(bar_width=20),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.fields[means]}", table_column=rest),
            expand=True,
        )
        self._task = self._progress.add_task("", total=trainer.epochs, means=format_row(trainer.history.last))
        self._draw(trainer)
        self._progress.start()

    def on_step_end(self, trainer: "Trainer") -> None:
        """Move the bar, some times a second."""
        if time.perf_counter() >= self._next_refresh:
            self._draw(trainer)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Show the epoch's means."""
        self._draw(trainer, means=format_row(row))

    def on_train_end(self, trainer: "Trainer") -> None:
        """Leave the bar as it stands."""
        self.close()

    def close(self) -> None:
        """Stop drawing; also called after an interrupt or an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _draw(self, trainer: "Trainer", **fields: str) -> None:
        self._next_refresh = time.perf_counter() + self.REFRESH_SECONDS
        self._progress.update(
            self._task,
            completed=trainer.epoch + trainer.batch / trainer.batches_per_epoch,
            description=f"epoch {min(trainer.epoch + 1, trainer.epochs)}/{trainer.epochs}",
            **fields,
        )


def progress() -> "ProgressBar | ProgressLines":
    """A bar if the output is a terminal, lines if it is not."""
    return ProgressBar() if sys.stdout is not None and sys.stdout.isatty() else ProgressLines()


def format_row(row: dict[str, Any]) -> str:
    """The metrics of a history's row, in short."""
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step"))
