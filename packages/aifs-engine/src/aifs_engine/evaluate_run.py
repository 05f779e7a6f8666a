"""The ``evaluate`` command, from parsed options to the closing summary."""

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aifs_engine.checkpoint import Checkpoint
from aifs_engine.cli import EXIT_DONE, Build, say
from aifs_engine.evaluator import Evaluator
from aifs_engine.experiment import Experiment
from aifs_engine.history import History
from aifs_engine.progress import format_row
from aifs_engine.run import Run, guarded, load_weights
from aifs_engine.summary import describe_data, describe_verdict, judge, matrix, shown, table
from aifs_engine.tracking import json_ready
from aifs_utils.paths import RunPaths, new_run


def run_evaluate(model: str, config: Any, build: Build, arguments: Namespace) -> int:
    """Measure a checkpoint on an experiment's test data; return the exit code."""
    run = _EvaluateRun(model, config, build, arguments)
    return guarded(run.execute, run)


class _EvaluateRun(Run):
    """``evaluate``."""

    def execute(self) -> int:
        with self.connected():
            checkpoint, run = self.processes.from_first(self._locate)
            return self._evaluate(checkpoint, run)

    def _locate(self) -> tuple[Checkpoint, RunPaths]:
        """What is evaluated, and where its record goes."""
        checkpoint = self.read_checkpoint(self.arguments.checkpoint)
        return checkpoint, new_run(self.output_dir, f"{self.model}-{self.experiment_name}-evaluate")

    def _evaluate(self, checkpoint: Checkpoint, run: RunPaths) -> int:
        self.config = self._config_of(checkpoint)
        self.open_record(run, shlex.join(["evaluate", *sys.argv[1:]]))
        experiment = self.prepare()
        self.check_fit(checkpoint, experiment)
        self.warn_of_other_data(checkpoint, experiment)
        load_weights(experiment.learner, checkpoint.state["learner"])
        test_metrics = Evaluator(experiment.learner).evaluate(experiment.test_loader, prefix="test_")
        report = self._report(experiment)
        history = History(checkpoint.state.get("history", ()))
        claim = judge(self.config.claim, {**history.last, **test_metrics})
        figures = self.draw(experiment, history, test_metrics, run)
        self.close_record(
            "finished",
            figures=figures,
            data=json_ready(experiment.data),
            evaluated={"path": str(checkpoint.path), "digest": checkpoint.header["digest"]},
            result=test_metrics | report,
            claim=claim,
        )
        say(self._summary(experiment, checkpoint, test_metrics, report, figures))
        return EXIT_DONE

    def _config_of(self, checkpoint: Checkpoint) -> Any:
        """The experiment's config with the checkpoint's seed, so that its test data are those that it never saw."""
        return replace(self.config, seed=checkpoint.header.get("seed", self.config.seed))

    def _changed(self, checkpoint: Checkpoint) -> str:
        """What makes these other weights than those that the claim is about."""
        if checkpoint.header.get("experiment") != self.experiment_name:
            return f"weights of {checkpoint.header.get('experiment')}"
        saved, names = checkpoint.header.get("config", {}), ("epochs", "batch_size", "learning_rate")
        return ", ".join(f"another {name}" for name in names if saved.get(name) != getattr(self.config, name))

    def _report(self, experiment: Experiment) -> dict[str, Any]:
        """Precision, recall, F1, ROC-AUC and confusion matrix, for learners that predict labels."""
        if not hasattr(experiment.learner, "predict"):
            return {}
        from aifs_engine.metrics import classification_report

        predictions = Evaluator(experiment.learner).predict(experiment.test_loader)
        n_classes = len(experiment.class_names) or None
        return classification_report(predictions.targets, predictions.labels, predictions.scores, n_classes)

    def _summary(
        self,
        experiment: Experiment,
        checkpoint: Checkpoint,
        test_metrics: Mapping[str, float],
        report: Mapping[str, Any],
        figures: Sequence[Path],
    ) -> str:
        lines = {
            "checkpoint": f"{shown(checkpoint.path)} (trained on {checkpoint.header.get('experiment')}, "
            f"epoch {checkpoint.header.get('epoch')})",
            "data": describe_data(self.manifest["data"]),
            "test": format_row({name.removeprefix("test_"): value for name, value in test_metrics.items()}),
        }
        if report:
            lines["report"] = format_row({k: v for k, v in report.items() if k not in ("accuracy", "confusion_matrix")})
            lines["confusion"] = matrix(report["confusion_matrix"], experiment.class_names)
        lines["claim"] = describe_verdict(self.config.claim, self.manifest["claim"], self._changed(checkpoint))
        if self.paths is not None:
            lines["record"] = shown(self.paths.log_file.parent) + os.sep
        if figures:
            lines["figures"] = "\n".join(map(shown, figures))
        return f"\n{self.model} · {self.experiment_name} · seed {self.config.seed}\n{table(lines)}"
