"""The figures of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aifs_engine import Evaluator
from aifs_plotting import Provenance, generate_visualizations, save_figure, style
from lenet5.codes import HEIGHT, WIDTH
from lenet5.images import NORMALIZE, as_images
from lenet5.model import C3_TABLE, RBF, A

GREY = {"cmap": "gray", "low": 0, "limit": 255}


def draw(result, dataset, test_loader, original) -> list[Path]:
    """Draw learning curves and confusion matrix, what the network looks for and sees, and its worst mistakes."""
    names = {"model": result.model, "experiment": result.experiment, "seed": result.seed}
    provenance = Provenance.from_data(result.data, **names)
    predictions = Evaluator(result.learner).predict(test_loader)
    files = generate_visualizations(
        "foundational",
        output_dir=result.figures_dir,
        provenance=provenance,
        history=result.history.columns() or None,
        y=predictions.targets,
        y_pred=predictions.labels,
        class_names=dataset.class_names,
    )
    network = getattr(result.learner.model, "lenet5", result.learner.model)
    pictures = dataset.test.X[:, 0]
    figures = {
        "filters": filters(network, provenance),
        "feature_maps": feature_maps(network, pictures[_example(predictions)], dataset.class_names, provenance),
        "mistakes": mistakes(predictions, pictures, dataset.class_names, provenance),
    }
    images = as_images(original, coloured=result.config.coloured).test.X[:8]
    if images.shape[1] == 3:
        figures["colours"] = seen_in_grey(images, pictures[:8], provenance)
    return files + [
        save_figure(figure, result.figures_dir / f"{name}.png") for name, figure in figures.items() if figure
    ]


def filters(network, provenance):
    """The kernels of C1, and those of C3 where table I connects its maps (across) with those of S2 (down)."""
    first = network.c1.weight.detach().cpu().numpy()[:, 0]
    second = network.c3.dense_weight().detach().cpu().numpy()
    for output, inputs in enumerate(C3_TABLE):
        second[output, [seen for seen in range(6) if seen not in inputs]] = np.nan
    labels = ["C3: 16 maps\n(across) of\n6 maps of\nS2 (down)", *[""] * 5]
    limit = np.nanmax(abs(second))
    rows = [Row("C1: 6 kernels", first, 0.62, limit=abs(first).max())]
    rows += [Row(label, second[:, seen], 0.25, limit=limit, gap=0.06) for seen, label in enumerate(labels)]
    return draw_rows(
        rows,
        title="The kernels of C1 and C3",
        subtitle="Blue raises the sum where the input is bright, vermillion lowers it; each layer has its own scale. "
        "Grey: not connected in table I",
        provenance=provenance,
    )


def feature_maps(network, picture, class_names, provenance):
    """What each layer makes of one picture (32, 32), from the pixels to the 84 features that the output compares."""
    X = torch.from_numpy(NORMALIZE.apply(picture[None, None])).to(network.c1.weight.device)
    was_training = network.training
    with torch.inference_mode():
        maps = {name: x[0].cpu().numpy() for name, x in network.eval().maps(X).items()}
        features = network.last_features(X)[0].cpu().numpy()
        scores = network(X)[0].cpu().numpy()
    network.train(was_training)
    rows = [Row("picture", picture[None], 0.9, **GREY)]
    for name, width in (("c1", 0.72), ("s2", 0.72), ("c3", 0.25), ("s4", 0.25)):
        n_maps, side, _ = maps[name].shape
        rows.append(Row(f"{name.upper()}: {n_maps} of\n{side} × {side}", maps[name], width, gap=0.06))
    rows.append(Row("C5: 120", maps["c5"].reshape(1, 2, 60), 4.9))
    if isinstance(network.output, RBF):
        drawings = network.output.codes.cpu().numpy().reshape(-1, HEIGHT, WIDTH)
        rows.append(Row("F6: 84, as a\ndrawing", features.reshape(1, HEIGHT, WIDTH), 0.5))
        distances = [f"{-score:.0f}" for score in scores]
        rows.append(Row("drawings of the\noutput, and\ntheir distances", drawings, 0.42, names=distances))
    else:
        rows.append(Row("F6: 84", features.reshape(1, 2, 42), 4.9 * 42 / 60))
    return draw_rows(
        rows,
        title=f"What the layers make of a picture that is read as {class_names[int(scores.argmax())]}",
        subtitle=f"Outputs from {-A:.2f} (vermillion) through 0 (white) to {A:.2f} (blue)",
        provenance=provenance,
    )


def seen_in_grey(colours, pictures, provenance):
    """Colour images (n, 3, height, width), and what is left of them in the one plane of the input (n, 32, 32)."""
    rows = [Row("in colour", colours.transpose(0, 2, 3, 1), 0.52), Row("as LeNet-5\nsees it", pictures, 0.52, **GREY)]
    return draw_rows(
        rows,
        title="What is left of colour",
        subtitle="The first pictures of the test part, and the brightness of each pixel",
        provenance=provenance,
    )


def mistakes(predictions, pictures, class_names, provenance, most=24):
    """The test pictures that the network is most wrong about, the worst first; None if it is right about all."""
    wrong = np.flatnonzero(predictions.labels != predictions.targets)
    if not len(wrong):
        return None
    scores, targets = predictions.scores[wrong], predictions.targets[wrong]
    margins = scores.max(axis=1) - scores[np.arange(len(wrong)), targets]
    worst = wrong[np.argsort(-margins, kind="stable")][:most]
    rows = []
    for chosen in np.array_split(worst, np.arange(8, len(worst), 8)):
        pairs = zip(predictions.targets[chosen], predictions.labels[chosen], strict=True)
        names = [f"{class_names[true]} → {class_names[called]}" for true, called in pairs]
        rows.append(Row("", pictures[chosen], 0.66, names=names, gap=0.12, left=style.EDGE, **GREY))
    shown = f"The {len(worst)} worst" if len(worst) < len(wrong) else "All"
    return draw_rows(
        rows,
        title=f"{shown} of {len(wrong):,} mistakes in {len(pictures):,} test pictures",
        subtitle="True class → predicted class; ordered by how much higher the wrong score is",
        provenance=provenance,
    )


@dataclass(frozen=True)
class Row:
    """Images (n, height, width) side by side, with a label at their left and names above them; sizes in inches."""

    label: str
    images: Any
    width: float  # of an image
    limit: float = A
    low: float | None = None  # instead of -limit
    cmap: str | None = None  # instead of the diverging one
    names: Sequence[str] = ()
    gap: float = 0.08
    left: float = 1.3

    @property
    def image_height(self):
        return self.width * self.images.shape[1] / self.images.shape[2]

    @property
    def height(self):
        """With the names above and the gap below."""
        return self.image_height + (0.2 if self.names else 0.0) + max(self.gap, 0.1)

    def draw(self, axes, top):
        """Draw downwards from `top`."""
        limit = float(self.limit) or 1.0
        look = {"cmap": self.cmap or style.diverging(), "vmin": -limit if self.low is None else self.low, "vmax": limit}
        top -= 0.2 if self.names else 0.0
        bottom = top - self.image_height
        for k, image in enumerate(self.images):
            x = self.left + k * (self.width + self.gap)
            extent = (x, x + self.width, bottom, top)
            axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest", **look)
            if self.names:
                name = style.fit(axes.figure, self.names[k], self.width + self.gap)
                axes.text(x, top + 0.04, name, size=style.SMALL, va="baseline")
        axes.text(style.EDGE, top, self.label, size=style.SMALL, va="top")


@style.context()
def draw_rows(rows, *, title, subtitle, provenance):
    """A figure of rows from the top down, on one axes that is measured in inches: a hundred axes would take seconds."""
    height = 0.85 + sum(row.height for row in rows)
    fig = style.new_figure(title, subtitle=subtitle, height=height, provenance=provenance)
    width, height = fig.get_size_inches()
    axes = fig.add_axes((0, 0, 1, 1))
    top = height * fig.subplotpars.top - 0.12
    for row in rows:
        row.draw(axes, top)
        top -= row.height
    axes.set(xlim=(0, width), ylim=(0, height))  # last: an image sets the limits anew
    axes.axis("off")
    return fig


def _example(predictions):
    """The first test picture that is read rightly, or the first."""
    right = np.flatnonzero(predictions.labels == predictions.targets)
    return int(right[0]) if len(right) else 0
