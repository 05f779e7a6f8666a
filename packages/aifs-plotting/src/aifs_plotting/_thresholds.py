"""Curves over the thresholds of a score, one class against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifs_plotting import style
from aifs_plotting._arrays import Classes, Floats, as_finite, as_labels
from aifs_utils.exceptions import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Problem:
    """One class against the rest."""

    k: int
    name: str
    is_positive: NDArray[np.bool_]  # (n,)
    score: Floats  # (n,)
    is_called: NDArray[np.bool_] | None  # (n,), what was predicted


@dataclass(frozen=True)
class Curve:
    """A line of the figure, and the area under it."""

    k: int
    name: str
    x: Floats
    y: Floats
    area: float
    drawstyle: str = "default"


def one_against_rest(
    y_true: ArrayLike, scores: ArrayLike, y_pred: ArrayLike | None, class_names: Sequence[str] | None
) -> tuple[list[Problem], list[str]]:
    """The problems whose class has samples in it and outside of it, and a note on the others."""
    true = as_labels(y_true, "y_true")
    columns = as_finite(scores, "scores", ndim=2 if np.ndim(scores) == 2 else 1)
    if len(columns) != len(true):
        raise DataError(f"scores must have one row for each of the {len(true)} samples, got {len(columns)}")
    columns = columns.reshape(len(true), -1)
    width = max(columns.shape[1], 2)
    if class_names is None and len(np.unique(true)) != width:
        class_names = [str(k) for k in range(width)]  # not every class occurs
    classes = Classes.of(true, names=class_names)
    if len(classes) != width:
        raise DataError(
            f"scores must have a column for each of the {len(classes)} classes, got shape {np.shape(scores)}"
        )
    predicted = None if y_pred is None else as_labels(y_pred, "y_pred", len(true))
    index = classes.index(true)
    problems = []
    for k in (1,) if width == 2 else range(width):
        is_positive = index == k
        called = None if predicted is None else np.asarray(predicted == classes.values[k])
        if 0 < is_positive.sum() < len(true):
            problems.append(Problem(k, classes.names[k], is_positive, columns[:, k if width > 2 else -1], called))
    if not problems:
        raise DataError(f"a curve needs samples of two classes or more, got only {classes.names[index[0]]!r}")
    left_out = width - len(problems) if width > 2 else 0
    return problems, [f"{left_out} of {width} classes have no samples"] if left_out else []


def mean_area(curves: Sequence[Curve], measure: str) -> str:
    """What the title says."""
    area = style.share(float(np.mean([curve.area for curve in curves])))
    return f"{measure} {area}" if len(curves) == 1 else f"mean {measure} {area}"


def curve_figure(
    curves: Sequence[Curve], title: str, measure: str, notes: Sequence[str], provenance: style.Provenance | None
) -> tuple[Figure, Axes]:
    """Square axes with the curves, and beside them their names and areas, the worst first."""
    subtitle = "Each class against the rest" if len(curves) > 1 else ""
    fig = style.new_figure(title, subtitle=subtitle, notes=notes, provenance=provenance, height=4.2)
    side = fig.get_size_inches()[1] * (fig.subplotpars.top - fig.subplotpars.bottom) - 0.62
    (axes,) = style.panels(fig, left=0.72, right=style.WIDTH - 0.72 - side, bottom=0.52, top=0.1)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))

    worst = sorted(curves, key=lambda curve: curve.area)
    coloured = worst if len(worst) <= 6 else worst[:4]
    rest = worst[len(coloured) :]
    for curve in rest:
        axes.plot(curve.x, curve.y, color=style.FAINT, linewidth=1.0, drawstyle=curve.drawstyle)
    entries = []
    for i, curve in enumerate(coloured):
        colour = style.PALETTE[i] if rest else style.class_colour(curve.k)
        axes.plot(curve.x, curve.y, color=colour, drawstyle=curve.drawstyle, zorder=3)
        entries.append((f"{style.shorten(curve.name)}  {style.share(curve.area)}", colour))
    if rest:
        entries.append((f"{len(rest)} others, {style.share(rest[0].area)} or more", style.FAINT))
    _list_beside(axes, measure, entries)
    return fig, axes


def _list_beside(axes: Axes, heading: str, entries: Sequence[tuple[str, str]]) -> None:
    width, height = style.size_of(axes)
    axes.text(1 + 0.2 / width, 1, heading, size=style.SMALL, color=style.MUTED, va="top", transform=axes.transAxes)
    for i, (text, colour) in enumerate(entries):
        y = 1 - (0.34 + 0.24 * i) / height
        xs = [1 + 0.2 / width, 1 + 0.45 / width]
        axes.plot(xs, [y, y], color=colour, transform=axes.transAxes, clip_on=False)
        axes.text(xs[1] + 0.1 / width, y, text, size=style.NORMAL, va="center_baseline", transform=axes.transAxes)


def mark_decisions(axes: Axes, x: float, y: float) -> None:
    """A dot where the model's own threshold lies."""
    width, height = style.size_of(axes)
    dot: dict[str, Any] = {"marker": "o", "markersize": 8.0, "color": style.INK, "linestyle": "none", "clip_on": False}
    axes.plot([x], [y], zorder=4, **dot)
    down = 1 - 0.75 / height
    axes.plot([1 + 0.325 / width], [down], transform=axes.transAxes, **dot)
    axes.text(1 + 0.55 / width, down, "the model's decisions", va="center_baseline", transform=axes.transAxes)
