"""What every run of a command has: options, a folder of its own, a record of how it went, and one way to fail.

Whatever goes wrong becomes one clear line on stderr with the right exit code, and the traceback goes to the log.
"""

import logging
import os
import shlex
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aifs_engine.callbacks import BestSoFar, Callback, Snapshots
from aifs_engine.checkpoint import Checkpoint, check_shapes, find_checkpoints, is_head, load_checkpoint
from aifs_engine.cli import EXIT_DIVERGED, EXIT_ERROR, Build, fail
from aifs_engine.distributed import ALONE, OtherProcessError, Processes, alone, chosen_strategy
from aifs_engine.evaluator import Evaluator
from aifs_engine.experiment import Experiment, RunResult
from aifs_engine.history import History
from aifs_engine.interrupts import Interrupted, raise_if_swallowed
from aifs_engine.launch import current_launch, local_device
from aifs_engine.learner import Learner, NonFiniteError
from aifs_engine.summary import shown
from aifs_engine.tracking import Tracker, installed_versions, json_ready, source_commit
from aifs_engine.trainer import Trainer
from aifs_utils.device import setup_device
from aifs_utils.exceptions import AIFromScratchError, CheckpointError, ConfigError
from aifs_utils.files import write_json
from aifs_utils.logs import close_logging, setup_logging
from aifs_utils.paths import RunPaths
from aifs_utils.seeds import set_random_seed

logger = logging.getLogger(__name__)


def framework_of(config: Any) -> str:
    """What an experiment computes with: "numpy", unless its config says "torch"."""
    framework: str = getattr(config, "framework", "numpy")
    return framework


def prepare(config: Any, build: Build, device: str = "cpu") -> Experiment:
    """Seed everything and build the experiment; with torch, on that device and on as many threads as suit it."""
    if framework_of(config) == "numpy":
        set_random_seed(config.seed)
        return build(config)
    from aifs_engine.torch_setup import set_threads

    set_random_seed(config.seed, torch=True)
    experiment = build(config, device)
    set_threads(getattr(experiment.learner, "model", None), experiment.threads)
    return experiment


def make_trainer(experiment: Experiment, epochs: int, callbacks: Sequence[Callback] = ()) -> tuple[Trainer, BestSoFar]:
    """The trainer of an experiment, and the callback among its own that keeps the best weights."""
    monitor = experiment.monitor
    if experiment.val_loader is None and monitor.startswith("val_"):
        monitor = "train_" + monitor.removeprefix("val_")
    best = BestSoFar(monitor, mode=experiment.monitor_mode)
    return Trainer(experiment.learner, epochs=epochs, callbacks=[best, *experiment.callbacks, *callbacks]), best


def measure(experiment: Experiment, best: BestSoFar) -> dict[str, float]:
    """Put the best weights into the learner and return its test metrics (empty without test data)."""
    if best.best_state is not None:
        load_weights(experiment.learner, best.best_state)
    if experiment.test_loader is None:
        return {}
    return Evaluator(experiment.learner).evaluate(experiment.test_loader, prefix="test_")


def load_weights(learner: Learner, state: dict[str, Any]) -> None:
    """Take over a checkpoint's weights, and no more of its state than the learner says belongs to them."""
    getattr(learner, "load_weights", learner.load_state_dict)(state)


@dataclass
class Run:
    """What training and evaluating share: options, a run's folder, and the record of how it went."""

    model: str
    config: Any
    build: Build
    arguments: Namespace
    paths: RunPaths | None = None
    processes: Processes = ALONE
    manifest: dict[str, Any] = field(default_factory=dict)
    trackers: list[Tracker] = field(default_factory=list)

    @property
    def experiment_name(self) -> str:
        name: str = self.arguments.experiment
        return name

    @property
    def project(self) -> Path | None:
        """The model's folder if it runs from a checkout, None if it is installed elsewhere."""
        file = getattr(sys.modules.get(self.build.__module__), "__file__", None)
        above = Path(file).resolve().parents if file else ()
        is_checkout = len(above) > 2 and above[1].name == "src" and (above[2] / "pyproject.toml").exists()
        return above[2] if is_checkout else None

    @property
    def log_file(self) -> Path | None:
        """The log of this process: each but the first has its own."""
        if self.paths is None:
            return None
        if self.processes.is_first:
            return self.paths.log_file
        return self.paths.log_file.with_stem(f"{self.paths.log_file.stem}-rank{self.processes.rank}")

    @property
    def output_dir(self) -> Path:
        given: Path | None = self.arguments.output_dir
        return given if given is not None else (self.project or Path.cwd()) / "outputs"

    def command(self, name: str, *options: str) -> str:
        """A command line to copy."""
        in_workspace = self.project is not None and (self.project.parents[1] / "uv.lock").exists()
        prefix = ["uv", "run", "--package", self.model] if in_workspace else []
        module, launch = getattr(sys.modules["__main__"], "__spec__", None), current_launch()
        if name == "train" and launch is not None and launch.size > 1 and module is not None:
            return shlex.join(
                [*prefix, "torchrun", f"--nproc-per-node={launch.local_size}", "-m", module.name, *options]
            )
        return shlex.join([*prefix, name, *options])

    def output_options(self) -> list[str]:
        return ["--output-dir", str(self.arguments.output_dir)] if self.arguments.output_dir is not None else []

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Within the block this run is one of all processes of the launch."""
        launch = current_launch()
        if launch is None or launch.size == 1:
            yield
            return
        if framework_of(self.config) != "torch":
            raise ConfigError(
                f"{self.experiment_name} of {self.model} computes with NumPy, in one process: start it without torchrun"
            )
        from aifs_engine.torch_processes import processes_of, stop_processes

        processes = self.processes = processes_of(launch)
        processes.on_stall = self._end_stalled
        is_done = False
        try:
            yield
            is_done = True
        finally:
            stop_processes(in_order=is_done)

    def _end_stalled(self, message: str) -> None:
        """End this process, from another thread than the one that waits."""
        self.close_record("failed", error=message)
        logger.info("the run failed: %s", message)
        fail(message)
        os._exit(EXIT_ERROR)

    def open_record(self, run: RunPaths, command: str) -> None:
        """Start the log and the manifest."""
        self.paths = run
        rank, says = self.processes.rank, None if self.processes.size == 1 else self.processes.may_say
        if rank == 0:
            setup_logging(run.log_file, console_filter=says)
        else:  # a warning of all is the first one's to say
            setup_logging(self.log_file, prefix=f"[rank {rank}] ", console_filter=says, hold=2.0)
        device = setup_device(self.arguments.device, framework=framework_of(self.config))
        self.manifest |= {
            "command": command,
            "run": run.run_id,
            "model": self.model,
            "experiment": self.experiment_name,
            "status": "running",
            "started": _now(),
            "seed": self.config.seed,
            "config": config_dict(self.config),
            "device": device,
            "commit": source_commit(self.project) if self.project else None,
            "versions": installed_versions(),
            "processes": self.processes.size,
            "launch": launch.run_id if (launch := current_launch()) is not None else "",
        }
        logger.info("%s on %s: run %s, device %s, config %s", command, self.model, run.run_id, device, self.config)

    def prepare(self) -> Experiment:
        """The run's experiment; what it computes on is written down."""
        device = self.manifest["device"]
        strategy = getattr(self.arguments, "strategy", "auto")
        with chosen_strategy(None if strategy == "auto" else strategy):
            experiment = prepare(self.config, self.build, local_device(device))
        if getattr(experiment.learner, "processes", ALONE).size != self.processes.size:
            raise ConfigError(f"the learner of {self.experiment_name} trains in one process: start it without torchrun")
        if framework_of(self.config) == "torch":
            from aifs_engine.torch_setup import get_threads, why_inexact

            self.manifest["threads"] = get_threads()
            if reason := why_inexact(device):
                logger.warning(reason)
        return experiment

    def write_manifest(self, run: RunPaths) -> None:
        """Replace the manifest on the disk."""
        if not self.processes.is_first:
            return
        write_json(run.manifest_file, json_ready(self.manifest))

    def close_record(
        self, status: str, *, checkpoint: Path | None = None, figures: Sequence[Path] = (), **extra: Any
    ) -> None:
        """Write how the run ended and tell the trackers; the first call counts."""
        if self.paths is None or self.manifest.get("status") != "running":
            return
        self.manifest |= {"status": status, "finished": _now(), "figures": [str(path) for path in figures], **extra}
        self.write_manifest(self.paths)
        for tracker in self.trackers:
            tracker.finish(self.manifest, checkpoint=checkpoint, figures=figures)

    def read_checkpoint(self, reference: str) -> Checkpoint:
        """Load the checkpoint that the user names: a file, or a wandb artifact."""
        from aifs_engine.wandb_mirror import ARTIFACT, download_checkpoint

        path = Path(reference)
        try:
            if not path.exists() and ARTIFACT.fullmatch(reference):
                path = download_checkpoint(reference, self.output_dir / "models" / reference.replace("/", "-"))
            checkpoint = load_checkpoint(path)
            if is_head(checkpoint):
                from aifs_engine.torch_sharded_checkpoint import consolidate

                checkpoint = consolidate(path.parent, name=path.name)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self._candidates()}") from error
        if checkpoint.header.get("model") != self.model:
            made_by = checkpoint.header.get("model") or "no model of this workspace"
            raise CheckpointError(f"{path} is a checkpoint of {made_by}, not of {self.model}; {self._candidates()}")
        return checkpoint

    def check_fit(self, checkpoint: Checkpoint, experiment: Experiment) -> None:
        """Raise CheckpointError unless the checkpoint's weights fit the experiment's learner."""
        try:
            fresh, saved = experiment.learner.state_dict(), checkpoint.state["learner"]
            if self.processes.is_sharded:
                from aifs_engine.torch_sharded_state import outline

                fresh, saved = outline(fresh), outline(saved)
            check_shapes(fresh, saved, checkpoint.path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self._candidates()}") from error

    def _candidates(self, most: int = 5) -> str:
        found = [shown(path) for path in find_checkpoints(self.output_dir / "models")[:most]]
        return (
            f"checkpoints there are: {', '.join(found)}" if found else f"there is none under {shown(self.output_dir)}"
        )

    def warn_of_other_data(self, checkpoint: Checkpoint, experiment: Experiment) -> None:
        """Say so if the weights saw another draw or split of this data set, and so perhaps this run's test samples."""
        ours, theirs = experiment.data, checkpoint.header.get("data", {})
        if ours.get("name") == theirs.get("name") and ours.get("digest") != theirs.get("digest"):
            logger.warning(
                "these weights were trained on another draw or split of %s (seed %s): they may have seen test samples",
                ours.get("name"),
                checkpoint.header.get("seed"),
            )

    def _of_one_process(self, learner: Any, snapshots: list[Any]) -> tuple[Any, list[Any]]:
        """A learner with the same weights that needs no other process, in the first one; and its states."""
        if self.processes.size == 1:
            return learner, snapshots
        if not self.processes.is_sharded:
            learner.work_alone()
            return learner, snapshots
        from aifs_engine.torch_sharded_state import full_state

        weights = full_state(learner.state_dict())
        snapshots = [(epoch, full_state(state)) for epoch, state in snapshots]
        if self.processes.is_first:
            with alone():
                learner = prepare(self.config, self.build, local_device(self.manifest["device"])).learner
            load_weights(learner, weights)
        return learner, snapshots

    def draw(
        self, experiment: Experiment, history: History, test_metrics: dict[str, float], run: RunPaths
    ) -> list[Path]:
        """Draw the figures, if they were asked for, and return their files."""
        if not self.arguments.visualize or experiment.draw is None:
            return []
        snapshots = [
            item for callback in experiment.callbacks if isinstance(callback, Snapshots) for item in callback.items()
        ]
        learner, snapshots = self._of_one_process(experiment.learner, snapshots)
        if not self.processes.is_first:
            return []
        result = RunResult(
            model=self.model,
            experiment=self.experiment_name,
            config=self.config,
            learner=learner,
            history=history,
            test_metrics=test_metrics,
            data=experiment.data,
            snapshots=snapshots,
            figures_dir=run.figures,
            seed=self.config.seed,
        )
        with alone():  # the others have left
            return list(experiment.draw(result))


def guarded(action: Callable[[], int], run: Run) -> int:
    """Run `action`; turn whatever goes wrong into one line on stderr and an exit code, the traceback into the log."""
    setup_logging()  # the console only, until the run has a folder for its log
    try:
        return action()
    except KeyboardInterrupt:
        run.close_record("interrupted")
        raise
    except OtherProcessError:
        return EXIT_ERROR
    except NonFiniteError as error:
        return _failed(run, "diverged", str(error), EXIT_DIVERGED)
    except AIFromScratchError as error:
        return _failed(run, "failed", str(error), EXIT_ERROR)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        remedy = "what was saved before is whole; make room or choose another --output-dir"
        return _failed(run, "failed", f"{error.strerror or error}{where}: {remedy}", EXIT_ERROR)
    except Exception as error:  # noqa: BLE001  # the one place where a run ends, whatever happened
        if run.processes.size > 1 and _is_lost_connection(error):
            return _left_alone(run)
        where = f"; the traceback is in {shown(run.log_file)}" if run.log_file else ""
        return _failed(run, "failed", f"unexpected {type(error).__name__}: {error}{where}", EXIT_ERROR)
    finally:
        close_logging()


def _left_alone(run: Run) -> int:
    """End this process because another one has gone: that one is to be named, so torchrun may end this one first."""
    try:
        time.sleep(3)
    except Interrupted as interrupt:
        run.close_record("failed", error="another process of the run has ended")
        return interrupt.exit_code
    return _failed(run, "failed", "the connection to another process of the run is lost", EXIT_ERROR)


def _is_lost_connection(error: Exception) -> bool:
    from aifs_engine.torch_processes import is_lost_connection

    return is_lost_connection(error)


def _failed(run: Run, status: str, message: str, exit_code: int) -> int:
    try:
        raise_if_swallowed()  # then the signal is why: an import that was cut short blames something else
    except Interrupted:
        run.close_record("interrupted")
        raise
    logger.info("the run failed", exc_info=True)
    if run.paths is None and not isinstance(sys.exc_info()[1], AIFromScratchError | OSError):
        traceback.print_exc()  # there is no log yet
    try:
        run.close_record(status, error=message)
    except (OSError, TypeError, ValueError) as error:  # the disk, or the manifest, may be what failed
        logger.info("the manifest could not be written: %s", error)
    return fail(message, exit_code)


def config_dict(config: Any) -> dict[str, Any]:
    """A config in JSON's types."""
    plain: dict[str, Any] = json_ready(asdict(config))
    return plain


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
