"""The drawing of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aifs_plotting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_matrix(fig: Figure, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw counts (true class, predicted class) on one axes, with numbers where they fit, else with a colour bar."""
    k = len(counts)
    totals = counts.sum(axis=1)
    rates = counts / np.maximum(totals, 1)[:, None]
    shade = np.sqrt(rates) * np.where(np.eye(k, dtype=bool), 1, -1)

    rows = [f"{name} ({total:,})" for name, total in zip(names, totals, strict=True)]
    left = 0.45 + max(style.text_width(fig, row) for row in rows)
    widest = max(style.text_width(fig, name) for name in names)
    number = max(style.text_width(fig, text) for text in (f"{counts.max():,}", "99%"))
    cell = (style.WIDTH - left - 0.2) / k
    has_numbers = number + 0.04 < cell
    is_flat = widest + 0.08 < cell
    right = 0.2 if has_numbers else 1.15
    (axes,) = style.panels(fig, left=left, right=right, bottom=0.5 if is_flat else 0.38 + widest)
    image = axes.imshow(
        np.where(counts, shade, np.nan), cmap=style.diverging(), vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
    )
    cell_width, cell_height = (size / k for size in style.size_of(axes))

    step = 1 if is_flat else _ceil(0.16 / cell_width)
    axes.set_xticks(range(0, k, step), names[::step], rotation=0 if is_flat else 90)
    step = _ceil(0.16 / cell_height)
    axes.set_yticks(range(0, k, step), rows[::step])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class (samples)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for edge in np.arange(0.5, k - 1) if k <= 40 else ():
        axes.axhline(edge, color="white", linewidth=1.2)
        axes.axvline(edge, color="white", linewidth=1.2)
    if has_numbers:
        _write_numbers(axes, counts, rates, shade, two_lines=cell_height > 0.34)
    else:
        _draw_scale(fig, image)


def _write_numbers(axes: Axes, counts: Any, rates: Any, shade: Any, *, two_lines: bool) -> None:
    for i, j in np.argwhere(counts):
        text = f"{counts[i, j]:,}"
        if two_lines:
            text = f"{text}\n{_percent(rates[i, j])}"
        colour = "white" if abs(shade[i, j]) > 0.6 else style.INK
        axes.text(j, i, text, ha="center", va="center", size=style.SMALL, color=colour, linespacing=1.15)


def _draw_scale(fig: Figure, image: Any) -> None:
    box = image.axes.get_position()
    width = fig.get_size_inches()[0]
    axes = fig.add_axes((box.x1 + 0.12 / width, box.y0, 0.14 / width, box.height))
    bar = fig.colorbar(image, cax=axes)
    bar.outline.set_visible(False)
    rates = (1.0, 0.25, 0.04)
    ticks = [(np.sqrt(r), f"{r:.0%} right") for r in rates] + [(-np.sqrt(r), f"{r:.0%} wrong") for r in rates]
    bar.set_ticks([value for value, _ in ticks] + [0.0], labels=[label for _, label in ticks] + ["0%"])
    axes.tick_params(length=0)


def _percent(rate: float) -> str:
    if 0 < rate < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= rate < 1 else f"{100 * rate:.0f}%"


def _ceil(value: float) -> int:
    return max(1, int(np.ceil(value)))
