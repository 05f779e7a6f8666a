"""Figures of what a classifier gets right, what it gets wrong, and where it draws the line.

Figures of boundaries call a function ``predict(X) -> labels`` on a grid of points; nothing here trains anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifs_plotting import style
from aifs_plotting._arrays import Classes, as_labels
from aifs_plotting._matrix import draw_matrix
from aifs_plotting._regions import Predict, Scene, draw_lines, draw_regions, planes, small_multiples
from aifs_plotting._thresholds import Curve, curve_figure, mark_decisions, mean_area, one_against_rest
from aifs_utils.exceptions import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RESOLUTION = 100  # points of the grid in each direction
_MAX_SNAPSHOTS = 6
_AREA, _AP = "area under the curve", "average precision"
_EARLIER: dict[str, Any] = {
    "color": style.MUTED,
    "linewidth": 0.9,
    "linestyle": "-",
    "alpha": 0.55,
}


@style.context()
def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """Which classes are taken for which: counts, and shares of the true class.

    Right predictions are blue, wrong ones vermillion, stronger with the share of the true class, on a square-root
    scale, so that one mistake in fifty is still seen. Where numbers would not fit, a colour bar stands for them.

    Parameters
    ----------
    y_true, y_pred : array_like (n_samples,)
        True and predicted labels.
    class_names : sequence of str, optional
        Names of the labels 0, 1, …, or of the distinct labels in ascending order.
    title : str, optional
        Instead of the title that says the accuracy.
    provenance : Provenance, optional
        The footer.

    Returns
    -------
    matplotlib.figure.Figure
        True classes from the top down, predicted ones from left to right.

    Raises
    ------
    DataError
        When the arrays are empty, differ in length, or hold labels that the names do not cover.

    Examples
    --------
    >>> fig = confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], class_names=["no", "yes"])
    >>> fig.axes[0].get_xlabel(), fig.axes[0].get_ylabel()
    ('predicted class', 'true class (samples)')
    """
    true = as_labels(y_true, "y_true")
    predicted = as_labels(y_pred, "y_pred", len(true))
    classes = Classes.of(true, predicted, names=class_names)
    k = len(classes)
    counts = np.bincount(classes.index(true) * k + classes.index(predicted), minlength=k * k).reshape(k, k)
    height = float(np.clip(1.3 + (0.9 if k <= 3 else 0.42) * k, 3.2, 7.0))
    fig = style.new_figure(
        title or _accuracy(int(np.trace(counts)), len(true)),
        subtitle=_most_confused(counts, classes.names),
        height=height + 0.07 * max(len(style.shorten(name, 16)) for name in classes.names) * (k > 4),
        provenance=provenance,
    )
    draw_matrix(fig, counts, [style.shorten(name, 16) for name in classes.names])
    return fig


@style.context()
def roc_curve(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    y_pred: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """True-positive against false-positive rate, over all thresholds of the score [1]_.

    Parameters
    ----------
    y_true : array_like (n_samples,)
        True labels.
    scores : array_like (n_samples,) or (n_samples, n_classes)
        Higher means: rather the second class; or one column per class, drawn as one class against the rest.
    y_pred : array_like (n_samples,), optional
        Predicted labels. With two classes, a dot marks the rates of these decisions.
    class_names, title, provenance
        As in `confusion_matrix`.

    Returns
    -------
    matplotlib.figure.Figure
        The curves, and beside them their areas; with more than six classes only the worst four are coloured.

    Raises
    ------
    DataError
        When scores are not finite, do not fit the labels, or when no class has samples both in and outside of it.

    References
    ----------
    .. [1] Fawcett. "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006, pp. 861-874.

    Examples
    --------
    >>> fig = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fig.axes[0].get_xlabel()
    'false-positive rate (share of negatives)'
    """
    from sklearn.metrics import auc
    from sklearn.metrics import roc_curve as rates

    problems, notes = one_against_rest(y_true, scores, y_pred, class_names)
    curves = []
    for problem in problems:
        false_rate, true_rate, _ = rates(problem.is_positive, problem.score)
        curves.append(Curve(problem.k, problem.name, false_rate, true_rate, float(auc(false_rate, true_rate))))
    fig, axes = curve_figure(curves, title or f"ROC curve: {mean_area(curves, _AREA)}", _AREA, notes, provenance)
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    axes.text(0.56, 0.53, "guessing", color=style.MUTED, size=style.SMALL, va="top")
    axes.set_xlabel("false-positive rate (share of negatives)")
    axes.set_ylabel("true-positive rate (share of positives)")
    if len(problems) == 1 and (called := problems[0].is_called) is not None:
        positive = problems[0].is_positive
        mark_decisions(axes, float(called[~positive].mean()), float(called[positive].mean()))
    return fig


@style.context()
def precision_recall_curve(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    y_pred: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """Precision against recall, over all thresholds of the score [1]_.

    It says more than `roc_curve` where one class is rare: false positives are counted against what was found, not
    against the many negatives.

    Parameters
    ----------
    y_true, scores, y_pred, class_names, title, provenance
        As in `roc_curve`.

    Returns
    -------
    matplotlib.figure.Figure
        The curves, and beside them their average precision, coloured as in `roc_curve`.

    Raises
    ------
    DataError
        As in `roc_curve`.

    References
    ----------
    .. [1] Davis, Goadrich. "The relationship between precision-recall and ROC curves", ICML 2006, pp. 233-240.
    """
    from sklearn.metrics import average_precision_score
    from sklearn.metrics import precision_recall_curve as rates

    problems, notes = one_against_rest(y_true, scores, y_pred, class_names)
    curves = []
    for problem in problems:
        precision, recall, _ = rates(problem.is_positive, problem.score)
        area = float(average_precision_score(problem.is_positive, problem.score))
        curves.append(Curve(problem.k, problem.name, recall, precision, area, "steps-post"))
    fig, axes = curve_figure(curves, title or f"Precision and recall: {mean_area(curves, _AP)}", _AP, notes, provenance)
    axes.set_xlabel("recall (share of the positives found)")
    axes.set_ylabel("precision (share of right calls)")
    if len(problems) == 1:
        share = problems[0].is_positive.mean()
        axes.axhline(share, color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        y, va = (share + 0.02, "bottom") if share < 0.5 else (share - 0.02, "top")
        axes.text(0.02, y, "guessing", color=style.MUTED, size=style.SMALL, va=va)
        called = problems[0].is_called
        if called is not None and called.any():
            positive = problems[0].is_positive
            mark_decisions(axes, float(called[positive].mean()), float(positive[called].mean()))
    return fig


@style.context()
def decision_boundary(
    predict: Predict,
    X: ArrayLike,
    y: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
    resolution: int = _RESOLUTION,
) -> Figure:
    """The plane of two features by predicted class, with the samples; a ring marks each misclassified one.

    Of more than 2,000 samples a fixed random choice is drawn, and the footer says so; the accuracy is that of all.

    Parameters
    ----------
    predict : callable
        Takes float64 points (n, 2) and returns their labels (n,).
    X : array_like (n_samples, 2)
        The samples.
    y : array_like (n_samples,)
        Their true labels.
    class_names, title, provenance
        As in `confusion_matrix`.
    feature_names : sequence of two str, optional
        The names of the axes, with their units.
    resolution : int
        On a grid of how many points in each direction `predict` is asked; beside a boundary four times finer.

    Returns
    -------
    matplotlib.figure.Figure
        One axes.

    Raises
    ------
    DataError
        When X is not finite or has another number of features than 2, or labels do not fit.
    """
    scene = Scene.of([predict], X, y, class_names, feature_names, resolution)
    n_right = int(np.sum(scene.predictions[0] == scene.y))
    only = scene.only_class(0)
    fig = style.new_figure(
        title or _accuracy(n_right, len(scene.y)),
        subtitle="" if only is None else f"No boundary in view: all of it is called “{only}”",
        key=scene.key(misclassified=n_right < len(scene.y)),
        notes=scene.notes,
        provenance=provenance,
        height=4.2,
    )
    (axes,) = planes(fig, scene)
    draw_regions(axes, scene, 0)
    draw_lines(axes, scene, 0)
    scene.draw_samples(axes, 0)
    return fig


@style.context()
def decision_boundary_evolution(
    snapshots: Sequence[tuple[int, Predict]],
    X: ArrayLike,
    y: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
    resolution: int = 64,
) -> Figure:
    """How the boundary moves over the epochs: one panel per snapshot, with the earlier boundaries in grey.

    Parameters
    ----------
    snapshots : sequence of (epoch, predict)
        The model at several epochs, in their order. Of more than six, six are drawn: the first, the last and four
        between them.
    X, y, class_names, feature_names, title, provenance, resolution
        As in `decision_boundary`.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per snapshot, titled with its epoch and accuracy, and with the class where it calls all the same.

    Raises
    ------
    DataError
        As in `decision_boundary`, and when there are no snapshots.
    """
    from matplotlib.patches import PathPatch

    if not len(snapshots):
        raise DataError("expected at least one snapshot (epoch, predict), got none")
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, _MAX_SNAPSHOTS).round().astype(int))
    epochs = [snapshots[i][0] for i in chosen]
    scene = Scene.of([snapshots[i][1] for i in chosen], X, y, class_names, feature_names, resolution)
    accuracies = [style.share(scene.accuracy(i)) for i in range(len(epochs))]
    left_out = len(snapshots) - len(chosen)
    fig, all_axes, lines = small_multiples(
        scene,
        [f"epoch {epoch:,}: {accuracy}" for epoch, accuracy in zip(epochs, accuracies, strict=True)],
        title=title or _from_to(epochs, accuracies),
        notes=[f"{len(chosen)} of {len(snapshots)} snapshots drawn"] if left_out else [],
        key=[("earlier boundaries", _EARLIER)] if len(epochs) > 1 else [],
        provenance=provenance,
    )
    for i, axes in enumerate(all_axes):
        for line in itertools.chain.from_iterable(lines[:i]):
            axes.add_artist(PathPatch(line, fill=False, **_EARLIER))
    return fig


@style.context()
def compare_boundaries(
    models: Mapping[str, Predict],
    X: ArrayLike,
    y: ArrayLike,
    *,
    overlay: bool = False,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
    resolution: int = _RESOLUTION,
) -> Figure:
    """The boundaries of several models over the same samples, side by side or on one axes.

    Parameters
    ----------
    models : mapping of str to callable
        Predict functions by the model's name, as in `decision_boundary`.
    overlay : bool
        Draw the lines of all models over one set of samples, instead of a panel for each.
    X, y, class_names, feature_names, title, provenance, resolution
        As in `decision_boundary`.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per model, or one in all.

    Raises
    ------
    DataError
        As in `decision_boundary`, and when there are no models.
    """
    if not models:
        raise DataError("expected at least one model to compare, got none")
    scene = Scene.of(list(models.values()), X, y, class_names, feature_names, resolution)
    names = [f"{style.shorten(name, 24)}: {style.share(scene.accuracy(i))}" for i, name in enumerate(models)]
    if title is None:
        same = f"the same {len(scene.y):,} samples"
        title = f"Accuracy on {same}: {', '.join(names)}" if len(names) <= 3 else f"{len(names)} models on {same}"
    if not overlay:
        return small_multiples(scene, names, title=title, provenance=provenance)[0]

    looks = [_line_look(i, len(scene.classes)) for i in range(len(names))]
    key = [*scene.key(misclassified=False), *zip(names, looks, strict=True)]
    fig = style.new_figure(title, key=key, notes=scene.notes, provenance=provenance, height=4.4)
    (axes,) = planes(fig, scene)
    scene.draw_samples(axes)
    for i, look in enumerate(looks):
        draw_lines(axes, scene, i, **look)
    return fig


def _accuracy(n_right: int, n: int) -> str:
    """The title of a figure that shows every sample."""
    if n_right == n:
        return f"Accuracy 1.00: all {n:,} samples right" if n > 1 else "Accuracy 1.00: the one sample is right"
    return f"Accuracy {style.share(n_right / n)}: {n - n_right:,} of {n:,} samples misclassified"


def _from_to(epochs: Sequence[int], accuracies: Sequence[str]) -> str:
    last = f"{accuracies[-1]} in epoch {epochs[-1]:,}"
    return f"Accuracy from {accuracies[0]} in epoch {epochs[0]:,} to {last}" if len(epochs) > 1 else f"Accuracy {last}"


def _most_confused(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """The three commonest mistakes, where there are classes enough to search for them."""
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    if len(counts) <= 2 or not wrong.any():
        return ""
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [divmod(int(i), len(counts)) for i in order if wrong.flat[i]]
    parts = [f"{style.shorten(names[t])} taken for {style.shorten(names[p])} ({wrong[t, p]:,}×)" for t, p in pairs]
    return f"Most often: {', '.join(parts)}"


def _line_look(i: int, n_classes: int) -> dict[str, Any]:
    """The look of model `i`'s line: in colours that no class has, and in a dash of its own."""
    colours = (style.INK, *style.PALETTE[min(n_classes, 4) :])
    dashes: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
    return {"color": colours[i % len(colours)], "linestyle": dashes[i % len(dashes)], "linewidth": 2.0}
