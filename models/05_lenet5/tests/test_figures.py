"""The figures of a finished run."""

import numpy as np
import pytest

from aifs_engine import Evaluator, History, RunResult
from lenet5.config import get_config
from lenet5.figures import filters, mistakes
from lenet5.model import C3_TABLE

ALWAYS = {"learning_curves", "confusion_matrix", "filters", "feature_maps"}


def finished(name, experiment, trainer, metrics, folder):
    """What the engine hands to the experiment's draw function."""
    return RunResult(
        model="lenet5",
        experiment=name,
        config=get_config(name),
        learner=experiment.learner,
        history=trainer.history,
        test_metrics=metrics,
        data=experiment.data,
        snapshots=[],
        figures_dir=folder,
        seed=0,
    )


@pytest.mark.parametrize(
    ("name", "changes", "more"),
    [
        ("debug", {}, set()),
        ("debug", {"output": "rbf"}, set()),
        ("shifted-digits", {}, set()),
        ("colour-digits", {}, {"colours"}),
    ],
)
def test_figures_are_drawn(name, changes, more, tmp_path, trained):
    experiment, *rest = trained(name, epochs=1, **changes)
    result = finished(name, experiment, *rest, tmp_path)
    assert {path.stem for path in experiment.draw(result)} == ALWAYS | {"mistakes"} | more
    assert all(path.stat().st_size > 10_000 for path in tmp_path.glob("*.png"))


def test_drawing_without_a_history_changes_no_weight_and_no_mode(tmp_path, trained):
    experiment, *rest = trained("debug", epochs=1)
    network = experiment.learner.model
    before = {key: value.clone() for key, value in network.state_dict().items()}
    result = finished("debug", experiment, *rest, tmp_path)
    result.history = History()  # what evaluate has when the checkpoint holds none
    assert "learning_curves" not in {path.stem for path in experiment.draw(result)}
    assert network.training
    assert all((before[key] == value).all() for key, value in network.state_dict().items())


def test_the_worst_mistake_comes_first(trained):
    experiment, *_ = trained("debug", epochs=1)
    predictions = Evaluator(experiment.learner).predict(experiment.test_loader)
    wrong = np.flatnonzero(predictions.labels != predictions.targets)
    true = predictions.scores[wrong, predictions.targets[wrong]]
    worst = wrong[(predictions.scores[wrong].max(axis=1) - true).argmax()]
    figure = mistakes(predictions, np.zeros((len(predictions.labels), 32, 32)), "0123456789", None)
    names = [text.get_text() for text in figure.axes[0].texts if "→" in text.get_text()]
    assert names[0] == f"{predictions.targets[worst]} → {predictions.labels[worst]}"
    assert len(names) == min(24, len(wrong))


def test_without_mistakes_there_is_no_figure_of_them(trained):
    experiment, *_ = trained("debug", epochs=1)
    predictions = Evaluator(experiment.learner).predict(experiment.test_loader)
    predictions.labels[:] = predictions.targets
    assert mistakes(predictions, np.zeros((len(predictions.labels), 32, 32)), "0123456789", None) is None


def test_kernels_that_table_i_leaves_out_are_blank(trained):
    experiment, *_ = trained("debug", epochs=1)
    images = [image.get_array() for image in filters(experiment.learner.model, None).axes[0].images]
    second = images[6:]
    assert len(second) == 6 * 16
    for k, kernel in enumerate(second):
        seen, output = divmod(k, 16)
        assert np.ma.getmaskarray(kernel).all() == (seen not in C3_TABLE[output])
