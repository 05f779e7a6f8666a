"""Draw samples of a data set for its page: what its arrays are decides how.

Everything is drawn from the training part, which a reader may look at.
"""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from aifs_data import Dataset
from aifs_data.arrays import Ragged
from aifs_plotting import style
from aifs_utils.files import atomic_write

N_IMAGES, N_SCENES, N_POINTS, MOST_CLASSES = 40, 3, 500, 40
GREATEST_NETWORK = 100  # nodes; more are drawn as a matrix
LARGEST_FILE = 120_000  # bytes
GAP, SEAM, NAME = 0.12, 0.04, 0.2  # inches, between blocks of tiles, between tiles, and above blocks

Drawing = Callable[[Dataset], Figure]


def drawing_of(dataset: Dataset) -> Drawing | None:
    """Return what draws samples of this kind, None where they are better shown as text."""
    X = dataset.train.X
    if dataset.graph is not None:
        return draw_network if dataset.graph.n_nodes <= GREATEST_NETWORK else draw_adjacency
    if dataset.vocabulary is not None or isinstance(X, Ragged):
        return None
    if {"boxes", "instances"} & dataset.train.extras.keys():
        return draw_scenes
    if dataset.info.image_shape is not None or X.dtype == np.uint8:
        return draw_images
    if X.ndim == 3:
        return draw_series
    return draw_points if dataset.class_names else None


@style.context()
def write_figure(dataset: Dataset, draw: Drawing, path: Path) -> None:
    """Draw samples into a file that is the same each time, whatever the version of matplotlib says of itself."""
    buffer = io.BytesIO()
    draw(dataset).savefig(buffer, format="png", dpi="figure", metadata={"Software": None})
    drawn = Image.open(buffer).convert("RGB")
    for n_colours in (256, 64, 32):  # photographs need more room than there is in a repository
        if len(buffer.getvalue()) > LARGEST_FILE:
            buffer = io.BytesIO()
            drawn.quantize(n_colours, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


# --- images -----------------------------------------------------------------------------------------------------------


def draw_images(dataset: Dataset) -> Figure:
    """Draw images of every class, side by side in blocks with the class's name above."""
    images, look = _images(dataset)
    names = dataset.class_names[:MOST_CLASSES] or ("",)
    y = dataset.train.y if dataset.class_names else np.zeros(len(images), dtype=np.int64)
    n_each = max(1, min(8, N_IMAGES // len(names), *np.bincount(y).tolist()))
    high = 2 if n_each > 1 else 1
    wide = n_each // high
    across = min(len(names), max(1, 10 // wide))
    side = (style.WIDTH - 2 * style.EDGE - (across - 1) * GAP) / (across * wide)
    down = math.ceil(len(names) / across)
    fig = _titled(dataset, height=0.65 + down * (high * side + NAME + GAP), notes=_omitted(dataset, len(names)))
    axes = fig.add_axes((0, 0, 1, 1))
    width, height = fig.get_size_inches()
    axes.axis("off")
    for k, name in enumerate(names):
        left = style.EDGE + k % across * (wide * side + GAP)
        top = height * fig.subplotpars.top - k // across * (high * side + NAME + GAP) - NAME
        axes.text(left, top + 0.05, style.fit(fig, name, wide * side + GAP / 2, 8), size=8, va="baseline")
        for i, row in enumerate(np.flatnonzero(y == k)[: high * wide].tolist()):
            x, bottom, shown = left + i % wide * side, top - (i // wide + 1) * side, side - SEAM
            axes.imshow(images[row], extent=(x, x + shown, bottom, bottom + shown), aspect="auto", **look)
            frame: dict[str, Any] = {"fill": False, "edgecolor": style.FAINT, "linewidth": 0.6}
            axes.add_patch(Rectangle((x, bottom), shown, shown, **frame))
    axes.set(xlim=(0, width), ylim=(0, height))  # imshow has narrowed them to the last image
    return fig


def _images(dataset: Dataset) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the training part as images, (n, rows, columns) or (n, rows, columns, 3), and how to show them."""
    X, spec = dataset.train.X, dataset.info.specs["X"]
    if dataset.info.image_shape is not None:
        X = X.reshape(len(X), *dataset.info.image_shape)
    if X.ndim == 4:
        X = X[:, 0] if X.shape[1] == 1 else X.transpose(0, 2, 3, 1)
    low, high = (X.min(), X.max()) if spec.low is None else (spec.low, spec.high)
    colours = "gray" if "black" in spec.meaning else "gray_r"  # otherwise much is much ink
    return X, {"cmap": colours, "vmin": low, "vmax": high, "interpolation": "nearest"}


def _omitted(dataset: Dataset, n_shown: int) -> list[str]:
    n_classes = dataset.n_classes
    return [f"the first {n_shown} of {n_classes} classes"] if n_shown < n_classes else []


# --- scenes -----------------------------------------------------------------------------------------------------------


def draw_scenes(dataset: Dataset) -> Figure:
    """Draw a few scenes with their boxes, and beside each the classes and the instances of its pixels."""
    images, look = _images(dataset)
    classes, names = _classes_of_pixels(dataset)
    first = "image and boxes" if "boxes" in dataset.train.extras else "image"
    arrays = {first: images, "classes": classes, "instances": dataset.train.extras.get("instances")}
    shown = {title: array for title, array in arrays.items() if array is not None}
    side = (style.WIDTH - 2 * style.EDGE - (len(shown) - 1) * GAP) / len(shown)
    key = [
        (name, {"marker": "s", "markersize": 8, "linestyle": "none", "color": _colour(k)})
        for k, name in enumerate(names)
    ]
    images, notes = _brightened(images[:N_SCENES])
    if "instances" in dataset.train.extras:
        notes.append("colours of instances only tell them apart")
    fig = _titled(dataset, height=0.95 + N_SCENES * (side + GAP), key=key, notes=notes)
    room: dict[str, Any] = {"left": style.EDGE, "right": style.EDGE, "bottom": 0.05, "top": 0.25, "between": (GAP, GAP)}
    axes = iter(style.panels(fig, N_SCENES, len(shown), **room))
    for row in range(N_SCENES):
        for title, array in shown.items():
            panel = next(axes)
            panel.axis("off")
            if title == first:
                panel.imshow(images[row], **look)
                _draw_boxes(panel, dataset, row)
            else:
                panel.imshow(_coloured(array[row]))
            if row == 0:
                panel.set_title(title)
    return fig


def _brightened(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], list[str]]:
    """Return images that can be seen: microscopes give some whose brightest spot is nearly black."""
    brightest = np.percentile(images, 99.5, axis=tuple(range(1, images.ndim)), keepdims=True)
    if brightest.min() > 128:
        return images, []
    brightened = np.clip(images * (255 / np.clip(brightest, 1, 255)), 0, 255)
    return brightened.astype(np.uint8), ["images brightened"]


def _classes_of_pixels(dataset: Dataset) -> tuple[NDArray[Any] | None, Sequence[str]]:
    """Return the class of each pixel, 0 for the background, and what the others are called."""
    masks = dataset.train.extras.get("semantic", dataset.train.y)
    names = dataset.class_names
    if isinstance(masks, Ragged) or masks.ndim != 3:
        return None, names
    spec = dataset.info.specs["semantic" if "semantic" in dataset.train.extras else "y"]
    # Some sets count the background among the classes, others do not.
    return masks, names[1:] if spec.high is not None and len(names) == spec.high + 1 else names


def _draw_boxes(axes: Axes, dataset: Dataset, row: int) -> None:
    """Draw the boxes of a scene in the colours of their classes, with the names at their corners where these differ."""
    boxes, y = dataset.train.extras.get("boxes"), dataset.train.y
    labels = y[row] if isinstance(y, Ragged) or y.ndim == 2 else None
    for i, (x0, y0, x1, y1) in enumerate([] if boxes is None else np.asarray(boxes[row]).tolist()):
        if x1 <= x0:  # there is no such object
            continue
        k = 0 if labels is None else int(labels[i])
        # Pixel i is drawn from i - 1/2 to i + 1/2.
        corner = (x0 - 0.5, y0 - 0.5)
        axes.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=_colour(k), linewidth=1.2))
        if labels is not None:
            look: dict[str, Any] = {"size": 7, "color": "white", "ha": "left", "clip_on": True}
            look["va"] = "bottom" if y0 > 0.06 * dataset.train.X.shape[-2] else "top"  # there is no room above it
            badge = {"facecolor": _colour(k), "edgecolor": "none", "pad": 0.6}
            axes.text(*corner, dataset.class_names[k], bbox=badge, **look)


def _coloured(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a mask as an image, light where it is 0."""
    colours = [style.NOTHING, *(_colour(k) for k in range(int(mask.max())))]
    image: NDArray[np.uint8] = np.array([style.channels(colour) for colour in colours], dtype=np.uint8)[mask]
    return image


def _colour(k: int) -> str:
    """The colour of class or instance `k`: the palette's, then the same lighter."""
    return style.mix(style.class_colour(k), "#ffffff", 0.5 if k // len(style.PALETTE) % 2 else 0)


# --- numbers ----------------------------------------------------------------------------------------------------------


def draw_points(dataset: Dataset) -> Figure:
    """Draw the samples by two features: the only ones, or those that tell the classes apart best."""
    X, y = dataset.train.X[:N_POINTS], dataset.train.y[:N_POINTS]
    first, second = (0, 1) if X.shape[1] == 2 else telling_features(X, y)
    names = dataset.feature_names or tuple(f"feature {i}" for i in range(X.shape[1]))
    notes = [f"{len(X)} of {len(dataset.train):,} samples"] if len(X) < len(dataset.train) else []
    if X.shape[1] > 2:
        notes.append(f"two of {X.shape[1]} features")
    size = 60 if len(X) < 20 else 16
    looks = [
        {"marker": style.class_marker(k), "color": style.class_colour(k), "linestyle": "none"}
        for k in range(dataset.n_classes)
    ]
    fig = _titled(dataset, key=list(zip(dataset.class_names, looks, strict=True)), notes=notes)
    [axes] = style.panels(fig, left=0.75)
    for k, look in enumerate(looks):
        x_k, y_k = X[y == k][:, [first, second]].T
        axes.scatter(x_k, y_k, s=size, marker=look["marker"], color=look["color"], alpha=0.8, linewidths=0)
    axes.set(xlabel=names[first], ylabel=names[second])
    axes.margins(0.08)
    if X.shape[1] == 2:  # the plane as it is
        axes.set_aspect("equal", adjustable="datalim")
    return fig


def telling_features(X: NDArray[Any], y: NDArray[np.int64]) -> tuple[int, int]:
    """Return the feature that tells the classes apart best, and the best beside it that does not repeat it.

    The measure is the variance between the classes over that within them; the second feature's is lessened by its
    squared correlation with the first.
    """
    classes = [X[y == k] for k in np.unique(y)]
    between = sum(len(rows) * (rows.mean(axis=0) - X.mean(axis=0)) ** 2 for rows in classes)
    within = sum(((rows - rows.mean(axis=0)) ** 2).sum(axis=0) for rows in classes)
    ratio = between / np.maximum(within, 1e-12)
    first = int(ratio.argmax())
    deviations = X - X.mean(axis=0)
    scales = np.maximum(np.sqrt((deviations**2).sum(axis=0)), 1e-12)
    correlations = deviations.T @ deviations[:, first] / (scales * scales[first])
    rest = ratio * (1 - correlations**2)
    rest[first] = -1
    return first, int(rest.argmax())


def draw_series(dataset: Dataset) -> Figure:
    """Draw one sequence: its values step by step, and where another channel marks them."""
    sequence, target = dataset.train.X[0], np.ravel(dataset.train.y[0])
    names = dataset.feature_names or tuple(f"channel {i}" for i in range(sequence.shape[1]))
    marks = {i for i in range(sequence.shape[1]) if set(np.unique(sequence[:, i])) <= {0, 1}}
    subtitle = f"One sample, for which y is {', '.join(f'{value:.3f}' for value in target[:4])}"
    looks: dict[int, dict[str, Any]] = {
        i: {"marker": "o", "markersize": 9 if i in marks else 4, "linestyle": "none", "color": style.class_colour(i)}
        | ({"markerfacecolor": "none", "markeredgewidth": 1.6} if i in marks else {})
        for i in range(sequence.shape[1])
    }
    fig = _titled(dataset, height=3.0, key=[(names[i], look) for i, look in looks.items()], subtitle=subtitle)
    [axes] = style.panels(fig)
    steps, values = np.arange(len(sequence)), [i for i in looks if i not in marks]
    for i, look in looks.items():
        if i in marks:
            marked = np.flatnonzero(sequence[:, i])
            heights = sequence[marked, values[0]] if values else sequence[marked, i]
            axes.plot(marked, heights, **look)
            for x, value in zip(marked.tolist(), heights.tolist(), strict=True):
                axes.annotate(f"{value:.3f}", (x, value), (8, 0), textcoords="offset points", va="center")
        else:
            axes.vlines(steps, 0, sequence[:, i], color=style.FAINT, linewidth=0.8)
            axes.plot(steps, sequence[:, i], **look)
    axes.set(xlabel="step", ylabel=names[values[0]] if len(values) == 1 else "value")
    axes.margins(0.04)
    return fig


# --- graphs -----------------------------------------------------------------------------------------------------------


def draw_network(dataset: Dataset) -> Figure:
    """Draw a small graph: nodes in the colours of their classes, those of the training part ringed."""
    from networkx import from_scipy_sparse_array, spring_layout

    graph = dataset.graph
    assert graph is not None
    places = spring_layout(from_scipy_sparse_array(graph.adjacency), seed=0)
    xy = np.array([places[node] for node in range(graph.n_nodes)])
    key = [
        (name, {"marker": "o", "markersize": 8, "linestyle": "none", "color": style.class_colour(k)})
        for k, name in enumerate(dataset.class_names)
    ]
    ring = {"marker": "o", "markersize": 10, "linestyle": "none", "markerfacecolor": "none", "color": style.INK}
    fig = _titled(dataset, height=4.6, key=[*key, ("training part", ring | {"markeredgewidth": 1.6})])
    [axes] = style.panels(fig, left=style.EDGE, right=style.EDGE, bottom=0.05)
    axes.axis("off")
    rows, columns = graph.adjacency.nonzero()
    pairs = [(xy[i], xy[j]) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if i < j]
    axes.add_collection(LineCollection(pairs, colors=style.FAINT, linewidths=0.8, zorder=1))
    x_train, y_train = xy[dataset.train.X].T
    axes.scatter(x_train, y_train, s=330, facecolors="white", edgecolors=style.INK, linewidths=1.6, zorder=2)
    axes.scatter(xy[:, 0], xy[:, 1], s=170, c=[style.class_colour(k) for k in graph.labels.tolist()], zorder=3)
    for node, (x, y) in enumerate(xy.tolist()):
        axes.text(x, y, str(node), size=7.5, color="white", ha="center", va="center_baseline", zorder=4)
    axes.margins(0.06)
    return fig


def draw_adjacency(dataset: Dataset) -> Figure:
    """Draw a large graph as its adjacency matrix, the nodes sorted by class and each class framed."""
    graph = dataset.graph
    assert graph is not None
    labels = np.where(graph.labels < 0, dataset.n_classes, graph.labels)  # those of no class come last
    position = np.empty(graph.n_nodes, dtype=np.int64)
    position[np.argsort(labels, kind="stable")] = np.arange(graph.n_nodes)
    sizes = np.bincount(labels, minlength=dataset.n_classes)[: dataset.n_classes]
    ends = np.cumsum(sizes)
    starts = ends - sizes
    subtitle = "Its adjacency matrix, the nodes sorted by class; a dot is an edge"
    fig = _titled(dataset, height=5.4, subtitle=subtitle)
    widest = max(style.text_width(fig, name) for name in dataset.class_names)
    [axes] = style.panels(fig, left=widest + style.EDGE + 0.1, right=style.EDGE, bottom=0.1)
    rows, columns = graph.adjacency.nonzero()
    axes.plot(position[columns], position[rows], ",", color=style.INK, alpha=0.6)
    for k, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        look: dict[str, Any] = {"fill": False, "edgecolor": style.class_colour(k), "linewidth": 1.6}
        axes.add_patch(Rectangle((start, start), end - start, end - start, **look))
    axes.set(xlim=(-1, graph.n_nodes), ylim=(graph.n_nodes, -1), aspect="equal", anchor="W", xticks=[])
    axes.set_yticks((starts + ends) / 2, labels=list(dataset.class_names))
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(True)
    return fig


def _titled(
    dataset: Dataset,
    *,
    height: float = 4.0,
    notes: Sequence[str] = (),
    key: Sequence[tuple[str, dict[str, Any]]] = (),
    subtitle: str = "",
) -> Figure:
    """A figure with the set's title, and a footer that says what is drawn."""
    said = [f"{dataset.name}, {'whole graph' if dataset.graph else 'training part'}, seed {dataset.seed}", *notes]
    return style.new_figure(dataset.info.title, height=height, notes=said, key=key, subtitle=subtitle)
