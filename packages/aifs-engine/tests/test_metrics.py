import json
import math

import numpy as np
import pytest

from aifs_engine import metrics

TRUE = np.array([0, 0, 1, 1, 1])
PREDICTED = np.array([0, 1, 1, 1, 0])


def test_counts_by_hand():
    assert metrics.accuracy(TRUE, PREDICTED) == 3 / 5
    assert metrics.precision(TRUE, PREDICTED) == pytest.approx(2 / 3)
    assert metrics.recall(TRUE, PREDICTED) == pytest.approx(2 / 3)
    assert metrics.f1(TRUE, PREDICTED) == pytest.approx(2 / 3)
    assert metrics.confusion_matrix(TRUE, PREDICTED).tolist() == [[1, 1], [1, 2]]


def test_errors_by_hand():
    assert metrics.mean_squared_error([1.0, 2.0], [1.0, 4.0]) == 2.0
    assert metrics.mean_absolute_error([1.0, 2.0], [1.0, 4.0]) == 1.0


def test_roc_auc_is_the_share_of_pairs_in_the_right_order():
    scores = np.array([0.1, 0.6, 0.5, 0.9, 0.7])
    pairs = [(n, p) for n in scores[TRUE == 0] for p in scores[TRUE == 1]]
    assert metrics.roc_auc(TRUE, scores) == pytest.approx(np.mean([n < p for n, p in pairs]))


def test_roc_auc_of_a_single_class_is_not_a_number():
    assert math.isnan(metrics.roc_auc([1, 1], [0.2, 0.3]))
    assert math.isnan(metrics.roc_auc([2, 2], np.eye(3)[[2, 2]]))


def test_roc_auc_of_perfect_scores_of_several_classes_is_one():
    labels = np.array([0, 1, 2, 1])
    assert metrics.roc_auc(labels, np.eye(3)[labels]) == 1.0


def test_a_class_that_is_never_predicted_counts_as_zero_without_a_warning():
    assert metrics.precision([0, 1, 2], [0, 0, 0]) == pytest.approx(1 / 9)


def test_the_confusion_matrix_has_a_row_for_classes_that_do_not_occur():
    assert metrics.confusion_matrix([0, 1], [0, 1], n_classes=4).shape == (4, 4)


def test_the_report_is_ready_for_json():
    report = metrics.classification_report(TRUE, PREDICTED, np.linspace(0, 1, 5))
    assert set(json.loads(json.dumps(report))) == {
        "accuracy", "precision", "recall", "f1", "roc_auc", "confusion_matrix",
    }  # fmt: skip


@pytest.mark.parametrize(("y_true", "y_pred"), [([], []), ([0, 1], [0]), ([0], [[0]])])
def test_shapes_that_do_not_match_are_refused(y_true, y_pred):
    with pytest.raises(ValueError, match="two arrays of one shape"):
        metrics.accuracy(y_true, y_pred)
