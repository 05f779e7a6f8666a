"""The figures of a finished run."""

from copy import deepcopy
from pathlib import Path


def draw(result, dataset) -> list[Path]:
    """Draw the foundational playbook on the test data."""
    from aifs_plotting import Provenance, generate_visualizations

    learner, X, y = result.learner, dataset.test.X, dataset.test.y
    weights, _ = learner.answering
    names = {"model": result.model, "experiment": result.experiment, "seed": result.seed}
    return generate_visualizations(
        "foundational",
        output_dir=result.figures_dir,
        provenance=Provenance.from_data(result.data, **names),
        history=result.history.columns() or None,
        X=X,
        y=y,
        y_pred=learner.predict(X),
        scores=learner.decision_function(X),
        predict=learner.predict,
        snapshots=[(epoch, _predictor(learner, state)) for epoch, state in result.snapshots],
        weights=weights,
        image_shape=dataset.info.image_shape,
        class_names=dataset.class_names,
        feature_names=dataset.feature_names,
    )


def _predictor(learner, state):
    """The predict function that the learner had in an earlier state."""
    earlier = deepcopy(learner)
    earlier.load_state_dict(state)
    return earlier.predict
