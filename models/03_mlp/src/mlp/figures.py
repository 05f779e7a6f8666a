"""The figures of a finished run."""

from copy import deepcopy
from pathlib import Path


def draw(result, dataset) -> list[Path]:
    """Draw the foundational playbook on the test data, and for images what the hidden units look for."""
    from aifs_plotting import Provenance, generate_visualizations, save_figure, weights_as_images

    learner, X, y = result.learner, dataset.test.X, dataset.test.y
    names = {"model": result.model, "experiment": result.experiment, "seed": result.seed}
    provenance = Provenance.from_data(result.data, **names)
    files = generate_visualizations(
        "foundational",
        output_dir=result.figures_dir,
        provenance=provenance,
        history=result.history.columns() or None,
        X=X,
        y=y,
        y_pred=learner.predict(X),
        scores=learner.decision_function(X),
        predict=_predictor(learner),
        snapshots=[(epoch, _predictor(_earlier(learner, state))) for epoch, state in result.snapshots],
        class_names=dataset.class_names,
        feature_names=dataset.feature_names,
    )
    if dataset.info.image_shape:
        weights = _first_weights(learner.state_dict())
        title = f"What {len(weights)} hidden units look for"
        figure = weights_as_images(weights, dataset.info.image_shape, title=title, provenance=provenance)
        files.append(save_figure(figure, result.figures_dir / "hidden_units.png"))
    return files


def _predictor(learner):
    """The learner's predict function for the points of a plane, whose numbers have another precision."""
    return lambda X: learner.predict(X.astype("float32"))


def _earlier(learner, state):
    """The learner as it was in an earlier state."""
    earlier = deepcopy(learner)
    earlier.load_weights(state)
    return earlier


def _first_weights(state):
    """The weights of the first hidden layer (n_units, n_features), whatever computed them."""
    return state["model"]["hidden.0.weight"] if "model" in state else state["parameters"][0]
