"""Metrics over whole data sets: means in NumPy, everything subtler from scikit-learn (imported when it is used)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import ArrayLike, NDArray


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of samples whose label is predicted, in [0, 1]. Both arguments (n,)."""
    true, predicted = _same_shape(y_true, y_pred)
    return float(np.mean(true == predicted))


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of the squared differences. Both arguments of one shape."""
    true, predicted = _same_shape(y_true, y_pred)
    return float(np.mean(np.square(true - predicted)))


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of the absolute differences. Both arguments of one shape."""
    true, predicted = _same_shape(y_true, y_pred)
    return float(np.mean(np.abs(true - predicted)))


def precision(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Of the samples predicted positive, the share that is; the mean over the classes if there are more. 0 if none."""
    from sklearn.metrics import precision_score

    return float(precision_score(y_true, y_pred, average=_average(y_true, y_pred), zero_division=0))


def recall(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Of the positive samples, the share predicted so; the mean over the classes if there are more. 0 if none."""
    from sklearn.metrics import recall_score

    return float(recall_score(y_true, y_pred, average=_average(y_true, y_pred), zero_division=0))


def f1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Harmonic mean of precision and recall; the mean over the classes if there are more. 0 if both are."""
    from sklearn.metrics import f1_score

    return float(f1_score(y_true, y_pred, average=_average(y_true, y_pred), zero_division=0))


def roc_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a positive sample scores above a negative one; for several classes, each against the rest, their
    mean.

    Parameters
    ----------
    y_true
        Labels, (n,).
    scores
        (n,) for two classes, (n, n_classes) otherwise; any monotone scale.

    Returns
    -------
    float
        In [0, 1]; NaN where `y_true` holds a single class, for which it is not defined.
    """
    from sklearn.metrics import roc_auc_score

    true, score = np.asarray(y_true), np.asarray(scores)
    labels = np.unique(true)
    if len(labels) < 2:
        return float("nan")
    if score.ndim == 1:
        return float(roc_auc_score(true, score))
    return float(np.mean([roc_auc_score(true == label, score[:, label]) for label in labels]))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes): row = true class, column = predicted class."""
    from sklearn.metrics import confusion_matrix as count

    labels = None if n_classes is None else np.arange(n_classes)
    matrix: NDArray[np.int64] = count(y_true, y_pred, labels=labels)
    return matrix


def classification_report(
    y_true: ArrayLike, y_pred: ArrayLike, scores: ArrayLike | None = None, n_classes: int | None = None
) -> dict[str, Any]:
    """Accuracy, precision, recall, F1, ROC-AUC (if `scores` are given) and the confusion matrix, ready for JSON.

    With two classes, precision and recall are those of class 1. `n_classes` keeps the matrix's rows in place where a
    class does not occur.
    """
    report: dict[str, Any] = {
        "accuracy": accuracy(y_true, y_pred),
        "precision": precision(y_true, y_pred),
        "recall": recall(y_true, y_pred),
        "f1": f1(y_true, y_pred),
    }
    if scores is not None:
        report["roc_auc"] = roc_auc(y_true, scores)
    return report | {"confusion_matrix": confusion_matrix(y_true, y_pred, n_classes).tolist()}


def _same_shape(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.shape != predicted.shape or true.size == 0:
        raise ValueError(f"expected two arrays of one shape that are not empty, got {true.shape} and {predicted.shape}")
    return true, predicted


def _average(y_true: ArrayLike, y_pred: ArrayLike) -> str:
    """scikit-learn's name for the way to average: plain for the labels 0 and 1, over the classes otherwise."""
    return "binary" if set(np.unique(y_true)) | set(np.unique(y_pred)) <= {0, 1} else "macro"
