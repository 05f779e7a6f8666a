"""Figures of what a model has learned to look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from aifs_plotting import style
from aifs_plotting._arrays import Floats, as_finite
from aifs_utils.exceptions import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_MAX_TILES = 100
_GAP, _NAME, _BAR = 0.1, 0.22, 1.0  # inches: between tiles, above each for its name, and for the colour bar
_NARROWEST = 0.42  # inches: room for a name


@style.context()
def weights_as_images(
    weights: ArrayLike,
    image_shape: tuple[int, int],
    *,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    provenance: style.Provenance | None = None,
) -> Figure:
    """The weights of each output as an image: what each class looks for, and what speaks against it.

    Blue weights raise the output where the pixel is bright, vermillion ones lower it, white ones ignore it. All tiles
    share one scale, with 0 in the middle, so that they can be compared.

    Parameters
    ----------
    weights : array_like (n_outputs, n_pixels) or (n_pixels,)
        Without the bias.
    image_shape : (int, int)
        Rows and columns of an image; their product is n_pixels.
    class_names : sequence of str, optional
        One name for each output; or two names where there is one output, which speaks for the second.
    title : str, optional
        Instead of the title that says how many outputs there are.
    provenance : Provenance, optional
        The footer.

    Returns
    -------
    matplotlib.figure.Figure
        One tile per output, and with three or more a last one for their mean: what all of them share. Of more than 100
        outputs the first 100 are drawn, and the footer says so.

    Raises
    ------
    DataError
        When weights are not finite, or do not fit the shape or the names.

    Examples
    --------
    >>> fig = weights_as_images([[1.0, -1.0, 0.5, 0.0], [0.0, 2.0, 0.0, 0.0]], (2, 2), class_names=["left", "right"])
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['left', 'right']
    """
    images = _as_images(weights, image_shape)
    names = _names(len(images), class_names)
    n_outputs = len(images)
    notes = [f"{_MAX_TILES} of {n_outputs:,} outputs drawn"] if n_outputs > _MAX_TILES else []
    limit = float(np.abs(images).max())
    if n_outputs >= 3:
        images = np.concatenate([images[:_MAX_TILES], images.mean(axis=0, keepdims=True)])
        names = [*names[:_MAX_TILES], "mean"]

    columns = _n_columns(len(images))
    room = style.WIDTH - _BAR - 2 * style.EDGE
    ratio = image_shape[1] / image_shape[0]
    wide = min((room + _GAP) / columns - _GAP, 2.6, 2.6 * ratio)
    high = wide / ratio
    rows = -(-len(images) // columns)
    fig = style.new_figure(
        title or _title(n_outputs, names),
        subtitle="A bright pixel speaks for a class where it is blue, against it where it is vermillion"
        if limit
        else "All weights are 0",
        height=0.85 + rows * (high + _NAME),
        provenance=provenance,
        notes=notes,
    )
    image = _draw_tiles(fig, images, names, columns, (wide, high), limit or 1.0)
    _draw_scale(fig, image, limit or 1.0, style.EDGE + columns * (max(wide, _NARROWEST) + _GAP) + 0.1)
    return fig


def _title(n_outputs: int, names: Sequence[str]) -> str:
    if n_outputs > 1:
        return f"Weights of {n_outputs:,} outputs"
    return f"Weights of {names[0]}" if names[0] else "Weights"


def _as_images(weights: ArrayLike, image_shape: tuple[int, int]) -> Floats:
    """Return weights as (n_outputs, rows, columns)."""
    array = as_finite(np.atleast_2d(np.asarray(weights)), "weights", ndim=2)
    if len(image_shape) != 2 or min(image_shape) < 1 or image_shape[0] * image_shape[1] != array.shape[1]:
        raise DataError(f"image_shape must be (rows, columns) of {array.shape[1]} pixels, got {tuple(image_shape)}")
    return array.reshape(-1, *image_shape)


def _names(n_outputs: int, class_names: Sequence[str] | None) -> list[str]:
    if class_names is None:
        return [str(k) for k in range(n_outputs)] if n_outputs > 1 else [""]
    names = [style.shorten(str(name)) for name in class_names]
    if n_outputs == 1 and len(names) == 2:
        return [f"{names[1]} against {names[0]}"]
    if len(names) != n_outputs:
        raise DataError(f"class_names must name each of the {n_outputs} outputs, got {len(names)} names")
    return names


def _n_columns(n: int) -> int:
    return n if n <= 4 else 4 if n <= 8 else 6 if n <= 12 else 10


def _draw_tiles(
    fig: Figure, images: Floats, names: Sequence[str], columns: int, tile: tuple[float, float], limit: float
) -> AxesImage:
    """Draw all tiles on one axes that is measured in inches: a hundred axes would take seconds."""
    from matplotlib.patches import Rectangle

    width, height = fig.get_size_inches()
    wide, high = tile
    top = height * fig.subplotpars.top - 0.06
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    slot = max(wide, _NARROWEST) + _GAP
    look: dict[str, Any] = {"cmap": style.diverging(), "vmin": -limit, "vmax": limit, "aspect": "auto"}
    for i, (values, name) in enumerate(zip(images, names, strict=True)):
        row, column = divmod(i, columns)
        x = style.EDGE + column * slot
        y = top - (row + 1) * (high + _NAME)
        image = axes.imshow(values, extent=(x, x + wide, y, y + high), interpolation="nearest", **look)
        axes.add_artist(Rectangle((x, y), wide, high, fill=False, edgecolor=style.FAINT, linewidth=0.6))
        axes.text(x, y + high + 0.04, style.fit(fig, name, slot - _GAP / 2), size=style.SMALL, va="baseline")
    return image


def _draw_scale(fig: Figure, image: AxesImage, limit: float, left: float) -> None:
    width, height = fig.get_size_inches()
    low, high = fig.subplotpars.bottom * height + 0.1, fig.subplotpars.top * height - 0.06 - _NAME
    middle, length = (low + high) / 2, min(high - low, 2.0)
    place = (left / width, (middle - length / 2) / height, 0.14 / width, length / height)
    axes = fig.add_axes(place)
    bar = fig.colorbar(image, cax=axes)
    bar.set_ticks([-limit, 0, limit], labels=[f"{value:.3g}" for value in (-limit, 0, limit)])
    axes.set_title("weight", size=style.SMALL, color=style.MUTED)
    bar.outline.set_visible(False)
    axes.tick_params(length=0)
