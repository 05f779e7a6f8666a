"""26 capitals to be stored in an associative memory, and damaged ones to be recalled from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.checks import require_count, require_number
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split, class_indices
from aifs_data.sources._generated import LICENCE
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_DRAWN = """
.###. ####. .#### ####. ##### ##### .#### #...# #####
#...# #...# #.... #...# #.... #.... #.... #...# ..#..
##### ####. #.... #...# ####. ####. #..## ##### ..#..
#...# #...# #.... #...# #.... #.... #...# #...# ..#..
#...# ####. .#### ####. ##### #.... .#### #...# #####

..### #..#. #.... #...# #...# .###. ####. .###. ####.
....# #.#.. #.... ##.## ##..# #...# #...# #...# #...#
....# ##... #.... #.#.# #.#.# #...# ####. #.#.# ####.
#...# #.#.. #.... #...# #..## #...# #.... #..#. #.#..
.###. #..#. ##### #...# #...# .###. #.... .##.# #..##

.#### ##### #...# #...# #...# #...# #...# #####
#.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.
.###. ..#.. #...# .#.#. #.#.# ..#.. ..#.. ..#..
....# ..#.. #...# .#.#. ##.## .#.#. ..#.. .#...
####. ..#.. .###. ..#.. #...# #...# ..#.. #####
"""

INFO = DatasetInfo(
    name="letters",
    title="Capital letters, 5 × 5 pixels",
    task="associative memory",
    n_features=25,
    class_names=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    feature_names=tuple(f"pixel {row},{column}" for row in range(5) for column in range(5)),
    image_shape=(5, 5),
    arrays={
        "X": ArraySpec(dtype="int8", shape=("n_samples", 25), low=-1, high=1, meaning="1 is ink, -1 is paper, never 0"),
        "y": class_indices(26),
    },
    licence=LICENCE,
    citation="""\
@article{hopfield1982neural,
  author  = {Hopfield, John J.},
  title   = {Neural networks and physical systems with emergent collective computational abilities},
  journal = {Proceedings of the National Academy of Sciences},
  volume  = {79},
  number  = {8},
  pages   = {2554--2558},
  year    = {1982},
  doi     = {10.1073/pnas.79.8.2554}
}""",
    homepage="https://en.wikipedia.org/wiki/Hopfield_network",
    description="The training part is the 26 letters, to be stored. Validation and test are `n_cues` cues each, to be "
    "recalled from: every letter in turn, with the share `flip` of its 25 pixels inverted, to the nearest whole pixel. "
    "y says which letter it is. Any two letters differ by two pixels at least.",
)


def load(seed: int, *, n_cues: int = 260, flip: float = 0.1) -> Dataset:
    """Draw the letters and damage them."""
    n_cues, flip = require_count("n_cues", n_cues), require_number("flip", flip, at_least=0)
    if flip > 1:
        raise DataError(f"flip is a share of the pixels, from 0 to 1, got {flip}")
    X, y = _letters(), np.arange(26, dtype=np.int64)
    val, test = (_cues(X, seed, part, n_cues=n_cues, n_flipped=round(flip * 25)) for part in ("val", "test"))
    return Dataset(INFO, Split(X, y), val, test, source="generated", seed=seed)


def _letters() -> NDArray[np.int8]:
    """Read the drawing: three lines of letters, of five lines of text each."""
    lines = [[row.split() for row in line.splitlines()] for line in _DRAWN.strip().split("\n\n")]
    drawn = ["".join(rows) for line in lines for rows in zip(*line, strict=True)]
    return np.array([[1 if pixel == "#" else -1 for pixel in letter] for letter in drawn], dtype=np.int8)


def _cues(letters: NDArray[np.int8], seed: int, part: str, *, n_cues: int, n_flipped: int) -> Split:
    y = np.arange(n_cues, dtype=np.int64) % len(letters)
    scores: NDArray[Any] = random_stream(seed, f"letters {part}").random((n_cues, 25))
    flipped = scores.argsort(axis=1)[:, :n_flipped]
    X = letters[y]
    np.put_along_axis(X, flipped, -np.take_along_axis(X, flipped, axis=1), axis=1)
    return Split(X, y)


SETS = {INFO.name: Source(INFO, load)}
