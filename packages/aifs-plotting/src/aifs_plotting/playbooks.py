"""Which figures explain a run, by kind of model: one call draws and saves them.

A playbook takes what a run can give, all of it optional, and yields the figures that this is enough for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aifs_plotting.style import Provenance, save_figure
from aifs_utils.exceptions import ConfigError, DataError
from aifs_utils.names import look_up

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Drawing = tuple[str, Callable[[], Figure]]

logger = getLogger(__name__)

_ENOUGH_FOR_A_CURVE = 20  # samples; fewer make a staircase, not a curve


def generate_visualizations(
    playbook: str, *, output_dir: str | os.PathLike[str], provenance: Provenance | None = None, **inputs: Any
) -> list[Path]:
    """Draw the figures of a playbook and save them as PNG.

    What is absent or None is not drawn. A figure whose data does not allow it is left out with a warning in the log,
    and the others are drawn: at the end of a long training one bad column must not cost all pictures.

    Parameters
    ----------
    playbook : str
        "foundational"; its inputs are those of `foundational`.
    output_dir : path-like
        The folder for the files; it is made if need be. Files of the same name are replaced.
    provenance : Provenance, optional
        The footer of every figure.
    **inputs
        What the run brought.

    Returns
    -------
    list of pathlib.Path
        The files, in the order in which to look at them.

    Raises
    ------
    ConfigError
        When the playbook or an input is unknown, or the folder is a file.

    Examples
    --------
    >>> files = generate_visualizations(
    ...     "foundational",
    ...     output_dir="figures",
    ...     provenance=Provenance(model="perceptron", experiment="and", data="and (generated)", seed=0),
    ...     history={"train_loss": [0.5, 0.0], "train_accuracy": [0.75, 1.0]},
    ...     y=[0, 0, 0, 1],
    ...     y_pred=[0, 0, 0, 1],
    ... )
    >>> [file.name for file in files]
    ['learning_curves.png', 'confusion_matrix.png']
    """
    draw = look_up(PLAYBOOKS, playbook, "playbook")
    known = draw.__kwdefaults__ or {}
    for name in inputs:
        look_up(known, name, f"input of the {playbook} playbook")
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output_dir must be a folder, got the file {str(folder)!r}")
    files = []
    for name, figure in draw(**inputs, provenance=provenance):
        try:
            files.append(save_figure(figure(), folder / f"{name}.png"))
        except DataError as error:
            logger.warning("%s is not drawn: %s", name, error)
    return files


def foundational(
    *,
    history: Mapping[str, Sequence[float]] | None = None,
    X: Any = None,
    y: Any = None,
    y_pred: Any = None,
    scores: Any = None,
    predict: Callable[[Any], Any] | None = None,
    snapshots: Sequence[tuple[int, Callable[[Any], Any]]] | None = None,
    weights: Any = None,
    image_shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    provenance: Provenance | None = None,
) -> Iterator[Drawing]:
    """Yield the figures for a single layer, each as its file's name and a function that draws it.

    Parameters
    ----------
    history : mapping of str to sequence of float, optional
        → learning_curves.
    X : array_like (n_samples, n_features), optional
        The samples that the figures are about, usually the test part.
    y, y_pred : array_like (n_samples,), optional
        True and predicted labels → confusion_matrix.
    scores : array_like (n_samples,) or (n_samples, n_classes), optional
        With `y`, of 20 samples or more → roc_curve and precision_recall_curve. Only these load scikit-learn.
    predict : callable, optional
        With `X` of two features and `y` → decision_boundary.
    snapshots : sequence of (epoch, predict), optional
        Likewise → decision_boundary_evolution.
    weights : array_like (n_outputs, n_pixels), optional
        With `image_shape`, (rows, columns) → weights.
    class_names, feature_names : sequence of str, optional
        How classes and features are called.
    provenance : Provenance, optional
        The footer.
    """
    from aifs_plotting import classification, curves, features

    common: dict[str, Any] = {"class_names": class_names, "provenance": provenance}
    if history is not None:
        yield "learning_curves", lambda: curves.learning_curves(history, provenance=provenance)
    if y is not None and y_pred is not None:
        yield "confusion_matrix", lambda: classification.confusion_matrix(y, y_pred, **common)
    if X is not None and y is not None and _n_features(X) == 2:
        plane = common | {"feature_names": feature_names}
        if predict is not None:
            yield "decision_boundary", lambda: classification.decision_boundary(predict, X, y, **plane)
        if snapshots:
            yield (
                "decision_boundary_evolution",
                lambda: classification.decision_boundary_evolution(snapshots, X, y, **plane),
            )
    if scores is not None and y is not None and len(y) >= _ENOUGH_FOR_A_CURVE:
        rated = common | {"y_pred": y_pred}
        yield "roc_curve", lambda: classification.roc_curve(y, scores, **rated)
        yield "precision_recall_curve", lambda: classification.precision_recall_curve(y, scores, **rated)
    if weights is not None and image_shape is not None:
        yield "weights", lambda: features.weights_as_images(weights, image_shape, **common)


PLAYBOOKS: Mapping[str, Callable[..., Iterator[Drawing]]] = {"foundational": foundational}


def _n_features(X: Any) -> int:
    import numpy as np

    shape = np.shape(X)
    return shape[1] if len(shape) == 2 else 0
