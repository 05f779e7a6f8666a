"""The plane of two features: which class a model calls each point of it, and the samples on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from aifs_plotting import style
from aifs_plotting._arrays import Array, Classes, Floats, Indices, as_finite, as_labels
from aifs_utils.exceptions import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

Predict = Callable[[Any], ArrayLike]

MAX_SAMPLES = 2000  # samples drawn in one panel
FINER = 4  # a boundary is searched for on a grid, and followed on one that is so much finer
MAX_NAMED = 12  # classes named in the key
_OVERHANG = 0.04  # inches that a panel's title may be wider than the panel; the gap between two is four times that


@dataclass(frozen=True)
class Scene:
    """Samples, and what each of several models says of them and of a grid around them."""

    X: Floats  # (n, 2)
    y: Indices  # (n,)
    classes: Classes
    predictions: Sequence[Indices]  # for each model (n,)
    grids: Sequence[Indices]  # for each model (resolution * FINER, resolution * FINER), rows from the bottom up
    feature_names: tuple[str, str]

    @classmethod
    def of(
        cls,
        predicts: Sequence[Predict],
        X: ArrayLike,
        y: ArrayLike,
        class_names: Sequence[str] | None,
        feature_names: Sequence[str] | None,
        resolution: int,
    ) -> Scene:
        """Check the samples and ask each model."""
        points = as_finite(X, "X", ndim=2)
        if points.shape[1] != 2:
            raise DataError(f"a decision boundary needs X with 2 features, got {points.shape[1]}")
        names = tuple(feature_names) if feature_names is not None else ("x1", "x2")
        if len(names) != 2:
            raise DataError(f"feature_names must name the 2 features of X, got {len(names)} names")
        targets = as_labels(y, "y", len(points))
        if resolution < 2:
            raise DataError(f"resolution must be at least 2, got {resolution}")
        predictions = [as_labels(predict(points), "predict(X)", len(points)) for predict in predicts]
        places, asked = zip(*[_ask(predict, _view(points), resolution) for predict in predicts], strict=True)
        classes = Classes.of(targets, *predictions, *asked, names=class_names)
        return cls(
            points,
            classes.index(targets),
            classes,
            [classes.index(labels) for labels in predictions],
            [classes.index(labels)[place] for place, labels in zip(places, asked, strict=True)],
            (str(names[0]), str(names[1])),
        )

    @cached_property
    def view(self) -> tuple[Floats, Floats]:
        """The lower left and the upper right corner of what is shown."""
        return _view(self.X)

    @cached_property
    def shown(self) -> Indices:
        """The samples that are drawn: all, or a fixed random choice of them."""
        n = len(self.X)
        if n <= MAX_SAMPLES:
            return np.arange(n)
        return np.sort(np.random.default_rng(0).choice(n, MAX_SAMPLES, replace=False))

    @property
    def notes(self) -> list[str]:
        """What the footer says about the samples."""
        n = len(self.X)
        return [f"{len(self.shown):,} of {n:,} samples drawn"] if len(self.shown) < n else []

    @property
    def marker_size(self) -> float:
        """In points: four samples are large, two thousand are small."""
        return float(np.clip(34 / len(self.shown) ** 0.32, 3.0, 15.0))

    def ticks(self, feature: int, n: int) -> list[float]:
        """About `n` ticks of a feature; few distinct values, as in a truth table, are the ticks."""
        low, high = (float(corner[feature]) for corner in self.view)
        distinct = np.unique(self.X[self.shown, feature])
        if len(distinct) <= 3 and np.diff(distinct).min(initial=np.inf) > 0.15 * (high - low):
            return [float(value) for value in distinct]
        return style.ticks(low, high, n)

    def accuracy(self, model: int) -> float:
        """The share of all samples that model number `model` calls right."""
        return float(np.mean(self.predictions[model] == self.y))

    def only_class(self, model: int) -> str | None:
        """The class that model number `model` calls the whole plane in view, where it is one."""
        first = int(self.grids[model][0, 0])
        return self.classes.names[first] if (self.grids[model] == first).all() else None

    def key(self, *, misclassified: bool = True) -> list[tuple[str, Mapping[str, Any]]]:
        """What the marks mean."""
        occurring = np.unique(np.concatenate([self.y, *(grid.ravel() for grid in self.grids)]))
        key: list[tuple[str, Mapping[str, Any]]] = [
            (style.shorten(self.classes.names[k], 24), _look(k) | {"markersize": 7.0}) for k in occurring[:MAX_NAMED]
        ]
        if len(occurring) > MAX_NAMED:
            key.append((f"and {len(occurring) - MAX_NAMED} more", {}))
        if misclassified:
            key.append(("misclassified", self._wrong_look | {"markersize": 10.0 if self._is_ringed else 7.0}))
        return key

    @property
    def _is_ringed(self) -> bool:
        """Whether a ring marks what is misclassified; rings around many samples would hide them."""
        return len(self.shown) <= 60

    @property
    def _wrong_look(self) -> dict[str, Any]:
        face = "none" if self._is_ringed else style.FAINT
        edge = {"markeredgecolor": style.INK, "markeredgewidth": 1.4 if self._is_ringed else 1.1}
        return {"marker": "o", "markerfacecolor": face, "linestyle": "none"} | edge

    def draw_samples(self, axes: Axes, model: int | None = None, scale: float = 1.0) -> None:
        """Draw the samples by class, and mark those that the model calls wrong."""
        X, y = self.X[self.shown], self.y[self.shown]
        size = self.marker_size * scale
        wrong = np.zeros(len(y), dtype=bool) if model is None else self.predictions[model][self.shown] != y
        edge = {} if self._is_ringed else {"markeredgecolor": style.INK, "markeredgewidth": 0.9}
        for k in np.unique(y):
            axes.plot(*X[(y == k) & ~wrong].T, **_look(k), markersize=size, alpha=1.0 if self._is_ringed else 0.75)
        for k in np.unique(y[wrong]):
            axes.plot(*X[(y == k) & wrong].T, **(_look(k) | edge), markersize=size * (1 if self._is_ringed else 1.15))
        if self._is_ringed:
            axes.plot(*X[wrong].T, **self._wrong_look, markersize=size * 1.5 + 2)


def draw_regions(axes: Axes, scene: Scene, model: int) -> None:
    """Tint the plane by predicted class."""
    grid = scene.grids[model]
    tints = np.array([style.channels(style.tint(k)) for k in range(len(scene.classes))], dtype=np.uint8)
    (left, bottom), (right, top) = scene.view
    axes.imshow(tints[grid], extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="nearest")


def draw_lines(
    axes: Axes, scene: Scene, model: int, *, color: str = style.INK, linewidth: float = 1.6, linestyle: Any = "-"
) -> list[Path]:
    """Draw the lines between the classes, and return them; between very many classes there are none."""
    grid = scene.grids[model]
    low, high = scene.view
    middles = np.arange(1, len(grid)) / len(grid)
    across, up = (low[i] + (high[i] - low[i]) * middles for i in (0, 1))
    look: dict[str, Any] = {"levels": [0.5], "colors": [color], "linewidths": [linewidth], "linestyles": [linestyle]}
    called = np.unique(grid)
    lines: list[Path] = []
    for k in called[1:] if len(called) <= MAX_NAMED else ():
        inside = (grid == k).astype(np.float32)
        # The mean of four neighbours turns the grid's stairs into a line.
        smooth = (inside[1:, 1:] + inside[:-1, 1:] + inside[1:, :-1] + inside[:-1, :-1]) / 4
        lines += axes.contour(across, up, smooth, **look).get_paths()
    return lines


def small_multiples(
    scene: Scene,
    titles: Sequence[str],
    *,
    title: str,
    provenance: style.Provenance | None,
    notes: Sequence[str] = (),
    key: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> tuple[Figure, list[Axes], list[list[Path]]]:
    """One panel per model of the scene, at most three in a row, all with the same axes; and each model's boundary."""
    n = len(titles)
    columns = min(n, 3) if n != 4 else 2
    rows = -(-n // columns)
    wrong = any((predicted != scene.y).any() for predicted in scene.predictions)
    fig = style.new_figure(
        title,
        key=[*scene.key(misclassified=wrong), *key],
        notes=[*scene.notes, *notes],
        provenance=provenance,
        height=1.3 + rows * (2.5 if columns < 3 else 1.85),
    )
    all_axes = planes(fig, scene, rows, columns, top=0.3)
    width, _ = style.size_of(all_axes[0])
    lines = []
    for i, axes in enumerate(all_axes[:n]):
        draw_regions(axes, scene, i)
        lines.append(draw_lines(axes, scene, i))
        scene.draw_samples(axes, i, scale=0.7)
        axes.set_title(_panel_title(fig, titles[i], scene.only_class(i), width + _OVERHANG))
        if i + columns >= n:  # the lowest of its column
            axes.set_xlabel(all_axes[-1].get_xlabel())
            axes.tick_params(labelbottom=True)
    for axes in all_axes[n:]:
        axes.remove()
    return fig, all_axes[:n], lines


def _panel_title(fig: Figure, title: str, only: str | None, width: float) -> str:
    """The title and the class that the whole panel is called: too long, its name is cut or left out, never a number."""
    if only is not None:
        for length in (24, *range(16, 1, -1)):
            noted = f"{title}, all “{style.shorten(only, length)}”"
            if style.text_width(fig, noted, style.NORMAL) <= width:
                return noted
    return style.fit(fig, title, width, style.NORMAL)


def planes(fig: Figure, scene: Scene, rows: int = 1, columns: int = 1, *, top: float = 0.08) -> list[Axes]:
    """Axes with limits, ticks and names of the scene's plane, all alike."""
    (left, bottom), (right, upper) = scene.view
    up = scene.ticks(1, 5)
    margin = 0.45 + max(style.text_width(fig, label) for label in style.tick_labels(up))
    between = (0.16, 0.36)
    all_axes = style.panels(fig, rows, columns, left=margin, top=top, between=between, sharex=True, sharey=True)
    width, height = style.size_of(all_axes[0])
    for n in (5, 4, 3, 2):
        across = scene.ticks(0, n)
        if sum(style.text_width(fig, label) + 0.12 for label in style.tick_labels(across)) < width:
            break
    axes = all_axes[0]
    axes.set(xlim=(left, right), ylim=(bottom, upper))
    axes.set_xticks(across, style.tick_labels(across))
    axes.set_yticks(up, style.tick_labels(up))
    for i, axes in enumerate(all_axes):
        if i % columns == 0:
            axes.set_ylabel(style.fit(fig, scene.feature_names[1], height, style.NORMAL))
        if i // columns == rows - 1:
            axes.set_xlabel(style.fit(fig, scene.feature_names[0], width, style.NORMAL))
    return all_axes


def _look(k: int) -> dict[str, Any]:
    return {
        "marker": style.class_marker(k),
        "color": style.class_colour(k),
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "linestyle": "none",
    }


def _view(X: Array) -> tuple[Floats, Floats]:
    low, high = X.min(axis=0), X.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    # One value only, or values too close for floating point to tell the grid's points apart.
    span = np.where(high - low > 1e-9 * size + 1e-100, high - low, np.maximum(1.0, 1e-3 * size))
    room = span * (0.45 if len(X) <= 8 else 0.08)
    return low - room, high + room


def _ask(predict: Predict, view: tuple[Floats, Floats], resolution: int) -> tuple[Indices, Array]:
    """Ask `predict` about a grid, and about a finer one beside the boundaries.

    Returns for each point of the finer grid, (resolution * FINER, resolution * FINER), which of the answers is its
    label; and the answers.
    """
    low, high = view

    def ask(places: Floats) -> Array:
        return as_labels(predict(low + (high - low) * places), "predict(grid)", len(places))

    centres = (_square(resolution) + 0.5) / resolution
    labels = ask(centres)
    coarse = labels.reshape(resolution, resolution)
    padded = np.pad(coarse, 1, mode="edge")
    around = [padded[i : i + resolution, j : j + resolution] for i in range(3) for j in range(3)]
    mixed = np.any([neighbour != coarse for neighbour in around], axis=0)

    which = np.arange(len(labels)).reshape(coarse.shape).repeat(FINER, axis=0).repeat(FINER, axis=1)
    if not mixed.any():
        return which, labels
    offsets = ((_square(FINER) + 0.5) / FINER - 0.5) / resolution
    nearby = ask((centres[mixed.ravel()][:, None] + offsets).reshape(-1, 2))
    cells = which.reshape(resolution, FINER, resolution, FINER).swapaxes(1, 2)
    cells[mixed] = (len(labels) + np.arange(len(nearby))).reshape(-1, FINER, FINER)
    return which, np.concatenate([labels, nearby])


def _square(n: int) -> Floats:
    """The n² points (column, row) of a square grid, row by row."""
    return np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2).astype(np.float64)
