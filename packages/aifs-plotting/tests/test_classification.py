"""Figures of right and wrong: counts, thresholds, boundaries."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aifs_plotting import (
    Provenance,
    compare_boundaries,
    confusion_matrix,
    decision_boundary,
    decision_boundary_evolution,
    precision_recall_curve,
    roc_curve,
    style,
)
from aifs_utils.exceptions import DataError

XOR, XOR_Y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
RNG = np.random.default_rng(0)
CLOUD, CLOUD_Y = RNG.normal(size=(200, 2)) + np.repeat([[0, 0], [2, 2]], 100, axis=0), np.repeat([0, 1], 100)
PROVENANCE = Provenance(model="perceptron", experiment="xor", data="xor (generated)", seed=0)


def line(a=1.0, b=1.0, c=0.5):
    """A predict function: 1 where a x1 + b x2 > c."""
    return lambda X: (a * X[:, 0] + b * X[:, 1] > c).astype(int)


SNAPSHOTS = [(epoch, line(c=0.2 * i)) for i, epoch in enumerate([0, 1, 2, 5, 10, 20, 50, 100])]
MODELS = {"perceptron": line(1, 0.4, 1.2), "ADALINE": line(1, 1, 2)}


def constant(label):
    return lambda X: np.full(len(X), label)


def marked(axes):
    """The places of the samples that are marked as misclassified, sorted."""
    marks = [m for m in axes.lines if m.get_markeredgecolor() == style.INK and m.get_marker() != "None"]
    return sorted(tuple(point) for mark in marks for point in mark.get_xydata().tolist())


def texts(axes):
    return [text.get_text() for text in axes.texts]


class TestConfusionMatrix:
    def test_counts_and_rates_are_in_their_cells(self, tidy, words):
        fig = confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], class_names=["no", "yes"], provenance=PROVENANCE)
        tidy(fig)
        cells = {tuple(text.get_position()): text.get_text() for text in fig.axes[0].texts}
        assert cells == {(0, 0): "2\n67%", (1, 0): "1\n33%", (1, 1): "1\n100%"}  # (predicted, true)
        assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["no (3)", "yes (1)"]
        assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == ["no", "yes"]
        assert "Accuracy 0.75: 1 of 4 samples misclassified" in words(fig)
        assert PROVENANCE.text in words(fig)

    def test_right_is_blue_and_wrong_is_vermillion(self):
        values = confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1]).axes[0].images[0].get_array()
        np.testing.assert_allclose(values.filled(0), [[0.5**0.5, -(0.5**0.5)], [0, 1]])
        assert values.mask.tolist() == [[False, False], [True, False]]

    def test_the_commonest_mistakes_are_named(self, words):
        fig = confusion_matrix([0, 1, 1, 1, 2], [0, 2, 2, 0, 2], class_names=["a", "b", "c"])
        assert "Most often: b taken for c (2×), b taken for a (1×)" in words(fig)

    def test_rates_are_not_rounded_to_all_or_nothing(self):
        fig = confusion_matrix([0] * 1000, [1] + [0] * 999)
        assert texts(fig.axes[0]) == ["999\n>99%", "1\n<1%"]

    @pytest.mark.parametrize("k", [1, 2, 5, 10, 15, 21, 40, 100])
    def test_any_number_of_classes_is_readable(self, k, tidy):
        y = np.arange(3 * k) % k
        fig = confusion_matrix(y, np.where(np.arange(3 * k) % 5 == 0, (y + 1) % k, y))
        tidy(fig)
        assert len(fig.axes) == (1 if len(texts(fig.axes[0])) else 2)  # numbers, or a colour bar

    def test_long_names_are_cut(self, tidy):
        tidy(
            confusion_matrix(
                np.arange(12), np.arange(12)[::-1], class_names=[f"a very long name of class {k}" for k in range(12)]
            )
        )

    def test_large_counts_fit(self, tidy):
        y = np.arange(1_000_000) % 10
        tidy(confusion_matrix(y, (y + (np.arange(1_000_000) % 7 == 0)) % 10))

    def test_classes_without_samples_have_rows(self, tidy):
        fig = confusion_matrix([0, 1], [0, 1], class_names=["a", "b", "c"])
        tidy(fig)
        assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["a (1)", "b (1)", "c (0)"]

    @pytest.mark.parametrize(
        ("labels", "names", "shown"),
        [
            ([-1, 1, 1], None, ["-1", "1"]),
            ([-1, 1, 1], ["no", "yes"], ["no", "yes"]),
            ([0.0, 1.0, 1.0], None, ["0", "1"]),
            (["ham", "spam", "spam"], None, ["ham", "spam"]),
            ([False, True, True], ["no", "yes"], ["no", "yes"]),
            (np.array(["b", "a", "a"], dtype=object), None, ["a", "b"]),
        ],
    )
    def test_labels_of_any_kind(self, labels, names, shown):
        fig = confusion_matrix(labels, labels, class_names=names)
        assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == shown

    @pytest.mark.parametrize(
        ("y_true", "y_pred", "names", "message"),
        [
            ([], [], None, "y_true must be a non-empty"),
            ([0, 1], [0], None, "y_pred must have one label for each of the 2 samples, got 1"),
            ([[0, 1]], [[0, 1]], None, "1-dimensional"),
            ([0.0, np.nan], [0, 1], None, "finite"),
            ([0, 1], ["a", "b"], None, "all numbers or all strings"),
            ([0, 5], [0, 1], ["a", "b"], "class_names has 2 names.*got 3: 0, 1, 5"),
            ([0, 1], [None, object()], None, "numbers or strings"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, y_true, y_pred, names, message):
        with pytest.raises(DataError, match=message):
            confusion_matrix(y_true, y_pred, class_names=names)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, 30), st.integers(1, 60), st.integers(0, 2**32 - 1))
    def test_the_cells_hold_every_sample(self, tidy, k, n, seed):
        rng = np.random.default_rng(seed)
        fig = confusion_matrix(rng.integers(0, k, n), rng.integers(0, k, n), class_names=[f"c{i}" for i in range(k)])
        tidy(fig)
        cells = texts(fig.axes[0])
        if cells:
            assert sum(int(cell.split("\n")[0]) for cell in cells) == n


class TestThresholdCurves:
    y = np.array([0, 0, 1, 1, 0, 1])
    scores = np.array([0.1, 0.6, 0.4, 0.9, 0.2, 0.7])

    def test_roc_is_that_of_its_definition(self, tidy, words):
        fig = roc_curve(self.y, self.scores, class_names=["benign", "malignant"], provenance=PROVENANCE)
        tidy(fig)
        pairs = [(p > n) + (p == n) / 2 for p in self.scores[self.y == 1] for n in self.scores[self.y == 0]]
        assert f"area under the curve {np.mean(pairs):.3f}" in words(fig)
        x, y = fig.axes[0].lines[0].get_data()
        assert [x[0], y[0], x[-1], y[-1]] == [0, 0, 1, 1]
        assert fig.axes[0].get_xlabel() == "false-positive rate (share of negatives)"
        assert fig.axes[0].get_ylabel() == "true-positive rate (share of positives)"
        assert "malignant  0.889" in words(fig)
        assert PROVENANCE.text in words(fig)

    def test_precision_and_recall_have_the_share_of_positives_as_base(self, tidy, words):
        fig = precision_recall_curve(self.y, self.scores)
        tidy(fig)
        assert fig.axes[0].get_xlabel() == "recall (share of the positives found)"
        assert fig.axes[0].get_ylabel() == "precision (share of right calls)"
        base = [line for line in fig.axes[0].lines if list(line.get_ydata()) == [0.5, 0.5]]
        assert len(base) == 1
        assert "average precision" in words(fig)

    @pytest.mark.parametrize("draw", [roc_curve, precision_recall_curve])
    def test_the_decisions_are_a_dot(self, draw, tidy, words):
        y_pred = (self.scores > 0.5).astype(int)
        fig = draw(self.y, self.scores, y_pred=y_pred)
        tidy(fig)
        assert "the model's decisions" in words(fig)
        dot = next(line for line in fig.axes[0].lines if line.get_marker() == "o")
        recall, false_rate, precision = 2 / 3, 1 / 3, 2 / 3
        expected = (false_rate, recall) if draw is roc_curve else (recall, precision)
        np.testing.assert_allclose(dot.get_xydata()[0], expected)

    @pytest.mark.parametrize("draw", [roc_curve, precision_recall_curve])
    def test_three_classes_have_a_colour_each(self, draw, tidy, words):
        y = np.arange(60) % 3
        scores = np.eye(3)[y] + np.random.default_rng(0).normal(size=(60, 3))
        fig = draw(y, scores, class_names=["setosa", "versicolor", "virginica"], y_pred=y)
        tidy(fig)
        assert "Each class against the rest" in words(fig)
        colours = {line.get_color() for line in fig.axes[0].lines}
        assert {style.class_colour(k) for k in range(3)} <= colours

    @pytest.mark.parametrize("draw", [roc_curve, precision_recall_curve])
    @pytest.mark.parametrize("k", [6, 7, 10, 100])
    def test_of_many_classes_the_worst_are_named(self, draw, k, tidy, words):
        y = np.arange(4 * k) % k
        fig = draw(y, np.eye(k)[y] * np.linspace(0.1, 3, k) + np.random.default_rng(0).normal(size=(4 * k, k)))
        tidy(fig)
        assert (f"{k - 4} others" in words(fig)) == (k > 6)

    def test_two_columns_are_one_problem(self):
        both = roc_curve(self.y, np.column_stack([-self.scores, self.scores])).axes[0].lines[0].get_xydata()
        np.testing.assert_array_equal(both, roc_curve(self.y, self.scores).axes[0].lines[0].get_xydata())

    @pytest.mark.parametrize("draw", [roc_curve, precision_recall_curve])
    def test_constant_scores_are_guessing(self, draw, tidy, words):
        fig = draw(self.y, np.ones(6), y_pred=np.zeros(6, dtype=int))
        tidy(fig)
        assert "0.50" in words(fig)

    def test_a_class_without_samples_is_left_out_and_said(self, words):
        y = np.array([0, 1, 0, 1])
        fig = roc_curve(y, np.eye(3)[y], class_names=["a", "b", "c"])
        assert "1 of 3 classes have no samples" in words(fig)
        assert "1 of 3 classes have no samples" in words(roc_curve(y, np.eye(3)[y]))

    @pytest.mark.parametrize(
        ("y", "scores", "names", "message"),
        [
            ([0, 0], [0.1, 0.2], ["a", "b"], "two classes or more, got only 'a'"),
            ([1, 1], [0.1, 0.2], None, "two classes or more, got only '1'"),
            ([0, 1], [0.1, np.nan], None, "scores must be finite, got 1 NaN"),
            ([0, 1], [0.1, np.inf], None, "scores must be finite"),
            ([0, 1], [0.1], None, "scores must have one row for each of the 2 samples, got 1"),
            ([0, 1, 2], [0.1, 0.2, 0.3], None, "class_names has 2 names|a column for each"),
            ([0, 1, 2], [0.1, 0.2, 0.3], ["a", "b", "c"], "a column for each of the 3 classes"),
            ([0, 1], ["a", "b"], None, "scores must be numbers"),
            ([0, 1], [[[1.0]]], None, "scores must be a non-empty"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, y, scores, names, message):
        for draw in (roc_curve, precision_recall_curve):
            with pytest.raises(DataError, match=message):
                draw(y, scores, class_names=names)


class TestDecisionBoundary:
    def test_four_points_are_large_with_room_around_and_the_wrong_one_is_ringed(self, tidy, words):
        fig = decision_boundary(line(), XOR, XOR_Y, feature_names=["left", "right"], provenance=PROVENANCE)
        tidy(fig)
        (axes,) = fig.axes
        assert marked(axes) == [(1, 1)]
        assert "Accuracy 0.75: 1 of 4 samples misclassified" in words(fig)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("left", "right")
        assert PROVENANCE.text in words(fig)
        samples = [m for m in axes.lines if m.get_markeredgecolor() == "white"]
        assert min(mark.get_markersize() for mark in samples) >= 14
        assert axes.get_xlim()[0] < -0.3
        assert axes.get_xlim()[1] > 1.3
        assert list(axes.get_xticks()) == [0, 1]

    def test_all_right_needs_no_ring(self, words):
        fig = decision_boundary(line(c=1.5), XOR, [0, 0, 0, 1])
        assert "Accuracy 1.00: all 4 samples right" in words(fig)
        assert "misclassified" not in words(fig)
        assert marked(fig.axes[0]) == []

    def test_the_line_is_where_the_model_has_it(self):
        fig = decision_boundary(line(1.0, 2.0, 0.7), CLOUD, CLOUD_Y)
        (lines,) = fig.axes[0].collections
        vertices = np.concatenate([path.vertices for path in lines.get_paths()])
        low, high = np.array(fig.axes[0].get_xlim())
        assert len(vertices) > 100
        assert np.abs(vertices @ [1.0, 2.0] - 0.7).max() < 0.01 * (high - low)

    def test_the_tint_is_that_of_the_predicted_class(self):
        image = decision_boundary(constant(1), XOR, XOR_Y).axes[0].images[0].get_array()
        assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [style.channels(style.tint(1))]

    def test_a_constant_prediction_is_said(self, tidy, words):
        fig = decision_boundary(constant(1), XOR, XOR_Y, class_names=["no", "yes"])
        tidy(fig)
        assert "No boundary in view: all of it is called “yes”" in words(fig)
        assert marked(fig.axes[0]) == [(0, 0), (1, 1)]

    def test_one_class_in_y(self, tidy):
        tidy(decision_boundary(line(), CLOUD, np.zeros(200, dtype=int)))

    def test_the_misclassified_of_a_cloud_are_marked(self, tidy):
        fig = decision_boundary(line(c=2.0), CLOUD, CLOUD_Y)
        tidy(fig)
        wrong = CLOUD[line(c=2.0)(CLOUD) != CLOUD_Y]
        np.testing.assert_allclose(marked(fig.axes[0]), sorted(map(tuple, wrong.tolist())))

    def test_large_data_is_down_sampled_and_says_so(self, words):
        X = np.random.default_rng(0).normal(size=(60_000, 2))
        fig = decision_boundary(line(c=0.0), X, (X[:, 0] > 0).astype(int), provenance=PROVENANCE)
        assert "2,000 of 60,000 samples drawn" in words(fig)
        assert "of 60,000 samples misclassified" in words(fig)
        drawn = sum(len(mark.get_xdata()) for mark in fig.axes[0].lines)
        assert drawn == 2000

    def test_a_hundred_classes_are_drawn(self, tidy, words):
        X = np.random.default_rng(0).normal(size=(300, 2))
        fig = decision_boundary(lambda X: np.floor(X[:, 0] * 20 + 1000).astype(int) % 100, X, np.arange(300) % 100)
        tidy(fig)
        assert "more" in words(fig)

    @pytest.mark.parametrize("labels", [(-1, 1), (0.0, 1.0), ("no", "yes"), (False, True)])
    def test_labels_of_any_kind(self, labels, words):
        y = np.array(labels)[XOR_Y]
        fig = decision_boundary(lambda X: np.array(labels)[line()(X)], XOR, y)
        assert "Accuracy 0.75" in words(fig)

    @pytest.mark.parametrize(
        "X",
        [
            [[5.0, 5.0], [5.0, 5.0]],
            [[1e16, 0.0], [1e16, 1.0]],
            [[0.0, 0.0], [1e-300, 1.0]],
            [[-1e90, 0.0], [1e90, 1.0]],
            [[0.0, 1.0], [0.001, 1.0], [100.0, 1.0]],
        ],
    )
    def test_odd_ranges_end_in_a_figure(self, X, tidy):
        tidy(decision_boundary(line(), X, np.arange(len(X)) % 2))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"X": [[0.0, np.nan]], "y": [0]}, "X must be finite, got 1 NaN"),
            ({"X": np.zeros((4, 3))}, "2 features, got 3"),
            ({"X": np.zeros((0, 2)), "y": []}, "non-empty"),
            ({"X": [0.0, 1.0]}, "2-dimensional"),
            ({"y": [0, 1]}, "y must have one label for each of the 4 samples, got 2"),
            ({"feature_names": ["a"]}, "feature_names must name the 2 features"),
            ({"predict": lambda X: X}, r"predict\(X\) must be a non-empty 1-dimensional"),
            ({"predict": lambda X: X[:3, 0]}, r"predict\(X\) must have one label"),
            ({"predict": lambda X: X[:, 0] * np.nan}, "finite"),
            ({"class_names": ["a", "b"], "predict": constant(7)}, "class_names has 2 names"),
            ({"resolution": 1}, "resolution must be at least 2"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, change, message):
        given = {"predict": line(), "X": XOR, "y": XOR_Y} | change
        with pytest.raises(DataError, match=message):
            decision_boundary(**given)

    def test_an_error_of_the_model_is_its_own(self):
        with pytest.raises(ZeroDivisionError):
            decision_boundary(lambda X: 1 / 0, XOR, XOR_Y)

    def test_the_model_is_asked_less_than_once_per_pixel(self):
        asked = []

        def predict(X):
            asked.append(len(X))
            return line()(X)

        decision_boundary(predict, XOR, XOR_Y)
        assert sum(asked) < 30_000

    @settings(max_examples=10, deadline=None)
    @given(
        hnp.arrays(float, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)),
        st.integers(0, 2**32 - 1),
    )
    def test_any_points_end_in_a_tidy_figure(self, tidy, X, seed):
        rng = np.random.default_rng(seed)
        y, (a, b, c) = rng.integers(0, 3, len(X)), rng.normal(size=3)
        fig = decision_boundary(line(a, b, c), X, y, resolution=20)
        tidy(fig)
        wrong = X[line(a, b, c)(X) != y]
        found = marked(fig.axes[0])
        assert set(found) == {tuple(point) for point in wrong.tolist()}


class TestEvolution:
    def test_there_is_a_panel_per_snapshot_with_the_same_axes(self, tidy, words):
        fig = decision_boundary_evolution(SNAPSHOTS[:3], XOR, XOR_Y, provenance=PROVENANCE)
        tidy(fig)
        assert [axes.get_title(loc="left") for axes in fig.axes] == ["epoch 0: 0.75", "epoch 1: 0.75", "epoch 2: 0.75"]
        assert len({axes.get_xlim() for axes in fig.axes}) == len({axes.get_ylim() for axes in fig.axes}) == 1
        assert [axes.get_xlabel() for axes in fig.axes] == ["x1"] * 3
        assert "Accuracy from 0.75 in epoch 0 to 0.75 in epoch 2" in words(fig)
        assert PROVENANCE.text in words(fig)

    def test_earlier_boundaries_are_drawn_again(self):
        fig = decision_boundary_evolution(SNAPSHOTS[:4], CLOUD, CLOUD_Y)
        assert [len(axes.patches) for axes in fig.axes] == [0, 1, 2, 3]

    def test_of_many_snapshots_the_first_the_last_and_four_between_are_drawn(self, tidy, words):
        fig = decision_boundary_evolution(SNAPSHOTS, CLOUD, CLOUD_Y)
        tidy(fig)
        titles = [axes.get_title(loc="left").split(":")[0] for axes in fig.axes]
        assert (titles[0], titles[-1], len(titles)) == ("epoch 0", "epoch 100", 6)
        assert "6 of 8 snapshots drawn" in words(fig)

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
    def test_any_number_of_panels_is_tidy(self, n, tidy, words):
        fig = decision_boundary_evolution(SNAPSHOTS[:n], CLOUD, CLOUD_Y, class_names=["a", "b"])
        tidy(fig)
        assert len(fig.axes) == n
        assert ("earlier boundaries" in words(fig)) == (n > 1)

    def test_a_panel_without_a_boundary_says_what_all_of_it_is(self, tidy):
        fig = decision_boundary_evolution([(0, constant(1)), (1, line())], XOR, XOR_Y, class_names=["no", "yes"])
        tidy(fig)
        assert [axes.get_title(loc="left") for axes in fig.axes] == ["epoch 0: 0.50, all “yes”", "epoch 1: 0.75"]

    @pytest.mark.parametrize("name", ["1", "above", "versicolor", "a class with a name that fills several panels"])
    @pytest.mark.parametrize("epoch", [0, 10, 100_000])
    def test_where_the_class_takes_much_room_its_name_is_cut_and_the_number_is_not(self, epoch, name, tidy):
        snapshots = [(epoch, constant(1)), *((epoch + i, line()) for i in range(1, 6))]
        fig = decision_boundary_evolution(snapshots, XOR, XOR_Y, class_names=["no", name])
        tidy(fig)
        title = fig.axes[0].get_title(loc="left")
        assert title.startswith(f"epoch {epoch:,}: 0.50")
        if (epoch, name) in {(0, "1"), (0, "above")}:
            assert title == f"epoch 0: 0.50, all “{name}”"
        if epoch < 100:
            assert re.search(r", all “.+”$", title)

    def test_no_snapshot_is_refused(self):
        with pytest.raises(DataError, match="at least one snapshot"):
            decision_boundary_evolution([], XOR, XOR_Y)


class TestCompareBoundaries:
    def test_side_by_side(self, tidy, words):
        fig = compare_boundaries(MODELS, CLOUD, CLOUD_Y, provenance=PROVENANCE)
        tidy(fig)
        accuracies = [np.mean(predict(CLOUD) == CLOUD_Y) for predict in MODELS.values()]
        titles = [axes.get_title(loc="left") for axes in fig.axes]
        assert titles == [f"{name}: {style.share(a)}" for name, a in zip(MODELS, accuracies, strict=True)]
        assert "on the same 200 samples" in words(fig)
        assert PROVENANCE.text in words(fig)

    def test_on_one_axes_each_line_has_a_look_of_its_own(self, tidy, words):
        fig = compare_boundaries(MODELS, CLOUD, CLOUD_Y, overlay=True)
        tidy(fig)
        (axes,) = fig.axes
        looks = [(str(c.get_edgecolor()), str(c.get_linestyle())) for c in axes.collections]
        assert len(set(looks)) == 2
        assert "perceptron: 0." in words(fig)
        assert "ADALINE: 0." in words(fig)

    @pytest.mark.parametrize("n", [1, 4, 5, 9])
    def test_any_number_of_models(self, n, tidy):
        models = {f"model {i}": line(c=i / 4) for i in range(n)}
        fig = compare_boundaries(models, XOR, XOR_Y)
        tidy(fig)
        assert len(fig.axes) == n
        tidy(compare_boundaries(models, XOR, XOR_Y, overlay=True))

    def test_no_model_is_refused(self):
        with pytest.raises(DataError, match="at least one model"):
            compare_boundaries({}, XOR, XOR_Y)
