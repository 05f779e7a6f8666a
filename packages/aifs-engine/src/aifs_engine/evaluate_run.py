"""The ``evaluate`` command, from parsed options to the closing summary."""

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from aifs_engine.checkpoint import Checkpoint, check_shapes
from aifs_engine.cli import EXIT_DONE, Build
from aifs_engine.evaluator import Evaluator
from aifs_engine.experiment import Experiment
from aifs_engine.history import History
from aifs_engine.progress import format_row
from aifs_engine.run import Run, guarded, prepare
from aifs_engine.summary import describe_data, describe_verdict, judge, matrix, shown, table
from aifs_utils.paths import RunPaths, new_run


def run_evaluate(model: str, config: Any, build: Build, arguments: Namespace, framework: str) -> int:
    """Measure a checkpoint on an experiment's test data; return the exit code."""
    run = _EvaluateRun(model, config, build, arguments, framework)
    return guarded(run.execute, run)


class _EvaluateRun(Run):
    """``evaluate``."""

    def execute(self) -> int:
        checkpoint = self.read_checkpoint(self.arguments.checkpoint)
        self.config = self._config_of(checkpoint)
        run = new_run(self.output_dir, f"{self.model}-{self.experiment_name}-evaluate")
        self.open_record(run, shlex.join(["evaluate", *sys.argv[1:]]))
        experiment = prepare(self.config, self.build, self.framework)
        check_shapes(experiment.learner.state_dict(), checkpoint.state["learner"], checkpoint.path)
        experiment.learner.load_state_dict(checkpoint.state["learner"])
        test_metrics = Evaluator(experiment.learner).evaluate(experiment.test_loader, prefix="test_")
        report = self._report(experiment)
        history = History(checkpoint.state.get("history", ()))
        claim = judge(self.config.claim, {**history.last, **test_metrics})
        figures = self.draw(experiment, history, test_metrics, run)
        self.close_record(
            "finished",
            figures=figures,
            data=dict(experiment.data),
            evaluated={"path": str(checkpoint.path), "digest": checkpoint.header["digest"]},
            result=test_metrics | report,
            claim=claim,
        )
        print(self._summary(run, checkpoint, test_metrics, report, figures))  # noqa: T201
        return EXIT_DONE

    def _config_of(self, checkpoint: Checkpoint) -> Any:
        """The experiment's config as the checkpoint's run had it, so that its test data are the same."""
        if checkpoint.header.get("experiment") != self.experiment_name:
            return self.config
        saved = checkpoint.header.get("config", {})
        names = {item.name for item in fields(self.config)} & {"epochs", "batch_size", "learning_rate", "seed"}
        return replace(self.config, **{name: saved[name] for name in names if name in saved})

    def _report(self, experiment: Experiment) -> dict[str, Any]:
        """Precision, recall, F1, ROC-AUC and confusion matrix, for learners that predict labels."""
        if not hasattr(experiment.learner, "predict"):
            return {}
        from aifs_engine.metrics import classification_report

        predictions = Evaluator(experiment.learner).predict(experiment.test_loader)
        return classification_report(predictions.targets, predictions.labels, predictions.scores)

    def _summary(
        self,
        run: RunPaths,
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
            lines["confusion"] = matrix(report["confusion_matrix"])
        lines["claim"] = describe_verdict(self.config.claim, self.manifest["claim"])
        lines["record"] = shown(run.log_file.parent) + os.sep
        if figures:
            lines["figures"] = "\n".join(map(shown, figures))
        return f"\n{self.model} · {self.experiment_name} · seed {self.config.seed}\n{table(lines)}"
