"""Where the time of a training run goes, operation by operation."""

import logging
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from aifs_engine.callbacks import Callback
from aifs_engine.experiment import require_positive_int
from aifs_utils.exceptions import ConfigError
from aifs_utils.files import write_text

if TYPE_CHECKING:
    from aifs_engine.trainer import Trainer

_ROWS = 40  # of the table

logger = logging.getLogger(__name__)


class Profiler(Callback):
    """Records some steps of a run with ``torch.profiler``, together with what happens between them.

    In `folder` it leaves ``trace-11-30.json`` (open it in a Chrome-like browser at ``chrome://tracing``, or at
    ui.perfetto.dev) and ``operations-11-30.txt``, a table of the operations that took longest, both named by the
    steps that they are of. Outside its window it counts steps and does nothing else.

    A run that ends, fails or is interrupted within the window leaves files of the steps so far: at once where it ends,
    or where the profiler is a context; else when the profiler is no longer used, at the latest when the process ends.

    Parameters
    ----------
    folder
        Is made if it is not there.
    skip
        Steps before the window, in which memory is still being allocated and kernels are chosen.
    steps
        Steps in the window. A recorded step takes longer than others, by microseconds for each operation.

    Raises
    ------
    ConfigError
        If `skip` is negative, `steps` is below 1, or one of them is no integer.

    Examples
    --------
    A run that may be interrupted::

        with Profiler("profile", skip=100) as profiler:
            Trainer(learner, epochs=1, callbacks=[profiler]).train(loader)
    """

    def __init__(self, folder: Path | str, *, skip: int = 10, steps: int = 20) -> None:
        require_positive_int("steps", steps)
        if isinstance(skip, bool) or not isinstance(skip, int) or skip < 0:
            raise ConfigError(f"skip must be a whole number of at least 0, got {skip!r}")
        self.folder = Path(folder)
        self.skip = skip
        self.steps = steps
        self._countdown = 0  # steps until the window is opened or closed; below 0 nothing more happens
        self._window: _Window | None = None
        self._finalizer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def on_train_start(self, trainer: "Trainer") -> None:
        """Count from here, also in a run that is continued."""
        self.close()
        self._countdown = self.skip
        if self.skip == 0:
            self._open(trainer)

    def on_step_end(self, trainer: "Trainer") -> None:
        """Open the window after `skip` steps, close it after `steps` more."""
        self._countdown -= 1
        if self._window is not None:
            self._window.last = trainer.step
            if self._countdown == 0:
                self.close()
        elif self._countdown == 0:
            self._open(trainer)

    def on_train_end(self, trainer: "Trainer") -> None:
        """Close the window if it is open."""
        if self._countdown > 0 and self._window is None:
            logger.warning("nothing was profiled: the run had no more than %d steps; take a smaller skip", self.skip)
        self.close()

    def close(self) -> None:
        """Write the files if a window is open; otherwise do nothing."""
        if self._finalizer is not None:
            self._finalizer()
        self._window = self._finalizer = None

    def _open(self, trainer: "Trainer") -> None:
        self._window = _Window(self.folder, trainer.step)
        # A process that ends with torch's profiler running crashes.
        self._finalizer = weakref.finalize(self, self._window.close)
        self._countdown = self.steps


class _Window:
    """Steps that are being recorded, from one to the next after `step`."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.first = step + 1
        self.last = step
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self._sort_by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        self._profile = torch.profiler.profile(activities=activities)
        self._profile.start()

    def close(self) -> None:
        """Stop recording, and write what there is."""
        self._profile.stop()
        if self.last < self.first:
            logger.warning("nothing was profiled: the run ended in step %d", self.first)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        steps = f"{self.first}-{self.last}"
        table, trace = self.folder / f"operations-{steps}.txt", self.folder / f"trace-{steps}.json"
        operations = self._profile.key_averages().table(sort_by=self._sort_by, row_limit=_ROWS)
        write_text(table, f"Steps {self.first} to {self.last}, the dearest operations first.\n{operations}")
        self._profile.export_chrome_trace(str(trace))
        logger.info("profiled steps %d to %d: %s, %s", self.first, self.last, table, trace)
