"""Two-input gates, as the truth table and as a noisy cloud around it."""

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import Dataset, DatasetInfo, Source, Split
from aifs_data.sources._generated import LICENCE

_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))

MCCULLOCH_PITTS_1943 = """\
@article{mcculloch1943logical,
  author  = {McCulloch, Warren S. and Pitts, Walter},
  title   = {A logical calculus of the ideas immanent in nervous activity},
  journal = {Bulletin of Mathematical Biophysics},
  volume  = {5},
  pages   = {115--133},
  year    = {1943},
  doi     = {10.1007/BF02478259}
}"""

MINSKY_PAPERT_1969 = """\
@book{minsky1969perceptrons,
  author    = {Minsky, Marvin and Papert, Seymour},
  title     = {Perceptrons: An Introduction to Computational Geometry},
  publisher = {MIT Press},
  year      = {1969}
}"""


def gate(name: str, outputs: tuple[int, int, int, int], *, remark: str, citation: str) -> dict[str, Source]:
    """Return the two sets of a gate, "name" and "name-cloud".

    Parameters
    ----------
    name : str
        "and", say.
    outputs : four of 0 and 1
        For the inputs 00, 01, 10 and 11.
    remark : str
        Whether a straight line separates them.
    citation : str
        BibTeX.
    """
    table = DatasetInfo(
        name=name,
        title=f"{name.upper()}, the truth table",
        n_features=2,
        class_names=("0", "1"),
        feature_names=("x1", "x2"),
        licence=LICENCE,
        citation=citation,
        homepage=f"https://en.wikipedia.org/wiki/{name.upper()}_gate",
        description=f"The four points of {name.upper()}. There are no others, so train, validation and test are the "
        f"same four, whatever the seed. {remark}",
    )
    cloud = DatasetInfo(
        name=f"{name}-cloud",
        title=f"{name.upper()}, a noisy cloud",
        n_features=2,
        class_names=table.class_names,
        feature_names=table.feature_names,
        licence=table.licence,
        citation=citation,
        homepage=table.homepage,
        description=f"Normal noise around the four points of {name.upper()}, as many samples around each; a sample "
        f"has the label of the point it was drawn around. {remark}",
    )

    def load_table(seed: int) -> Dataset:
        four = Split(np.array(_CORNERS), np.array(outputs, dtype=np.int64))
        return Dataset(table, four, four, four, source="generated", seed=seed)

    def load_cloud(seed: int, *, n_samples: int = 500, noise: float = 0.15) -> Dataset:
        # Here, since a truth table needs neither, and a run on it is over in no time.
        from aifs_data.splits import split_dataset
        from aifs_data.streams import random_stream

        corner = np.arange(require_count("n_samples", n_samples)) % 4
        noise = require_number("noise", noise, at_least=0)
        # One stream for all gates: with the same seed they differ in their labels only.
        X = np.array(_CORNERS)[corner] + random_stream(seed, "gates").normal(0, noise, (n_samples, 2))
        return split_dataset(cloud, X, np.array(outputs, dtype=np.int64)[corner], seed=seed)

    return {name: Source(table, load_table), f"{name}-cloud": Source(cloud, load_cloud)}
