"""The figures of a finished run."""

from copy import deepcopy
from pathlib import Path


def draw(result, dataset) -> list[Path]:
    """Draw the foundational playbook on the test data; with two rules trained, both boundaries in one as well."""
    from aifs_plotting import Provenance, compare_boundaries, generate_visualizations, save_figure

    learner, X, y = result.learner, dataset.test.X, dataset.test.y
    names = {"model": result.model, "experiment": result.experiment, "seed": result.seed}
    shown = {
        "provenance": Provenance.from_data(result.data, **names),
        "class_names": dataset.class_names,
        "feature_names": dataset.feature_names,
    }
    files = generate_visualizations(
        "foundational",
        output_dir=result.figures_dir,
        history=result.history.columns() or None,
        X=X,
        y=y,
        y_pred=learner.predict(X),
        scores=learner.decision_function(X),
        predict=learner.predict,
        snapshots=[(epoch, _predictor(learner, state)) for epoch, state in result.snapshots],
        weights=learner.w[None],
        image_shape=dataset.info.image_shape,
        **shown,
    )
    if result.config.compare and dataset.n_features == 2:
        rules = {"ADALINE": learner.predict, "perceptron": learner.perceptron_predict}
        figure = compare_boundaries(rules, X, y, overlay=True, **shown)
        files.append(save_figure(figure, result.figures_dir / "rules_compared.png"))
    return files


def _predictor(learner, state):
    """The predict function that the learner had in an earlier state."""
    earlier = deepcopy(learner)
    earlier.load_state_dict(state)
    return earlier.predict
