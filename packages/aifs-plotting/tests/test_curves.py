"""Curves over epochs, and over the learning rates of a range test."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aifs_plotting import learning_curves, learning_rate_curve, style
from aifs_utils.exceptions import DataError

LOSS = {"train_loss": [0.9, 0.4, 0.3], "val_loss": [1.0, 0.5, 0.6]}
FULL = LOSS | {"train_accuracy": [0.5, 0.8, 0.9], "val_accuracy": [0.5, 0.7, 0.8]}


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_loss_and_accuracy_have_a_panel_each(tidy):
    fig = learning_curves({"epoch": [1, 2, 3], "step": [4, 8, 12]} | FULL)
    tidy(fig)
    assert [axes.get_ylabel() for axes in fig.axes] == ["loss", "accuracy"]
    assert fig.axes[-1].get_xlabel() == "epoch"
    for axes, metric in zip(fig.axes, ("loss", "accuracy"), strict=True):
        drawn = lines(axes)
        np.testing.assert_array_equal(drawn["train"].get_ydata(), FULL[f"train_{metric}"])
        np.testing.assert_array_equal(drawn["validation"].get_ydata(), FULL[f"val_{metric}"])
        np.testing.assert_array_equal(drawn["train"].get_xdata(), [1, 2, 3])


def test_curves_are_labelled_where_they_end_and_there_is_no_legend():
    fig = learning_curves(FULL)
    assert [text.get_text() for text in fig.axes[1].texts] == ["train 0.90", "validation 0.80"]
    assert all(axes.get_legend() is None for axes in fig.axes)


def test_the_title_says_where_the_run_ended(words):
    assert "Validation accuracy 0.80 after 3 epochs" in words(learning_curves(FULL))
    assert "mine" in words(learning_curves(FULL, title="mine"))


def test_the_lowest_validation_loss_is_ringed(words):
    fig = learning_curves(FULL | {"epoch": [10, 20, 30]})
    assert "lowest validation loss: epoch 20" in words(fig)
    ring = fig.axes[0].lines[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (20, 0.5)


def test_a_constant_loss_has_no_lowest_epoch(words):
    assert "lowest" not in words(learning_curves({"val_loss": [1.0, 1.0]}))


def test_equal_curves_are_both_seen_and_their_labels_stay_apart(tidy):
    same = {"train_loss": [1, 1], "val_loss": [1, 1], "train_accuracy": [1.0, 1.0], "val_accuracy": [1.0, 1.0]}
    fig = learning_curves(same)
    tidy(fig)
    drawn = lines(fig.axes[0])
    assert drawn["train"].get_linestyle() != drawn["validation"].get_linestyle()


def test_missing_validation_is_not_drawn(tidy, words):
    fig = learning_curves({"train_loss": [1, 0.5], "train_accuracy": [0.5, 1.0]})
    tidy(fig)
    assert "validation" not in words(fig).lower()
    assert "Train accuracy 1.00 after 2 epochs" in words(fig)


def test_one_epoch_is_a_dot(tidy, words):
    fig = learning_curves({name: values[:1] for name, values in FULL.items()})
    tidy(fig)
    assert "after 1 epoch" in words(fig)
    assert lines(fig.axes[0])["train"].get_marker() == "o"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, None])
def test_what_is_not_finite_leaves_a_gap_a_cross_and_a_note(bad, tidy, words):
    fig = learning_curves({"train_loss": [1.0, 0.5, bad, bad], "val_loss": [1.0, 0.5, 0.4, 0.3]})
    tidy(fig)
    assert np.isnan(lines(fig.axes[0])["train"].get_ydata()).tolist() == [False, False, True, True]
    crosses = [line for line in fig.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in crosses] == [[3, 4]]
    assert "× train loss not finite in 2 epochs, the first is 3" in words(fig)
    assert "train not finite" in words(fig)


def test_a_value_between_two_gaps_is_seen():
    values = np.full(40, np.nan)
    values[[3, 20, 21]] = 1.0
    line = lines(learning_curves({"train_loss": values}).axes[0])["train"]
    assert line.get_markevery() == [3]


def test_a_loss_too_small_for_ticks_is_drawn(tidy):
    """Numbers just above 0 have no round numbers between them."""
    tidy(learning_curves({"train_loss": [2e-309]}))


def test_nothing_finite_is_said(tidy, words):
    fig = learning_curves({"train_loss": [np.nan, np.nan], "train_accuracy": [np.nan, np.nan]})
    tidy(fig)
    assert "Train accuracy not finite after 2 epochs" in words(fig)


def test_a_loss_over_decades_is_logarithmic(tidy):
    fig = learning_curves({"train_loss": [10.0, 1.0, 1e-7], "val_loss": [10.0, 1.0, 0.5]})
    tidy(fig)
    assert fig.axes[0].get_yscale() == "log"
    assert fig.axes[0].get_ylabel() == "loss (log scale)"


def test_a_loss_that_reaches_zero_is_not_logarithmic():
    assert learning_curves({"train_loss": [10.0, 1.0, 0.0]}).axes[0].get_yscale() == "linear"


def test_accuracy_is_drawn_from_zero_unless_it_is_high():
    assert learning_curves({"val_accuracy": [0.5, 0.5]}).axes[0].get_ylim() == (0, 1)
    low, high = learning_curves({"val_accuracy": [0.93, 0.97]}).axes[0].get_ylim()
    assert 0.8 <= low <= 0.9
    assert high == 1


def test_other_metrics_can_be_asked_for():
    fig = learning_curves({"train_f1_score": [0.1, 0.2], "train_loss": [1, 2]}, metrics=["f1_score"])
    assert [axes.get_ylabel() for axes in fig.axes] == ["f1 score"]


def test_ten_thousand_epochs_are_drawn(tidy):
    fig = learning_curves({"train_loss": np.random.default_rng(0).random(10_000)})
    assert len(tidy(fig)) < 200_000


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "nothing to draw.*got none"),
        ({"step": [1]}, "nothing to draw.*got step"),
        ({"train_loss": []}, "one value per epoch"),
        ({"train_loss": [[1.0]]}, "one value per epoch"),
        ({"train_loss": ["a"]}, "train_loss must be numbers"),
        ({"train_loss": [1, 2], "val_loss": [1]}, r"lengths \[1, 2\]"),
        ({"train_loss": [1, 2], "epoch": [1]}, r"lengths \[1, 2\]"),
        ({"train_loss": [1], "epoch": [np.nan]}, "epoch must be finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(history, message):
    with pytest.raises(DataError, match=message):
        learning_curves(history)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 20).flatmap(
        lambda n: st.dictionaries(
            st.sampled_from(list(FULL)), st.lists(st.floats(), min_size=n, max_size=n), min_size=1
        )
    )
)
def test_any_numbers_end_in_a_tidy_figure(tidy, history):
    fig = learning_curves(history)
    assert len(fig.axes) == len({name.split("_")[1] for name in history})
    tidy(fig)


def test_train_and_validation_have_the_same_colours_everywhere():
    for axes in learning_curves(FULL).axes:
        drawn = lines(axes)
        assert (drawn["train"].get_color(), drawn["validation"].get_color()) == (style.TRAIN, style.VALIDATION)


RATES = np.geomspace(1e-6, 1, 60)
LOSSES = np.concatenate([np.full(30, 2.3), np.linspace(2.3, 0.8, 22), np.geomspace(0.9, 1000, 8)])


def test_a_range_test_is_drawn_over_its_rates(tidy, words):
    """Dots are the steps, the line is what is left without their noise; the suggestion is ringed on it."""
    noisy = LOSSES + 0.05 * np.random.default_rng(0).standard_normal(60)
    fig = learning_rate_curve(RATES, noisy, smoothed=LOSSES, suggestion=RATES[45])
    tidy(fig)
    (axes,) = fig.axes
    steps, line, mark, ring = axes.lines
    assert axes.get_xscale() == "log"
    assert (steps.get_marker(), steps.get_linestyle(), line.get_linestyle()) == ("o", "None", "-")
    np.testing.assert_array_equal(steps.get_ydata(), noisy)
    np.testing.assert_array_equal(line.get_ydata(), LOSSES)
    assert mark.get_xdata() == [RATES[45]] * 2
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((RATES[45], LOSSES[45]))
    assert f"Loss falls fastest at the learning rate {RATES[45]:.1e}" in words(fig)
    assert "each step | smoothed" in words(fig)


def test_the_part_where_the_loss_explodes_is_cut_off_and_said(words):
    """A thousand at the end would leave a flat line of the rest."""
    fig = learning_rate_curve(RATES, LOSSES)
    low, high = fig.axes[0].get_ylim()
    assert low <= 0.8
    assert 2.3 < high < 10
    assert f"{(high < LOSSES).sum()} of 60 steps have a loss above the axis" in words(fig)
    assert "Loss by learning rate" in words(fig)
    assert "mine" in words(learning_rate_curve(RATES, LOSSES, title="mine"))


def test_losses_alone_are_a_line():
    """Without smoothed ones there is nothing to tell apart."""
    (line,) = learning_rate_curve(RATES, LOSSES).axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), LOSSES)


@pytest.mark.parametrize(
    ("rates", "losses", "message"),
    [
        ([], [], "rates must be a non-empty 1-dimensional array"),
        ([0.0, 1.0], [1, 1], "rates must be above 0 and grow"),
        ([1.0, 0.1], [1, 1], "rates must be above 0 and grow"),
        ([0.1, 1.0], [1, 1, 1], "2 rates and 3, 3 losses"),
        ([0.1, 1.0], [1, np.nan], "losses must be finite"),
    ],
)
def test_a_range_test_that_cannot_be_drawn_is_refused(rates, losses, message):
    """Before anything is drawn."""
    with pytest.raises(DataError, match=message):
        learning_rate_curve(rates, losses)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(1e-9, 1e-3), st.floats(1.01, 3), st.booleans()
)
@example(losses=[8.9e-302, 0.0], lowest=6.096916e-05, factor=1.5, marked=False)  # a wide label at the left edge
def test_any_range_test_ends_in_a_tidy_figure(tidy, losses, lowest, factor, marked):
    """One step, one decade, losses below 0."""
    rates = lowest * factor ** np.arange(len(losses))
    tidy(learning_rate_curve(rates, losses, smoothed=losses, suggestion=rates[len(rates) // 2] if marked else None))
