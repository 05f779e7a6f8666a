"""Names as characters: 32,033 first names to imitate, and surnames of 18 languages to tell apart."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split, class_indices
from aifs_data.downloads import ArrayFacts, Download, remote_files
from aifs_data.sources import _grammar
from aifs_data.sources._text import gathered, group_equal, index_words, made_up, read_lines, renamed, stored_rows
from aifs_data.splits import split_groups
from aifs_data.vocabulary import PAD, UNK, Vocabulary
from aifs_utils import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_STANDIN = "made-up names of random syllables"

# --- names ------------------------------------------------------------------------------------------------------------

_END = "."
_IDS = ArraySpec(dtype="int32", shape=("n_samples", "length"), low=0, high=26, meaning='character ids, 0 is "."')

NAMES = DatasetInfo(
    name="names",
    title="First names, by characters",
    task="language modelling",
    arrays={"X": _IDS, "y": _IDS},
    licence="MIT (the repository); the names are public data of the US Social Security Administration",
    citation="""\
@misc{karpathy2022makemore,
  author = {Karpathy, Andrej},
  title  = {makemore},
  year   = {2022},
  url    = {https://github.com/karpathy/makemore}
}""",
    homepage="https://github.com/karpathy/makemore",
    description='32,033 first names in small letters. y[i] is the character after X[i]: ".emma" and "emma.", where "." '
    "is the beginning and the end. The file holds 29,494 different names, 2,539 of them twice: the different ones "
    "are split 80 : 10 : 10 by seed, and a name that is there twice is twice in the same part, so that no part "
    "knows a name of another. The vocabulary is the alphabet, known beforehand.",
)

_NAMES_FILES = remote_files(
    "names",
    urls=("https://raw.githubusercontent.com/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/",),
    facts={
        "names.txt": (228145, "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"),
    },
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the names."""
    return _name_blocks(read_lines(files["names.txt"]))


def _name_blocks(names: Sequence[str]) -> Blocks:
    """Return each name as ".emma", so that the array shifted by one is the targets."""
    ids = {character: i for i, character in enumerate((_END, *ascii_lowercase))}
    strange = sorted(set("".join(names)) - set(ascii_lowercase))
    if strange:
        raise DataError(f"the names are expected to be of small letters a to z, got {strange}")
    rows = Ragged.of([[0, *(ids[character] for character in name)] for name in names])
    yield "x_values", rows.values
    yield "x_offsets", rows.offsets
    yield "groups", group_equal(names)


def load(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Split the names."""
    rows = stored_rows(arrays, "x")
    vocabulary = Vocabulary((_END, *ascii_lowercase), kind="characters", bos=_END, eos=_END)
    parts = split_groups(arrays["groups"], seed=seed)
    train, val, test = (_next_characters(rows.take(part)) for part in parts)
    return Dataset(NAMES, train, val, test, source="", seed=seed, vocabulary=vocabulary)


def _next_characters(rows: Ragged) -> Split:
    # What follows a name's last character is the "." that the next name begins with.
    followed = np.append(rows.values, np.int32(0))
    return Split(Ragged(followed[:-1], rows.offsets), Ragged(followed[1:], rows.offsets))


def standin(seed: int) -> Dataset:
    """Return 2,000 made-up names."""
    dataset = load(gathered(_name_blocks(_grammar.names(seed, 2000))), seed)
    return made_up(dataset, _STANDIN)


# --- names-18 ---------------------------------------------------------------------------------------------------------

LANGUAGES = (
    *("Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish", "Italian", "Japanese"),
    *("Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish", "Vietnamese"),
)

NAMES_18 = DatasetInfo(
    name="names-18",
    title="Surnames of 18 languages, by characters",
    class_names=LANGUAGES,
    arrays={
        "X": ArraySpec(dtype="int32", shape=("n_samples", "length"), low=0, meaning="character ids"),
        "y": class_indices(len(LANGUAGES)),
    },
    licence="MIT (the repository)",
    citation="""\
@misc{robertson2017classifying,
  author = {Robertson, Sean},
  title  = {Classifying Names with a Character-Level {RNN}},
  year   = {2017},
  url    = {https://github.com/spro/practical-pytorch}
}""",
    homepage="https://github.com/spro/practical-pytorch",
    description="20,050 surnames with their accents, from 73 Vietnamese ones to 9,384 Russian ones: compare accuracy "
    "with 0.47, that of always saying Russian. Lines repeat themselves, 108 Arabic names 2,000 times. The 18,012 "
    "different pairs of name and language are split 80 : 10 : 10 by seed, each language for itself, and the lines "
    "of a pair stay together; 469 names occur in several languages, and no model can be right on all of them. "
    "Characters that the training part lacks are <unk>.",
)

_NAMES_18_FILES = remote_files(
    "names-18",
    urls=(
        "https://raw.githubusercontent.com/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names/",
    ),
    facts={
        "Arabic.txt": (13190, "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc"),
        "Chinese.txt": (1246, "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465"),
        "Czech.txt": (3916, "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7"),
        "Dutch.txt": (2351, "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3"),
        "English.txt": (27125, "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2"),
        "French.txt": (2178, "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95"),
        "German.txt": (5610, "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db"),
        "Greek.txt": (1981, "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6"),
        "Irish.txt": (1858, "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058"),
        "Italian.txt": (5657, "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4"),
        "Japanese.txt": (7622, "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f"),
        "Korean.txt": (423, "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136"),
        "Polish.txt": (1165, "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826"),
        "Portuguese.txt": (554, "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53"),
        "Russian.txt": (85168, "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c"),
        "Scottish.txt": (752, "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd"),
        "Spanish.txt": (2284, "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7"),
        "Vietnamese.txt": (339, "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d"),
    },
)


def decode_18(files: Mapping[str, Path]) -> Blocks:
    """Read the names of each language."""
    return _surname_blocks([read_lines(files[f"{language}.txt"]) for language in LANGUAGES])


def _surname_blocks(languages: Sequence[Sequence[str]]) -> Blocks:
    y = np.repeat(np.arange(len(languages)), [len(names) for names in languages])
    names = [name for of_language in languages for name in of_language]
    characters, rows = index_words(names)
    yield "x_characters", np.frombuffer("".join(characters).encode(), dtype=np.uint8)
    yield "x_values", rows.values
    yield "x_offsets", rows.offsets
    yield "y", y.astype(np.int64)
    yield "groups", group_equal(zip(names, y.tolist(), strict=True))


def load_18(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Split the surnames, and take the characters of the training part as vocabulary."""
    rows, y = stored_rows(arrays, "x"), arrays["y"]
    parts = split_groups(arrays["groups"], seed=seed, labels=y)
    characters = arrays["x_characters"].tobytes().decode()
    known = np.flatnonzero(np.bincount(rows.take(parts[0]).values, minlength=len(characters)))
    table = np.full(len(characters), 1, dtype=np.int32)  # <unk>
    table[known] = np.arange(2, 2 + len(known), dtype=np.int32)
    tokens = (PAD, UNK, *(characters[i] for i in known.tolist()))
    vocabulary = Vocabulary(tokens, kind="characters", pad=PAD, unk=UNK)
    train, val, test = (Split(renamed(rows.take(part), table), y[part]) for part in parts)
    return Dataset(NAMES_18, train, val, test, source="", seed=seed, vocabulary=vocabulary)


def standin_18(seed: int) -> Dataset:
    """Return made-up names of 18 made-up languages, 200 of each."""
    names = [[name.title() for name in _grammar.names(seed, 200, language)] for language in range(1, 19)]
    dataset = load_18(gathered(_surname_blocks(names)), seed)
    info = replace(NAMES_18, class_names=tuple(f"made-up language {k}" for k in range(1, 19)))
    return made_up(replace(dataset, info=info), f"{_STANDIN}, in 18 made-up languages")


SETS = {
    NAMES.name: Source(
        NAMES,
        load,
        download=Download(
            files=tuple(_NAMES_FILES.values()),
            decode=decode,
            arrays={
                "x_values": ArrayFacts(
                    dtype="int32", shape=(228146,), low=0, high=26, digest="cc2f10ebea8ac54c70c4aceb4f9d65a3"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(32034,), low=0, high=228146, digest="780836631ec343706f5036d86fcda937"
                ),
                "groups": ArrayFacts(
                    dtype="int32", shape=(32033,), low=0, high=29493, digest="e002d85650eac558c8cb1afef24d130a"
                ),
            },
        ),
        standin=standin,
    ),
    NAMES_18.name: Source(
        NAMES_18,
        load_18,
        download=Download(
            files=tuple(_NAMES_18_FILES.values()),
            decode=decode_18,
            arrays={
                "x_characters": ArrayFacts(
                    dtype="uint8", shape=(110,), low=32, high=197, digest="c6a5e46b185cc42d12507785c0f565e2"
                ),
                "x_values": ArrayFacts(
                    dtype="int32", shape=(143196,), low=0, high=82, digest="935fbdab131d6e360a3e204d73d01d6c"
                ),
                "x_offsets": ArrayFacts(
                    dtype="int64", shape=(20051,), low=0, high=143196, digest="009125ad92f5649b271dc7f9e59006b4"
                ),
                "y": ArrayFacts(
                    dtype="int64",
                    shape=(20050,),
                    low=0,
                    high=17,
                    counts=(2000, 268, 519, 297, 3668, 277, 724, 203, 232, 709, 991, 94, 139, 74, 9384, 100, 298, 73),
                    digest="cdb55f15af3d1ba29614dd59fdfa1857",
                ),
                "groups": ArrayFacts(
                    dtype="int32", shape=(20050,), low=0, high=18011, digest="d68254059d40112a25b6a392fb16f7e3"
                ),
            },
        ),
        standin=standin_18,
    ),
}
