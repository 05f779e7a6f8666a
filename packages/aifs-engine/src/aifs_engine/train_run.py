"""The ``train`` command, from parsed options to the closing summary."""

import json
import logging
import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from aifs_engine.callbacks import BestSoFar, Callback, Checkpointing
from aifs_engine.checkpoint import Checkpoint, CheckpointFolder, is_head
from aifs_engine.cli import EXIT_DONE, Build, say
from aifs_engine.experiment import Experiment
from aifs_engine.history import History
from aifs_engine.interrupts import Interrupted
from aifs_engine.launch import current_launch
from aifs_engine.progress import ProgressLines, format_row, progress
from aifs_engine.run import Run, config_dict, guarded, load_weights, make_trainer, measure
from aifs_engine.summary import describe_data, describe_verdict, judge, shown, table
from aifs_engine.tracking import LocalTracker, Tracker, Tracking, json_ready
from aifs_engine.trainer import Trainer
from aifs_utils.exceptions import CheckpointError, ConfigError, TrainingError
from aifs_utils.paths import RunPaths, find_runs, new_run

logger = logging.getLogger(__name__)


def run_train(model: str, config: Any, build: Build, arguments: Namespace) -> int:
    """Train, measure, judge and report; return the exit code (see `aifs_engine.cli.train_command`)."""
    run = _TrainRun(model, config, build, arguments)
    return guarded(run.execute, run)


class _TrainRun(Run):
    """``train``."""

    def execute(self) -> int:
        with self.connected():
            run, checkpoint, continues = self.processes.from_first(self._locate)
            with _locked(run) if self.processes.is_first else nullcontext():
                if self.processes.is_first:
                    _sweep(run)
                return self._train(run, checkpoint, continues)

    def _locate(self) -> tuple[RunPaths, Checkpoint | None, bool]:
        """The run to continue with its checkpoint, or a new one and what it begins from; and whether it continues."""
        stem = f"{self.model}-{self.experiment_name}-seed{self.config.seed}"
        begun, checkpoint = self._begun_by_launch(stem)
        if begun is not None and checkpoint is not None:
            return begun, checkpoint, True
        if self.arguments.resume and begun is None:
            found = self._find_run(stem)
            if found is not None:
                return *found, True
        begin = self.read_checkpoint(self.arguments.load_checkpoint) if self.arguments.load_checkpoint else None
        return begun or new_run(self.output_dir, stem), begin, False

    def _begun_by_launch(self, stem: str) -> tuple[RunPaths | None, Checkpoint | None]:
        """The run that this launch has begun and not finished: torchrun starts all processes anew when one fails."""
        launch = current_launch()
        if launch is None or not launch.run_id:
            return None, None
        for run in find_runs(self.output_dir, stem):
            record = _read_manifest(run)
            goes_on = (
                record.get("status") != "finished" or launch.restart > 0
            )  # where another process failed at its end
            if record.get("launch") == launch.run_id and goes_on:
                checkpoint = CheckpointFolder(run.checkpoints).newest()
                if checkpoint is None or not self._differences(checkpoint):
                    return run, checkpoint
        return None, None

    def _find_run(self, stem: str) -> tuple[RunPaths, Checkpoint] | None:
        """The newest run with these settings that was not finished; if all were, the newest of them."""
        finished, differs = None, ""
        for run in find_runs(self.output_dir, stem):
            checkpoint = CheckpointFolder(run.checkpoints).newest()
            if checkpoint is None:
                continue
            different = self._differences(checkpoint)
            if different:
                differs = differs or f" ({run.run_id} differs in {', '.join(different)})"
            elif not _is_finished(checkpoint):
                return run, checkpoint
            else:
                finished = finished or (run, checkpoint)
        if finished is None:
            say(f"nothing to resume for {stem}{differs}: starting from the beginning")
        return finished

    def _differences(self, checkpoint: Checkpoint) -> list[str]:
        """Settings in which a checkpoint's run was another; it may train for longer now, and claim something else."""
        ours, theirs = config_dict(self.config), checkpoint.header["config"]
        names = (ours.keys() | theirs.keys()) - {"epochs", "claim", "next_step"}
        return sorted(name for name in names if ours.get(name) != theirs.get(name))

    def _train(self, run: RunPaths, checkpoint: Checkpoint | None, continues: bool) -> int:
        self.before = _read_manifest(run)
        self.open_record(run, shlex.join(["train", *sys.argv[1:]]))
        self.manifest |= {"tags": self.arguments.tags, **self._kept()}
        self.write_manifest(run)  # already here: a process that is started anew finds the run by it
        experiment = self.prepare()
        self.manifest["data"] = json_ready(experiment.data)
        bar = progress() if self.processes.is_first else ProgressLines()
        tracking = Tracking([])
        callbacks: list[Callback] = [tracking, bar]
        if not self.arguments.no_save_checkpoint:
            names = ("model", "experiment", "config", "seed", "versions", "data", "device", "threads")
            header = {name: self.manifest[name] for name in names if name in self.manifest}
            callbacks.append(Checkpointing(run.checkpoints, header=header))
        trainer, best = make_trainer(experiment, self.config.epochs, callbacks)
        if checkpoint is not None:
            if is_head(checkpoint):
                checkpoint = self._whole(checkpoint, experiment)
            self._load(checkpoint, trainer, experiment, continues=continues)
        if self.processes.is_first:
            self.trackers = tracking.trackers = self._trackers(run, trainer.history)
        started, first_step = time.perf_counter(), trainer.step
        try:
            with closing(bar):
                trainer.train(experiment.train_loader, experiment.val_loader)
            self.manifest["training"] = {
                "seconds": round(time.perf_counter() - started, 3),
                "epochs": trainer.epoch,
                "steps": trainer.step,
                "steps_this_time": trainer.step - first_step,
                "stopped_early": trainer.stop_reason,
            }
            self._finish(run, experiment, trainer, best)
        except Interrupted:
            self._say_interrupted(trainer)
            raise
        return EXIT_DONE

    def _whole(self, head: Checkpoint, experiment: Experiment) -> Checkpoint:
        """A checkpoint in shards: of each process its part, or all of it where each has the whole model."""
        from aifs_engine.torch_sharded_checkpoint import consolidate_newest, load_newest

        folder, processes = head.path.parent, self.processes
        if not processes.is_sharded:
            return processes.from_first(lambda: consolidate_newest(folder))
        learner: Any = experiment.learner
        found = load_newest(folder, learner.mesh, group=processes.messages)
        if found is None:
            raise CheckpointError(f"no checkpoint in {folder} is whole: start a new run without --resume")
        state, header = found
        return Checkpoint(head.path, header, state)

    def _load(self, checkpoint: Checkpoint, trainer: Trainer, experiment: Experiment, *, continues: bool) -> None:
        """Go on from a checkpoint of this run, or begin with the weights of another."""
        self.check_fit(checkpoint, experiment)
        header = checkpoint.header
        if continues:
            if header["data"].get("digest") != experiment.data.get("digest"):
                raise CheckpointError(
                    f"{checkpoint.path} was trained on other data than this experiment gives now (another version of "
                    "NumPy or of the data set?): start a new run without --resume"
                )
            done = checkpoint.state["position"]["epoch"]
            if done > self.config.epochs:
                raise ConfigError(
                    f"this run has already trained {done} epochs: give --epochs as many or more, or start a new run "
                    "without --resume"
                )
            self._warn_of_other_arithmetic(header)
            trainer.load_state_dict(checkpoint.state)
            text = f"continuing {shown(checkpoint.path)} after epoch {trainer.epoch}, step {trainer.step}"
            text += " (nothing is left to train)" if trainer.stop_reason or trainer.epoch == trainer.epochs else ""
        else:
            self.warn_of_other_data(checkpoint, experiment)
            load_weights(trainer.learner, checkpoint.state["learner"])
            text = f"starting with the weights of {shown(checkpoint.path)} ({header.get('experiment')})"
        self.manifest["begun_from"] = {"path": str(checkpoint.path), "digest": header["digest"], "step": trainer.step}
        logger.info(text)
        say(text)

    def _warn_of_other_arithmetic(self, header: Mapping[str, Any]) -> None:
        """Say so if this session computes with something else than the one that wrote the checkpoint."""
        now = self.manifest
        pairs = {name: (header["versions"].get(name), now["versions"].get(name)) for name in ("numpy", "torch")}
        pairs |= {name: (header.get(name), now.get(name)) for name in ("device", "threads")}
        pairs["processes"] = (self.before.get("processes", 1), now["processes"])
        changed = [f"{name} {then} → {here}" for name, (then, here) in pairs.items() if then != here]
        if changed:
            logger.warning("the run goes on with %s: its end may differ in the last bits", ", ".join(changed))

    def _trackers(self, run: RunPaths, history: History) -> list[Tracker]:
        self.write_manifest(run)
        local = LocalTracker(run.metrics_file, history.rows)
        if self.arguments.no_wandb:
            return [local]
        from aifs_engine.wandb_mirror import WandbMirror

        try:
            mirror = WandbMirror(
                project=f"aifs-{self.model}",
                run_id=run.run_id,
                config={**self.manifest["config"], "data": self.manifest["data"]},
                tags=[self.experiment_name, *self.arguments.tags],
                folder=run.log_file.parent,
            )
        except ImportError:
            logger.info("wandb is not installed: the local record only")
            return [local]
        return [local, mirror]

    def _kept(self) -> dict[str, Any]:
        """What a continued run's manifest keeps of its first session."""
        first = self.before
        if not first:
            return {"sessions": [self.manifest["started"]]}
        kept = {"started": first["started"], "tags": self.arguments.tags or first.get("tags", [])}
        return kept | {"sessions": [*first.get("sessions", []), self.manifest["started"]]}

    def _finish(self, run: RunPaths, experiment: Experiment, trainer: Trainer, best: BestSoFar) -> None:
        """Measure the best weights, judge the claim, draw, write the record and print the summary."""
        test_metrics = measure(experiment, best)
        result = {**test_metrics, "best_epoch": best.best_epoch, best.metric: best.best_value}
        self.manifest["result"] = result
        row = trainer.history.rows[best.best_epoch - 1] if best.best_epoch else trainer.history.last
        self.manifest["claim"] = judge(self.config.claim, {**row, **test_metrics})
        figures = self.draw(experiment, trainer.history, test_metrics, run)
        saved = CheckpointFolder(run.checkpoints).best
        checkpoint = saved if saved.exists() and not self.arguments.no_save_checkpoint else None
        self.close_record("finished", checkpoint=checkpoint, figures=figures)
        logger.info("finished: %s; claim %s", result, self.manifest["claim"])
        say(self._summary(run, test_metrics, checkpoint, figures))

    def _say_interrupted(self, trainer: Trainer) -> None:
        if self.arguments.no_save_checkpoint:
            say(f"stopped after step {trainer.step}; nothing was saved (--no-save-checkpoint)")
            return
        again = self.command("train", *self._options(), "--resume")
        say(f"stopped after step {trainer.step} and saved; continue with\n  {again}")

    def _options(self) -> list[str]:
        """The options of this run that matter for its continuation."""
        given = ["--experiment", self.experiment_name]
        for name in ("epochs", "batch_size", "learning_rate", "seed"):
            if getattr(self.arguments, name) is not None:
                given += [f"--{name.replace('_', '-')}", str(getattr(self.arguments, name))]
        given += [f"--{flag}" for flag in ("no-wandb", "visualize") if getattr(self.arguments, flag.replace("-", "_"))]
        given += ["--tags", *self.arguments.tags] if self.arguments.tags else []
        for name in ("device", "strategy"):
            given += [f"--{name}", getattr(self.arguments, name)] if getattr(self.arguments, name) != "auto" else []
        return given + self.output_options()

    def _changed(self) -> str:
        """Options that make this another experiment than the one the claim is about."""
        names = ("epochs", "batch_size", "learning_rate", "load_checkpoint")
        return ", ".join(f"--{name.replace('_', '-')}" for name in names if getattr(self.arguments, name) is not None)

    def _trained(self) -> str:
        training = self.manifest["training"]
        before = training["steps"] - training["steps_this_time"]
        return (
            f"{training['epochs']} epochs, {training['steps']} steps"
            + (f", {before} of them before," if before else "")
            + f" in {training['seconds']:.2f} s"
            + self._computed_on()
            + (f" ({training['stopped_early']})" if training["stopped_early"] else "")
        )

    def _computed_on(self) -> str:
        """The device and the number of threads of a run with torch."""
        threads = self.manifest.get("threads")
        if threads is None:
            return ""
        device, size = self.manifest["device"], self.processes.size
        return (
            f" on {device}"
            + (f", {threads} thread{'s' if threads > 1 else ''}" if device == "cpu" else "")
            + (f" in each of {size} processes" if size > 1 else "")
        )

    def _summary(
        self, run: RunPaths, test_metrics: Mapping[str, float], checkpoint: Path | None, figures: Sequence[Path]
    ) -> str:
        lines = {
            "trained": self._trained(),
            "data": describe_data(self.manifest["data"]),
            "test": format_row({name.removeprefix("test_"): value for name, value in test_metrics.items()}),
            "claim": describe_verdict(self.config.claim, self.manifest["claim"], self._changed()),
            "record": shown(run.log_file.parent) + os.sep,
        }
        if checkpoint is not None:
            lines["checkpoint"] = shown(checkpoint)
        if figures:
            lines["figures"] = "\n".join(map(shown, figures))
        if checkpoint is not None:
            options = ["--checkpoint", shown(checkpoint), "--experiment", self.experiment_name, *self.output_options()]
            lines["evaluate"] = self.command("evaluate", *options)
        if self.config.next_step:
            lines["next"] = self.config.next_step
        return f"\n{self.model} · {self.experiment_name} · seed {self.config.seed}\n{table(lines)}"


def _is_finished(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint's run had come to its end."""
    position = checkpoint.state["position"]
    return bool(position["stop_reason"]) or position["epoch"] >= checkpoint.header["config"]["epochs"]


def _read_manifest(run: RunPaths) -> dict[str, Any]:
    """The record of a run; empty for a new one, and for one that was killed before it wrote any."""
    try:
        manifest: dict[str, Any] = json.loads(run.manifest_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest


def _sweep(run: RunPaths) -> None:
    """Remove the unfinished files that a killed process left in the run's folders."""
    for folder in (run.checkpoints, run.log_file.parent):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()


@contextmanager
def _locked(run: RunPaths) -> Iterator[None]:
    """Keep a second process off the same run; the system frees the lock, however a process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (run.log_file.parent / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"run {run.run_id} is being trained by another process") from error
        yield
