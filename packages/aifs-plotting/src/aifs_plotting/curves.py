"""Figures over the epochs of a training run, or over the steps of a learning-rate range test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifs_plotting import style
from aifs_plotting._arrays import HUGE, Floats, as_finite, as_floats
from aifs_utils.exceptions import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SERIES = {"train": ("train", style.TRAIN, "-"), "val": ("validation", style.VALIDATION, (0, (4, 1.2)))}
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "none",
    "markeredgecolor": style.INK,
    "markeredgewidth": 1.2,
    "linestyle": "none",
}
_STEP: dict[str, Any] = {"marker": "o", "markersize": 3, "color": style.FAINT, "linestyle": "none"}
_SMOOTHED: dict[str, Any] = {"color": style.TRAIN, "linestyle": "-"}


@dataclass(frozen=True)
class _Curve:
    label: str
    colour: str
    linestyle: Any
    values: Floats  # (n_epochs,), NaN where there is no finite value


@dataclass(frozen=True)
class _Scale:
    """The y axis of a panel."""

    low: float
    high: float
    ticks: list[float]
    is_log: bool = False

    @classmethod
    def of(cls, metric: str, values: Floats) -> _Scale:
        """Choose limits; an accuracy ends at 1, a loss over decades is logarithmic."""
        values = values[~np.isnan(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        if metric == "accuracy" and low >= 0 and high <= 1:
            low, high = (math.floor(low * 10 - 0.5) / 10 if low > 0.55 else 0.0), 1.0
        elif low > 0 and high >= 100 * low:
            low, high = low / 1.5, high * 1.5
            decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
            return cls(low, high, [10.0**decade for decade in decades[:: -(-len(decades) // 6)]], is_log=True)
        else:
            room = 0.08 * (high - low) or 0.5 * abs(high) or 1.0
            low, high = (0.0 if 0 <= low <= 0.5 * high else low - room), high + room
        return cls(low, high, style.ticks(low, high, 5))

    def apply(self, axes: Axes, metric: str) -> None:
        """Set limits, ticks and the label, which is written above the axis: there it has room."""
        if self.is_log:
            axes.set_yscale("log")
            axes.minorticks_off()
        axes.set_ylim(self.low, self.high)
        axes.set_yticks(self.ticks, style.tick_labels(self.ticks))
        axes.grid(axis="y")
        label = metric.replace("_", " ") + (" (log scale)" if self.is_log else "")
        axes.set_ylabel(label, rotation="horizontal", ha="left")
        axes.yaxis.set_label_coords(0, 1 + 0.06 / style.size_of(axes)[1])


@style.context()
def learning_curves(
    history: Mapping[str, Sequence[float]],
    *,
    metrics: Sequence[str] = ("loss", "accuracy"),
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """Loss and accuracy by epoch, on the training and the validation samples.

    Each curve is labelled where it ends, with its last value. Where a value is NaN or infinite the curve has a gap, and
    a cross marks the epoch. A loss that spans more than two decades is drawn on a logarithmic axis.

    Parameters
    ----------
    history : mapping of str to sequence of float
        Columns of one value per epoch: "train_loss", "val_loss", "train_accuracy", "val_accuracy", any of them missing;
        and "epoch", else epochs are counted from 1.
    metrics : sequence of str
        One panel for each of these that the history has.
    title : str, optional
        Instead of the title that says where the run ended.
    provenance : Provenance, optional
        The footer.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per metric, from the top down.

    Raises
    ------
    DataError
        When the history has none of the metrics, no epochs, or columns of different lengths.

    Examples
    --------
    >>> fig = learning_curves({"train_loss": [0.9, 0.4, 0.3], "val_loss": [1.0, 0.6, 0.5]})
    >>> [axes.get_ylabel() for axes in fig.axes]
    ['loss']
    """
    present = {metric: curves for metric in metrics if (curves := _curves(history, metric))}
    if not present:
        columns = ", ".join(history) or "none"
        raise DataError(f"nothing to draw: expected train_ or val_ columns of {', '.join(metrics)}; got {columns}")
    epochs = _epochs(history, present)

    lowest = _lowest(present)
    fig = style.new_figure(
        title or _title(epochs, present),
        height=1.2 + 1.5 * max(len(present), 2),
        provenance=provenance,
        notes=[note for metric, curves in present.items() for note in _gaps(epochs, metric, curves)],
        key=[(f"lowest validation loss: epoch {epochs[lowest]:g}", _RING)] if lowest is not None else [],
    )
    scales = [
        _Scale.of(metric, np.concatenate([curve.values for curve in curves])) for metric, curves in present.items()
    ]
    ends = [_end_label(metric, curve) for metric, curves in present.items() for curve in curves]
    left = 0.22 + _tick_width(fig, scales)
    right = 0.34 + max(style.text_width(fig, label) for label in ends)
    all_axes = style.panels(fig, len(present), left=left, right=right, top=0.26, between=(0.2, 0.32), sharex=True)
    _epoch_axis(all_axes[-1], epochs)
    for axes, scale, (metric, curves) in zip(all_axes, scales, present.items(), strict=True):
        scale.apply(axes, metric)
        _draw(axes, epochs, curves)
        _label_ends(axes, metric, curves)
        if metric == "loss" and lowest is not None:
            axes.plot(epochs[lowest], curves[-1].values[lowest], **_RING, clip_on=False)
    return fig


@style.context()
def learning_rate_curve(
    rates: ArrayLike,
    losses: ArrayLike,
    *,
    smoothed: ArrayLike | None = None,
    suggestion: float | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """The loss of a short training during which the learning rate grew: a range test.

    Where the loss has exploded it is cut off, so that the part where it falls can be read.

    Parameters
    ----------
    rates : array_like, shape (n,)
        The learning rate of each step, above 0 and growing.
    losses : array_like, shape (n,)
        The loss of each step.
    smoothed : array_like, shape (n,), optional
        The losses without their noise; drawn as a line, with the losses as dots.
    suggestion : float, optional
        A rate to mark.
    title : str, optional
        Instead of the title that names the suggestion.
    provenance : Provenance, optional
        The footer.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes.

    Raises
    ------
    DataError
        When the arrays are of different lengths, empty or not finite, or the rates are not positive and growing.

    References
    ----------
    Smith. "Cyclical Learning Rates for Training Neural Networks", WACV 2017, figure 3.

    Examples
    --------
    >>> fig = learning_rate_curve([0.001, 0.01, 0.1, 1.0], [2.3, 2.2, 0.9, 8.0], suggestion=0.1)
    >>> fig.axes[0].get_xlabel()
    'learning rate (log scale)'
    """
    x, y = _growing(rates), as_finite(losses, "losses", 1)
    line = y if smoothed is None else as_finite(smoothed, "smoothed", 1)
    if not len(x) == len(y) == len(line):
        raise DataError(f"there must be one loss for each rate, got {len(x)} rates and {len(y)}, {len(line)} losses")
    shown = np.concatenate([y, line])
    scale = _Scale.of("loss", shown[shown <= _before_explosion(line)])
    n_above = int((y > scale.high).sum())
    fig = style.new_figure(
        title or _range_title(suggestion),
        height=3.4,
        provenance=provenance,
        notes=[f"{n_above:,} of {len(y):,} steps have a loss above the axis"] if n_above else [],
        key=[] if smoothed is None else [("each step", _STEP), ("smoothed", _SMOOTHED)],
    )
    ticks = _rate_ticks(x)
    half = max(style.text_width(fig, label) for label in style.tick_labels(ticks)) / 2
    left = max(0.22 + _tick_width(fig, [scale]), half)
    (axes,) = style.panels(fig, left=left, right=max(0.3, half), top=0.26)
    scale.apply(axes, "loss")
    if smoothed is not None:
        axes.plot(x, y, **_STEP)
    axes.plot(x, line, **_SMOOTHED, marker="o" if len(x) == 1 else "")
    _rate_axis(axes, x, ticks)
    if suggestion is not None:
        at = float(np.interp(np.log(suggestion), np.log(x), line))
        axes.axvline(suggestion, color=style.INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.plot(suggestion, at, **_RING, clip_on=False)
    return fig


def _tick_width(fig: Figure, scales: Sequence[_Scale]) -> float:
    """The widest label of a tick, in inches; there is none between numbers that are nearly 0."""
    labels = [label for scale in scales for label in style.tick_labels(scale.ticks)]
    return max((style.text_width(fig, label) for label in labels), default=0.0)


def _growing(rates: ArrayLike) -> Floats:
    array = as_finite(rates, "rates", 1)
    if array[0] <= 0 or (np.diff(array) <= 0).any():
        raise DataError("rates must be above 0 and grow from step to step")
    return array


def _before_explosion(losses: Floats) -> float:
    """A loss that is worth drawing: as far above the first ones as the lowest is below, and a half more."""
    beginning = float(losses[: len(losses) // 10 + 1].mean())
    return beginning + 1.5 * (beginning - float(losses.min()))


def _range_title(suggestion: float | None) -> str:
    return (
        "Loss by learning rate" if suggestion is None else f"Loss falls fastest at the learning rate {suggestion:.1e}"
    )


def _rate_ticks(rates: Floats) -> list[float]:
    """The decades among the rates, nine or fewer; the lowest rate where there is none."""
    low, high = math.log10(float(rates[0])), math.log10(float(rates[-1]))
    decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    return [10.0**decade for decade in decades[:: -(-len(decades) // 9) or 1]] or [float(rates[0])]


def _rate_axis(axes: Axes, rates: Floats, ticks: list[float]) -> None:
    low, high = float(rates[0]), float(rates[-1])
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xlim(*((low, high) if high > low else (low / 3, high * 3)))
    axes.set_xticks(ticks, style.tick_labels(ticks))
    axes.set_xlabel("learning rate (log scale)")


def _curves(history: Mapping[str, Sequence[float]], metric: str) -> list[_Curve]:
    curves = []
    for part, look in _SERIES.items():
        name = f"{part}_{metric}"
        if name in history:
            values = as_floats(history[name], name)
            if values.ndim != 1 or not len(values):
                raise DataError(f"{name} must hold one value per epoch, got shape {values.shape}")
            curves.append(_Curve(*look, np.where(np.abs(values) < HUGE, values, np.nan)))
    return curves


def _epochs(history: Mapping[str, Sequence[float]], present: Mapping[str, Sequence[_Curve]]) -> Floats:
    lengths = {len(curve.values) for curves in present.values() for curve in curves}
    epochs = as_floats(history["epoch"], "epoch") if "epoch" in history else np.arange(1.0, max(lengths) + 1)
    lengths.add(len(epochs))
    if len(lengths) > 1:
        raise DataError(f"all columns must have one value per epoch, got lengths {sorted(lengths)}")
    if not np.isfinite(epochs).all():
        raise DataError("epoch must be finite, got NaN or infinite values")
    return epochs


def _title(epochs: Floats, present: Mapping[str, Sequence[_Curve]]) -> str:
    """Where the run ended, by the last curve of the last metric."""
    metric, curves = list(present.items())[-1]
    last = curves[-1].values[-1]
    return f"{curves[-1].label.capitalize()} {metric} {_value(metric, last)} after {_epochs_text(len(epochs))}"


def _value(metric: str, value: float) -> str:
    if not np.isfinite(value):
        return "not finite"
    return style.share(value) if metric == "accuracy" else style.number(value)


def _epochs_text(n: int) -> str:
    return "1 epoch" if n == 1 else f"{n:,} epochs"


def _lowest(present: Mapping[str, Sequence[_Curve]]) -> int | None:
    """The index of the epoch of the lowest validation loss, where there is something to choose from."""
    for curve in present.get("loss", ()):
        finite = curve.values[~np.isnan(curve.values)]
        if curve.label == "validation" and len(finite) and finite.min() < finite.max():
            return int(np.nanargmin(curve.values))
    return None


def _gaps(epochs: Floats, metric: str, curves: Sequence[_Curve]) -> list[str]:
    notes = []
    for curve in curves:
        missing = np.isnan(curve.values)
        if missing.any():
            times, first = _epochs_text(int(missing.sum())), epochs[np.argmax(missing)]
            notes.append(f"× {curve.label} {metric} not finite in {times}, the first is {first:g}")
    return notes


def _draw(axes: Axes, epochs: Floats, curves: Sequence[_Curve]) -> None:
    for curve in curves:
        missing = np.isnan(curve.values)
        line = {"color": curve.colour, "linestyle": curve.linestyle, "label": curve.label, "clip_on": False}
        axes.plot(epochs, curve.values, marker="o", markersize=4, markevery=_marked(missing), **line)
        if missing.any():
            low = np.full(missing.sum(), 0.06)
            axes.plot(epochs[missing], low, "x", color=curve.colour, transform=axes.get_xaxis_transform())


def _marked(missing: NDArray[np.bool_]) -> list[int]:
    """The epochs that get a dot: all of them in a short run, else those that no line touches."""
    if len(missing) <= 15:
        return list(range(len(missing)))
    gap = np.concatenate(([True], missing, [True]))
    return np.flatnonzero(gap[:-2] & ~missing & gap[2:]).tolist()


def _label_ends(axes: Axes, metric: str, curves: Sequence[_Curve]) -> None:
    """Write each curve's name and last value beside its end, moved apart where they would touch."""
    _, height = style.size_of(axes)
    ends = [_end(axes, curve) for curve in curves]
    apart = 0.18 / height
    if len(ends) == 2 and abs(ends[0] - ends[1]) < apart:
        middle, up = sum(ends) / 2, 0.5 if ends[0] >= ends[1] else -0.5
        middle = min(max(middle, apart / 2), 1 - apart / 2)
        ends = [middle + up * apart, middle - up * apart]
    for curve, y in zip(curves, ends, strict=True):
        colour = style.mix(curve.colour, style.INK, 0.25)
        axes.text(
            1.03, y, _end_label(metric, curve), color=colour, va="center", size=style.SMALL, transform=axes.transAxes
        )


def _end(axes: Axes, curve: _Curve) -> float:
    """The height of a curve's last finite value, as a share of the axes."""
    finite = curve.values[~np.isnan(curve.values)]
    if not len(finite):
        return 0.5
    return float(axes.transAxes.inverted().transform(axes.transData.transform((0.0, finite[-1])))[1])


def _end_label(metric: str, curve: _Curve) -> str:
    return f"{curve.label} {_value(metric, curve.values[-1])}"


def _epoch_axis(axes: Axes, epochs: Floats) -> None:
    low, high = float(epochs.min()), float(epochs.max())
    axes.set_xlim(*((low, high) if high > low else (low - 0.5, high + 0.5)))
    values = style.ticks(low, high, 7, integer=True) if high > low else [low]
    axes.set_xticks(values, style.tick_labels(values))
    axes.set_xlabel("epoch")
