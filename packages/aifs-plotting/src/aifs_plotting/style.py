"""One look for every figure: colours, type, frame, footer and file.

Figures are `matplotlib.figure.Figure` objects. Nothing here, nor in any module of this package, imports pyplot, and the
settings of matplotlib are as they were when a function returns. Frames are laid out in inches, once, instead of by a
layout engine that draws each figure twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from aifs_utils.exceptions import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK = "#1f2328"  # text, boundaries, marks
MUTED = "#57606a"  # footers and tick labels; 6.4:1 on white
NOTHING = "#f3f4f6"  # cells without a value
FAINT = "#c4cad0"  # grids, spines and what is only context

# Seven colours that stay apart with normal vision and with each of the three dichromacies; a test simulates all four.
# Blue, vermillion, sky and amber are Okabe and Ito's (2008).
PALETTE = ("#0072B2", "#D55E00", "#5B1A5E", "#56B4E9", "#9A0000", "#E69F00", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")  # eight beside seven colours: 56 classes look different
TRAIN, VALIDATION = PALETTE[:2]

WIDTH, DPI = 6.4, 150  # inches, and 960 pixels: the width of a README's column
SMALL, NORMAL, LARGE = 9.0, 9.5, 11.0  # points

RC: Mapping[str, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.titlesize": NORMAL,
    "figure.dpi": DPI,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so a figure looks the same everywhere
    "font.size": NORMAL,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.color": MUTED,
    "ytick.labelsize": SMALL,
}

EDGE = 0.12  # inches between the figure's edge and its text
_LOCK = RLock()


@contextmanager
def context() -> Iterator[None]:
    """Matplotlib's own defaults with `RC` on top, put back at the end; also a decorator.

    What the caller has set, a dark style say, does not leak into our figures, nor ours into theirs. matplotlib's
    settings belong to the process, so threads take turns.
    """
    import matplotlib

    with _LOCK, matplotlib.rc_context(_settings()):
        yield


@cache
def _settings() -> dict[Any, Any]:
    import matplotlib

    other = ("backend", "date.epoch", "docstring", "figure.raise_window", "interactive", "timezone", "toolbar")
    return {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith(other)} | dict(RC)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a figure comes from; it is drawn as the figure's footer.

    Parameters
    ----------
    model, experiment : str
        What was trained.
    data : str
        The data set and its source, "iris (scikit-learn)".
    seed : int
        The run's seed.
    note : str
        Anything that a reader must know.
    is_standin : bool
        Whether the data stands in for a set that could not be had. The footer then says so in red, in bold.

    Examples
    --------
    >>> Provenance(model="perceptron", experiment="xor", data="xor (generated)", seed=0).text
    'perceptron · xor · data: xor (generated) · seed 0'
    """

    model: str
    experiment: str
    data: str
    seed: int
    note: str = ""
    is_standin: bool = False

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], *, model: str, experiment: str, seed: int, note: str = ""
    ) -> Provenance:
        """Read name, source, is_standin and standin from a data set's provenance, which a run's manifest holds.

        Examples
        --------
        >>> Provenance.from_data({"name": "iris", "source": "scikit-learn"}, model="a", experiment="b", seed=0).data
        'iris (scikit-learn)'
        """
        name, source = str(data.get("name", "unnamed")), data.get("standin") or data.get("source")
        described = f"{name} ({source})" if source else name
        standin = bool(data.get("is_standin", False))
        return cls(model=model, experiment=experiment, data=described, seed=seed, note=note, is_standin=standin)

    @property
    def text(self) -> str:
        """The footer, in one line."""
        kind = "STAND-IN DATA" if self.is_standin else "data"
        parts = (self.model, self.experiment, f"{kind}: {self.data}", f"seed {self.seed}", self.note)
        return " · ".join(part for part in parts if part)


def class_colour(k: int) -> str:
    """The colour of class `k`."""
    return PALETTE[k % len(PALETTE)]


def class_marker(k: int) -> str:
    """The marker of class `k`: shape says what colour says, for print and for eyes that see no colour."""
    return MARKERS[k % len(MARKERS)]


def mix(colour: str, other: str, share: float) -> str:
    """Return `colour` with a `share` of `other` in it, as "#rrggbb".

    Examples
    --------
    >>> mix("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(channels(colour), channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def channels(colour: str) -> list[int]:
    """Red, green and blue of "#rrggbb", 0 to 255."""
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def tint(k: int) -> str:
    """The background of the region that is called class `k`."""
    return mix(class_colour(k), "#ffffff", 0.76)


@cache
def diverging() -> Colormap:
    """Vermillion, through white at the middle, to blue."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = [mix(PALETTE[1], INK, 0.45), PALETTE[1], "#ffffff", PALETTE[0], mix(PALETTE[0], INK, 0.45)]
    return LinearSegmentedColormap.from_list("aifs-diverging", ends).with_extremes(bad=NOTHING)


def new_figure(
    title: str,
    *,
    width: float = WIDTH,
    height: float = 4.0,
    provenance: Provenance | None = None,
    notes: Sequence[str] = (),
    key: Sequence[tuple[str, Mapping[str, Any]]] = (),
    subtitle: str = "",
) -> Figure:
    """Return a figure with its title, key and footer, and the room between them free for `panels`.

    Parameters
    ----------
    title : str
        What the figure shows, wrapped where it is too long.
    width, height : float
        In inches; the height grows by what the title, key and footer take beyond one line each.
    provenance : Provenance, optional
        The footer.
    notes : sequence of str
        What the figure leaves out or marks; added to the footer.
    key : sequence of (label, properties of a `matplotlib.lines.Line2D`)
        What marks and lines mean, in rows under the title.
    subtitle : str
        A sentence under the title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(fig)
    room = width - 2 * EDGE
    is_standin = provenance is not None and provenance.is_standin
    footer = " · ".join([*([provenance.text] if provenance else []), *notes])
    titles = _wrap(fig, title, LARGE, "bold", room)
    subtitles = _wrap(fig, subtitle, SMALL, "normal", room)
    rows = _rows(fig, key, room)
    footers = _wrap(fig, footer, SMALL, "bold" if is_standin else "normal", room)

    head = EDGE + 0.19 * len(titles) + 0.17 * len(subtitles) + 0.22 * len(rows) + 0.04
    foot = 0.08 + 0.16 * len(footers)
    height += 0.19 * len(titles[1:]) + 0.17 * len(subtitles) + 0.22 * len(rows[1:]) + 0.16 * len(footers[1:])
    fig.set_size_inches(width, height)
    fig.subplots_adjust(left=0, right=1, bottom=foot / height, top=1 - head / height)

    y = _write(fig, titles, height - EDGE, 0.19, size=LARGE, weight="bold")
    y = _write(fig, subtitles, y, 0.17, size=SMALL, color=MUTED)
    _draw_key(fig, rows, y - 0.13)
    look = {"weight": "bold", "color": mix(PALETTE[1], INK, 0.3)} if is_standin else {"color": MUTED}
    _write(fig, footers, foot, 0.16, size=SMALL, **look)
    return fig


def panels(
    fig: Figure,
    rows: int = 1,
    columns: int = 1,
    *,
    left: float = 0.62,
    right: float = 0.2,
    bottom: float = 0.5,
    top: float = 0.08,
    between: tuple[float, float] = (0.2, 0.2),
    **options: Any,
) -> list[Axes]:
    """Return rows × columns axes, row by row, in what the frame of `new_figure` leaves free.

    Parameters
    ----------
    left, right, bottom, top : float
        Room around the axes for their labels, in inches.
    between : (float, float)
        Room between columns and between rows, in inches.
    **options
        Passed to `matplotlib.figure.Figure.subplots`: sharex, sharey, subplot_kw.
    """
    width, height = fig.get_size_inches()
    low, high = fig.subplotpars.bottom + bottom / height, fig.subplotpars.top - top / height
    each_width = (width - left - right - (columns - 1) * between[0]) / columns
    each_height = ((high - low) * height - (rows - 1) * between[1]) / rows
    room = {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": low,
        "top": high,
        "wspace": between[0] / each_width,
        "hspace": between[1] / each_height,
    }
    axes = fig.subplots(rows, columns, squeeze=False, gridspec_kw=room, **options)
    return list(axes.flat)


def text_width(fig: Figure, text: str, size: float = SMALL, weight: str = "normal") -> float:
    """The width of `text` in inches, at `size` points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    renderer = cast(FigureCanvasAgg, fig.canvas).get_renderer()  # type: ignore[no-untyped-call]  # their stub lacks it
    width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / fig.dpi


def size_of(axes: Axes) -> tuple[float, float]:
    """Width and height of `axes` in inches."""
    box, dpi = axes.bbox, axes.figure.dpi
    return box.width / dpi, box.height / dpi


def number(value: float) -> str:
    """Return three digits of `value`, or more where three would round it up to a perfect 1.

    Examples
    --------
    >>> number(0.12345), number(1.0), number(0.99999)
    ('0.123', '1', '0.99999')
    """
    if not 0.99 < value < 1 - 1e-9:  # nearer to 1 is the rounding of a sum
        return f"{value:.3g}"
    digits = 3
    while float(f"{value:.{digits}g}") == 1:
        digits += 1
    return f"{value:.{digits}g}"


def share(value: float) -> str:
    """Return `number` with two decimals at the least, "0.50"."""
    text = number(value)
    return text if len(text) > 4 else f"{value:.2f}"


def ticks(low: float, high: float, n: int, *, integer: bool = False) -> list[float]:
    """At most about `n` round numbers from `low` to `high`."""
    from matplotlib.ticker import MaxNLocator

    slack = 1e-9 * (high - low)
    values = MaxNLocator(nbins=n, integer=integer, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in values if low - slack <= value <= high + slack]


def tick_labels(values: Sequence[float]) -> list[str]:
    """The values with as few digits as tell them apart.

    Examples
    --------
    >>> tick_labels([0.0, 0.5, 1.0]), tick_labels([1e6, 1e6 + 1])
    (['0', '0.5', '1'], ['1000000', '1000001'])
    """
    for digits in range(4, 17):
        labels = [f"{value:.{digits}g}" for value in values]
        if len(set(labels)) == len(set(values)):
            break
    return labels


def fit(fig: Figure, text: str, width: float, size: float = SMALL) -> str:
    """Return `text`, with its middle cut out where it is wider than `width` inches: numbers are at the end of names."""
    kept, shown = len(text), text
    while kept > 1 and text_width(fig, shown, size) > width:
        kept -= 1
        shown = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return shown


def shorten(text: str, length: int = 18) -> str:
    """Return `text` with its end cut off where it is longer than `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


@context()
def save_figure(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG, whole or not at all.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        Any figure; its own size and dpi are kept.
    path : path-like
        A name that ends in ".png". Missing folders are made; a file of that name is replaced once the new one is whole.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ConfigError
        When the name does not end in ".png".
    OSError
        When the file cannot be written; an old one is then still there.
    """
    from aifs_utils.files import atomic_write

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ConfigError(f"figures are saved as PNG: expected a name that ends in '.png', got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        fig.savefig(file, format="png", dpi="figure")
    return path


def _wrap(fig: Figure, text: str, size: float, weight: str, width: float) -> list[str]:
    """Lines of `text` that are no wider than `width` inches; a word that is wider is cut."""
    if not text or text_width(fig, text, size, weight) <= width:  # measuring costs a millisecond
        return [text] if text else []
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(fig, longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shorten(word, int(width * 72 / size / 0.6)))
    return lines


def _write(fig: Figure, lines: Sequence[str], y: float, step: float, **look: Any) -> float:
    """Write lines downwards from `y`, in inches from the lower edge; return where the next one would start."""
    for i, line in enumerate(lines):
        fig.text(EDGE, y - i * step, line, va="top", transform=fig.dpi_scale_trans, **look)
    return y - len(lines) * step


_Entry = tuple[float, str, Mapping[str, Any]]


def _rows(fig: Figure, key: Sequence[tuple[str, Mapping[str, Any]]], width: float) -> list[list[_Entry]]:
    """The entries of a key with their places from the left, in as many rows as they need."""
    rows: list[list[_Entry]] = []
    x = width
    for label, properties in key:
        length = 0.3 + text_width(fig, label) + 0.18
        if not rows or x + length - 0.18 > width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, label, properties))
        x += length
    return rows


def _draw_key(fig: Figure, rows: Sequence[Sequence[_Entry]], y: float) -> None:
    from matplotlib.lines import Line2D

    for i, row in enumerate(rows):
        for x, label, properties in row:
            is_line = properties.get("linestyle", "none") != "none"
            xs = [x + 0.08, x + 0.34] if is_line else [x + 0.22]
            fig.add_artist(Line2D(xs, [y - i * 0.22] * len(xs), transform=fig.dpi_scale_trans, **properties))
            fig.text(x + 0.42, y - i * 0.22, label, size=SMALL, va="center_baseline", transform=fig.dpi_scale_trans)
