"""The figures of a finished run."""

import numpy as np
import pytest

from aifs_engine import History, RunResult
from aifs_engine.callbacks import Snapshots
from mlp.config import get_config


def finished(name, experiment, trainer, metrics, folder):
    """What the engine hands to the experiment's draw function."""
    snapshots = [
        item for callback in experiment.callbacks if isinstance(callback, Snapshots) for item in callback.items()
    ]
    return RunResult(
        model="mlp",
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


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("moons", {"learning_curves", "confusion_matrix", "decision_boundary", "decision_boundary_evolution"}),
        ("shifted-digits", {"learning_curves", "confusion_matrix", "hidden_units"}),
    ],
)
def test_figures_are_drawn(name, files, framework, tmp_path, trained):
    experiment, trainer, metrics = trained(name, epochs=2, framework=framework)
    result = finished(name, experiment, trainer, metrics, tmp_path)
    assert {path.stem for path in experiment.draw(result)} >= files
    result.history = History()  # what evaluate has when the checkpoint holds none
    assert "learning_curves" not in {path.stem for path in experiment.draw(result)}


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_an_earlier_boundary_is_asked_as_it_was(framework, monkeypatch, tmp_path, trained):
    given = {}
    monkeypatch.setattr("aifs_plotting.generate_visualizations", lambda *_, **inputs: given.update(inputs) or [])
    experiment, *rest = trained("moons", epochs=2, framework=framework)
    result = finished("moons", experiment, *rest, tmp_path)
    plane = np.random.default_rng(0).uniform(-2, 2, (100, 2))
    now = experiment.learner.predict(plane.astype(np.float32))
    experiment.draw(result)
    epochs, predicts = zip(*given["snapshots"], strict=True)
    assert epochs == (0, 1, 2)
    assert not np.array_equal(predicts[0](plane), now)
    assert np.array_equal(predicts[-1](plane), now)
    assert np.array_equal(given["predict"](plane), now), "drawing leaves the learner as it is"


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_hidden_units_drawn_are_those_of_the_first_layer(framework, monkeypatch, tmp_path, trained):
    drawn = []
    monkeypatch.setattr("aifs_plotting.generate_visualizations", lambda *_, **inputs: [])
    monkeypatch.setattr("aifs_plotting.weights_as_images", lambda weights, shape, **_: drawn.append((weights, shape)))
    monkeypatch.setattr("aifs_plotting.save_figure", lambda figure, path: path)
    experiment, *rest = trained("centred-digits", epochs=1, framework=framework)
    experiment.draw(finished("centred-digits", experiment, *rest, tmp_path))
    [(weights, shape)] = drawn
    assert (weights.shape, shape) == ((32, 144), (12, 12))
