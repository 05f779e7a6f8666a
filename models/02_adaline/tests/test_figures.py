"""The figures of a finished run."""

import numpy as np
import pytest

from adaline.config import get_config
from aifs_engine import History, RunResult


def finished(name, experiment, trainer, metrics, folder):
    """What the engine hands to the experiment's draw function."""
    snapshots = [item for callback in experiment.callbacks if hasattr(callback, "items") for item in callback.items()]
    return RunResult(
        model="adaline",
        experiment=name,
        config=get_config(name),
        learner=experiment.learner,
        history=trainer.history,
        test_metrics=metrics,
        data=experiment.data,
        snapshots=snapshots,
        figures_dir=folder,
        seed=0,
    )


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("outliers", ["learning_curves", "decision_boundary", "decision_boundary_evolution", "rules_compared"]),
        ("digits-0-1", ["learning_curves", "weights", "confusion_matrix", "roc_curve"]),
    ],
)
def test_figures_are_drawn(name, files, tmp_path, trained):
    experiment, trainer, metrics = trained(name, epochs=2)
    result = finished(name, experiment, trainer, metrics, tmp_path)
    drawn = {path.stem for path in experiment.draw(result)}
    assert drawn >= set(files)
    result.history = History()  # what evaluate has when the checkpoint holds none
    assert "learning_curves" not in {path.stem for path in experiment.draw(result)}


def playbook_inputs(monkeypatch, result, experiment):
    """Draw nothing; return what the playbook was given."""
    given = {}
    monkeypatch.setattr("aifs_plotting.generate_visualizations", lambda *_, **inputs: given.update(inputs) or [])
    experiment.draw(result)
    return given


def test_an_earlier_line_is_asked_as_it_was(monkeypatch, tmp_path, trained):
    experiment, *rest = trained("circles", epochs=2)
    given = playbook_inputs(monkeypatch, finished("circles", experiment, *rest, tmp_path), experiment)
    epochs, predicts = zip(*given["snapshots"], strict=True)
    assert epochs == (0, 1, 2)
    assert set(predicts[0](given["X"])) == {1}
    assert np.array_equal(predicts[-1](given["X"]), given["y_pred"])


@pytest.mark.parametrize(("name", "marked"), [("outliers", False), ("circles", True)])
def test_axes_say_whether_inputs_were_standardized(name, marked, monkeypatch, tmp_path, trained):
    experiment, *rest = trained(name, epochs=1)
    given = playbook_inputs(monkeypatch, finished(name, experiment, *rest, tmp_path), experiment)
    assert given["feature_names"] == (("x1, standardized", "x2, standardized") if marked else ("x1", "x2"))


def test_the_line_is_kept_only_where_it_can_be_drawn(trained):
    assert trained("digits-0-1", epochs=1)[0].callbacks == []
