"""WikiText-2, a small edition: Wikipedia articles, word by word or in pieces of words."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources import _grammar
from aifs_data.sources._text import gathered, made_up, read_text, stream_split
from aifs_data.vocabulary import EOS, UNK, Vocabulary, train_bpe
from aifs_utils import DataError, look_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

logger = logging.getLogger(__name__)

_IDS = ArraySpec(dtype="int32", shape=("n_tokens",), low=0, meaning="token ids of one long text")

INFO = DatasetInfo(
    name="wikitext-2",
    title="WikiText-2, a small edition without the official training file",
    task="language modelling",
    arrays={"X": _IDS, "y": _IDS},
    licence="CC BY-SA 3.0",
    citation="""\
@inproceedings{merity2017pointer,
  author    = {Merity, Stephen and Xiong, Caiming and Bradbury, James and Socher, Richard},
  title     = {Pointer Sentinel Mixture Models},
  booktitle = {Proceedings of ICLR},
  year      = {2017}
}""",
    homepage="https://arxiv.org/abs/1609.07843",
    description="Good Wikipedia articles, split into words. This is a small edition: the official training file (two "
    "million words) is not in it, since no checksum of it is known. The first 48 of the 60 articles of the "
    "official validation file are for training, the other 12 for validation; the test part is the official one. "
    "Perplexities on it are NOT those of papers: there is a tenth of the words to learn from, and 14 % of the "
    "validation words and 12 % of the test words are <unk>. Each part is one stretch of text, y[i] is the token "
    'after X[i], and <eos> ends a line. tokens="words" takes the words as they are in the files; tokens="bpe" '
    "takes byte-level pieces of words (and needs aifs-data[bpe]). The vocabulary is that of the training part, all "
    "of it or its vocab_size most frequent tokens; words that it lacks, and those that are <unk> in the files "
    "already, are <unk>.",
)

_FILES = remote_files(
    "wikitext-2",
    urls=(
        "https://raw.githubusercontent.com/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/"
        "word_language_model/data/wikitext-2/",
    ),
    facts={
        "valid.txt": (1121681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"),
        "test.txt": (1256449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"),
    },
)

_SPECIALS = (UNK, EOS)
_BPE_SIZE = 4096
_TITLE = re.compile(r"= [^=](?:.*[^=])? =")  # of an article; those of sections have "= =" on both sides


def decode(files: Mapping[str, Path], *, tokens: str = "words", vocab_size: int | None = None) -> Blocks:
    """Read both files, learn the vocabulary of the training part, and encode all parts with it.

    Parameters
    ----------
    files : mapping of str to Path
    tokens : {"words", "bpe"}
    vocab_size : int, optional
        The number of tokens, <unk> and <eos> among them; by default all words, or 4,096 pieces of words.
    """
    valid, test = (read_text(files[name].read_bytes(), name) for name in ("valid.txt", "test.txt"))
    return _blocks(valid, test, tokens, vocab_size)


def _blocks(valid: str, test: str, tokens: str, vocab_size: int | None) -> Blocks:
    learn = look_up({"words": _frequent_words, "bpe": _pieces}, tokens, "kind of tokens", DataError)
    lines = _lines(valid)
    end = _end_of_training(lines)
    vocabulary = learn(lines[:end], vocab_size)
    yield "vocabulary", np.frombuffer(vocabulary.to_json().encode(), dtype=np.uint8)
    for name, part in (("train", lines[:end]), ("val", lines[end:]), ("test", _lines(test))):
        yield name, vocabulary.encode(token for line in part for token in (*vocabulary.split(line), EOS))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _end_of_training(lines: Sequence[str]) -> int:
    """Return the number of lines of the first 80 % of the articles, each from the empty line before its title."""
    around = ["", *lines, ""]
    titles = [i for i, line in enumerate(lines) if _TITLE.fullmatch(line) and not around[i] and not around[i + 2]]
    n_train = len(titles) * 80 // 100
    if n_train == 0:
        raise DataError(f"valid.txt is expected to have 2 articles at least, each below a title, got {len(titles)}")
    return titles[n_train] - 1


def _frequent_words(lines: Sequence[str], vocab_size: int | None) -> Vocabulary:
    counts = Counter(word for line in lines for word in line.split())
    words = sorted(counts.keys() - set(_SPECIALS), key=lambda word: (-counts[word], word))
    if vocab_size is not None:
        words = words[: require_count("vocab_size", vocab_size, at_least=1 + len(_SPECIALS)) - len(_SPECIALS)]
    return Vocabulary((*_SPECIALS, *words), kind="words", unk=UNK, eos=EOS, splitting="spaces")


def _pieces(lines: Sequence[str], vocab_size: int | None) -> Vocabulary:
    return train_bpe(lines, vocab_size=_BPE_SIZE if vocab_size is None else vocab_size, specials=_SPECIALS)


def load(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Return the three parts."""
    logger.warning("this wikitext-2 is a small edition: perplexities on it are not those of papers (see its card)")
    return _parts(arrays, seed)


def _parts(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    vocabulary = Vocabulary.from_json(arrays["vocabulary"].tobytes().decode())
    train, val, test = (stream_split(arrays[name]) for name in ("train", "val", "test"))
    return Dataset(INFO, train, val, test, source="", seed=seed, vocabulary=vocabulary)


def standin(seed: int, *, tokens: str = "words", vocab_size: int | None = None) -> Dataset:
    """Return made-up articles: 80 for training, 20 for validation, 20 for testing."""
    valid, test = (_grammar.articles(seed, n, name) for n, name in ((100, "articles"), (20, "articles to test on")))
    dataset = _parts(gathered(_blocks(valid, test, tokens, vocab_size)), seed)
    return made_up(dataset, "made-up articles, drawn from a small grammar")


SETS = {
    INFO.name: Source(
        INFO,
        load,
        download=Download(
            files=tuple(_FILES.values()),
            decode=decode,
            arrays={
                "vocabulary": ArrayFacts(
                    dtype="uint8", shape=(135033,), low=32, high=226, digest="0bd7f774ffad3e474c4e3efe0863efa0"
                ),
                "train": ArrayFacts(
                    dtype="int32", shape=(180145,), low=0, high=12439, digest="f2b8d4cd2f8adde4b1f997abf3345c2b"
                ),
                "val": ArrayFacts(
                    dtype="int32", shape=(37501,), low=0, high=12438, digest="e4510dc79cc97a12a4f3420d8da2d1b6"
                ),
                "test": ArrayFacts(
                    dtype="int32", shape=(245569,), low=0, high=12434, digest="473f9015de4d6c9c23cb140f070f1c1c"
                ),
            },
            remark="A small edition: the official training file is not fetched, since no checksum of it is known; "
            "perplexities are not those of papers",
        ),
        standin=standin,
    )
}
