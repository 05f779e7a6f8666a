"""Tiny Shakespeare: 40,000 lines of his plays, character by character."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, RemoteFile
from aifs_data.sources import _grammar
from aifs_data.sources._text import gathered, made_up, read_text, stream_split
from aifs_data.vocabulary import Vocabulary
from aifs_utils import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_IDS = ArraySpec(dtype="int32", shape=("n_tokens",), low=0, high=64, meaning="character ids of one long text")

INFO = DatasetInfo(
    name="tiny-shakespeare",
    title="Tiny Shakespeare, by characters",
    task="language modelling",
    arrays={"X": _IDS, "y": _IDS},
    licence="public domain (the text); the repository that serves it states none",
    citation="""\
@misc{karpathy2015unreasonable,
  author = {Karpathy, Andrej},
  title  = {The Unreasonable Effectiveness of Recurrent Neural Networks},
  year   = {2015},
  url    = {https://karpathy.github.io/2015/05/21/rnn-effectiveness/}
}""",
    homepage="https://github.com/karpathy/char-rnn",
    description="1,115,394 characters of Shakespeare's plays, 65 different ones. Each part is one stretch of the text: "
    "y[i] is the character after X[i]. The first 90 % are for training, 5 % for validation and the last 5 % for "
    "testing, whatever the seed. The vocabulary is that of the training part, which leaves no character out.",
)

_FILE = RemoteFile(
    path="tinyshakespeare/input.txt",
    size=1115394,
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    urls=(
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/"
        "tinyshakespeare/input.txt",
        "https://raw.githubusercontent.com/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/distributed/"
        "minGPT-ddp/mingpt/data/input.txt",
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
    ),
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the text."""
    path = files["input.txt"]
    return _blocks(read_text(path.read_bytes(), path.name))


def _blocks(text: str) -> Blocks:
    """Return the characters, sorted, as UTF-8, and the text as positions among them."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    characters, positions = np.unique(codes, return_inverse=True)
    yield "characters", np.frombuffer("".join(map(chr, characters.tolist())).encode(), dtype=np.uint8)
    yield "text", positions.astype(np.int32)


def load(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Cut the text into three parts."""
    characters, text = arrays["characters"].tobytes().decode(), arrays["text"]
    n_train, n_before_test = len(text) * 90 // 100, len(text) * 95 // 100
    vocabulary = Vocabulary(characters, kind="characters")
    unseen = np.flatnonzero(np.bincount(text[:n_train], minlength=len(characters)) == 0)
    if len(unseen):
        raise DataError(
            "the first 90 % of the text are expected to hold every character of it, but they lack "
            + ", ".join(repr(characters[i]) for i in unseen)
        )
    train, val, test = map(stream_split, np.split(text, [n_train, n_before_test]))
    return Dataset(INFO, train, val, test, source="", seed=seed, vocabulary=vocabulary)


def standin(seed: int) -> Dataset:
    """Return the speeches of a made-up play, 260,000 characters or so."""
    dataset = load(gathered(_blocks(_grammar.play(seed, 2000))), seed)
    return made_up(dataset, "a made-up play, drawn from a small grammar")


SETS = {
    INFO.name: Source(
        INFO,
        load,
        download=Download(
            files=(_FILE,),
            decode=decode,
            arrays={
                "characters": ArrayFacts(
                    dtype="uint8", shape=(65,), low=10, high=122, digest="55fef14c8f0ec70f7c7b9d79a02ef430"
                ),
                "text": ArrayFacts(
                    dtype="int32", shape=(1115394,), low=0, high=64, digest="4b0b750d830b54682faa22f165c413c6"
                ),
            },
        ),
        standin=standin,
    )
}
