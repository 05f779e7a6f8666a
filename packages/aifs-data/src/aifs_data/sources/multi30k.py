"""Multi30k: captions of photographs, English with their French and German translations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources._gzip import open_gzip
from aifs_data.sources._pairs import (
    ELISION,
    PUNCTUATION,
    SPECS,
    STANDIN,
    load_pairs,
    pair_blocks,
    standin_dates,
    tokenized,
)
from aifs_data.sources._text import gathered, made_up, read_text
from aifs_data.splits import parts_in_order
from aifs_utils import DataError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_PARTS = ("train", "val", "test_2016_flickr")
_STANDIN_SIZES = (4000, 500, 500)

_FILES = remote_files(
    "multi30k",
    urls=(
        "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/",
        "https://github.com/multi30k/dataset/raw/master/data/task1/raw/",
    ),
    facts={
        "train.en.gz": (568929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
        "train.fr.gz": (604242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
        "val.en.gz": (21650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
        "val.fr.gz": (23001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
        "test_2016_flickr.en.gz": (21077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
        "test_2016_flickr.fr.gz": (22310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
        "train.de.gz": (637044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
        "val.de.gz": (24681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
        "test_2016_flickr.de.gz": (22890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
    },
)

_ENGLISH_GERMAN = """\
@inproceedings{elliott2016multi30k,
  author    = {Elliott, Desmond and Frank, Stella and Sima'an, Khalil and Specia, Lucia},
  title     = {Multi30K: Multilingual {English-German} Image Descriptions},
  booktitle = {Proceedings of the 5th Workshop on Vision and Language},
  pages     = {70--74},
  year      = {2016}
}"""

_ENGLISH_FRENCH = """\
@inproceedings{elliott2017findings,
  author    = {Elliott, Desmond and Frank, Stella and Barrault, Lo{\\"i}c and Bougares, Fethi and Specia, Lucia},
  title     = {Findings of the Second Shared Task on Multimodal Machine Translation and Multilingual Image Description},
  booktitle = {Proceedings of WMT},
  pages     = {215--233},
  year      = {2017}
}"""


def decode_pairs(files: Mapping[str, Path], language: str, splitting: str) -> Blocks:
    """Read the English lines and those of the other language, the three parts one after another."""
    english = [_lines(files[f"{part}.en.gz"]) for part in _PARTS]
    others = [_lines(files[f"{part}.{language}.gz"]) for part in _PARTS]
    for part, lines, translations in zip(_PARTS, english, others, strict=True):
        if len(lines) != len(translations):
            raise DataError(
                f"{part} is expected to have as many lines in both languages, got {len(lines)} and {len(translations)}"
            )
    sources = tokenized((line for lines in english for line in lines), PUNCTUATION)
    targets = tokenized((line for lines in others for line in lines), splitting)
    return _blocks(sources, targets, [len(lines) for lines in english])


def _blocks(sources: Iterable[Sequence[str]], targets: Iterable[Sequence[str]], sizes: Sequence[int]) -> Blocks:
    yield from pair_blocks(sources, targets)
    yield "sizes", np.array(sizes, dtype=np.int64)


def _lines(path: Path) -> list[str]:
    with open_gzip(path) as file:
        data = file.read()
    return read_text(data, path.name).removesuffix("\n").split("\n")


def _source(language: str, name: str, splitting: str, citation: str, arrays: Mapping[str, ArrayFacts]) -> Source:
    """Return the set of English and another language.

    Parameters
    ----------
    language : str
        As in the names of the files.
    name : str
        Of the language.
    splitting : str
        How its sentences are split into words.
    citation : str
        BibTeX.
    arrays : mapping of str to ArrayFacts
        What the files decode to.
    """
    info = DatasetInfo(
        name=f"multi30k-en-{language}",
        title=f"Multi30k, captions from English to {name}",
        task="translation",
        arrays=SPECS,
        licence="non-commercial research and teaching only (the captions derive from Flickr30k)",
        citation=citation,
        homepage="https://github.com/multi30k/dataset",
        description=f"Captions of photographs in English, translated into {name}. The official split: 29,000 pairs for "
        "training, 1,014 for validation, 1,000 for testing (test2016). Small letters, split by "
        "aifs_data.vocabulary.split_words, which is not the tokenizer of any paper, so BLEU differs from theirs. "
        "Words that occur in the training part less often than min_count are <unk>; pairs with more than "
        "max_length words on a side are left out of all parts. As published, one English caption of the validation "
        "part is in the training part too.",
    )

    def decode(files: Mapping[str, Path]) -> Blocks:
        return decode_pairs(files, language, splitting)

    def load(
        arrays: Mapping[str, NDArray[Any]], seed: int, *, min_count: int = 2, max_length: int | None = None
    ) -> Dataset:
        return load_pairs(
            info,
            arrays,
            parts_in_order(arrays["sizes"]),
            seed=seed,
            min_count=min_count,
            max_length=max_length,
            splittings=(PUNCTUATION, splitting),
        )

    def standin(seed: int, *, min_count: int = 2, max_length: int | None = None) -> Dataset:
        blocks = _blocks(*standin_dates(seed, sum(_STANDIN_SIZES)), _STANDIN_SIZES)
        dataset = load(gathered(blocks), seed, min_count=min_count, max_length=max_length)
        return made_up(dataset, STANDIN)

    files = tuple(_FILES[f"{part}.{suffix}.gz"] for suffix in ("en", language) for part in _PARTS)
    return Source(info, load, download=Download(files=files, decode=decode, arrays=arrays), standin=standin)


SETS = {
    source.info.name: source
    for source in (
        _source(
            "fr",
            "French",
            ELISION,
            _ENGLISH_FRENCH,
            {
                "x_words": ArrayFacts(
                    dtype="uint8", shape=(78881,), low=10, high=122, digest="68699fd171dca7e815f40d4d8b2f5d83"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(437276,), low=0, high=10205, digest="a4ac5c8878859b8e9d91f5edb05b8b67"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(31015,), low=0, high=437276, digest="3f5e566d1de9a8c0a8d4d78688053d8a"
                ),
                "y_words": ArrayFacts(
                    dtype="uint8", shape=(97446,), low=10, high=197, digest="5359cae34fe1c6e971b2080d705ead59"
                ),
                "y_values": ArrayFacts(
                    dtype="int32", shape=(507349,), low=0, high=11346, digest="a84a202c8328286918516881927ee47d"
                ),
                "y_offsets": ArrayFacts(
                    dtype="int64", shape=(31015,), low=0, high=507349, digest="8a03dd250165ad8380a2401df0afc9f6"
                ),
                "sizes": ArrayFacts(
                    dtype="int64", shape=(3,), low=1000, high=29000, digest="18f94908e8b1303789541c1809b93cd2"
                ),
            },
        ),
        _source(
            "de",
            "German",
            PUNCTUATION,
            _ENGLISH_GERMAN,
            {
                "x_words": ArrayFacts(
                    dtype="uint8", shape=(78881,), low=10, high=122, digest="68699fd171dca7e815f40d4d8b2f5d83"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(437276,), low=0, high=10205, digest="a4ac5c8878859b8e9d91f5edb05b8b67"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(31015,), low=0, high=437276, digest="3f5e566d1de9a8c0a8d4d78688053d8a"
                ),
                "y_words": ArrayFacts(
                    dtype="uint8", shape=(200232,), low=10, high=226, digest="cadba426dd053ccb3a6c049c90401119"
                ),
                "y_values": ArrayFacts(
                    dtype="int32", shape=(453083,), low=0, high=18586, digest="be55cb4f89b5bea74703cf62e5728105"
                ),
                "y_offsets": ArrayFacts(
                    dtype="int64", shape=(31015,), low=0, high=453083, digest="58afaf2957ab5012ade99fbf18d45152"
                ),
                "sizes": ArrayFacts(
                    dtype="int64", shape=(3,), low=1000, high=29000, digest="18f94908e8b1303789541c1809b93cd2"
                ),
            },
        ),
    )
}
