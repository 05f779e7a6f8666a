"""What token ids stand for: characters, words, or pieces of words."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.checks import require_count
from aifs_utils import DataError, look_up

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import ArrayLike, NDArray

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"

_KINDS = ("characters", "words", "bpe")
_N_BYTES = 256

# An apostrophe inside a word belongs to it ("don't"); where it marks an elision, as in French, it ends the word.
_SPECIAL = "<(?:pad|unk|bos|eos)>"
_WORD = {
    "punctuation": re.compile(rf"{_SPECIAL}|\w+(?:'\w+)*|[^\w\s]"),
    "elision": re.compile(rf"{_SPECIAL}|\w+'(?=\w|<unk>)|\w+|[^\w\s]"),
}
_AFTER_ELISION = re.compile(r"(?<=\w') (?=\w|<unk>)")
_SPLITTING = ("spaces", *_WORD)


def split_words(text: str, *, splitting: str = "punctuation", lowercase: bool = False) -> list[str]:
    """Split a sentence into words.

    Parameters
    ----------
    text : str
        Accents may be written as one character or as two; ’ counts as the apostrophe '.
    splitting : {"punctuation", "elision", "spaces"}
        "punctuation": words are runs of letters, digits and underscores, with the apostrophes inside them; each other
        sign is a word of its own. "elision": the same, but an apostrophe ends a word, as in French. "spaces": what
        stands between spaces, for text that is split already.
    lowercase : bool
        Whether to take all letters as small ones.

    Returns
    -------
    list of str

    Examples
    --------
    >>> split_words("Don't stop, re-run!")
    ["Don't", 'stop', ',', 're', '-', 'run', '!']
    >>> split_words("L'homme d’affaires", splitting="elision", lowercase=True)
    ["l'", 'homme', "d'", 'affaires']
    """
    if lowercase:
        text = text.lower()
    if splitting == "spaces":
        return text.split()
    if not text.isascii():
        # Soft hyphens and zero-width spaces are invisible, and would tear words apart.
        text = unicodedata.normalize("NFC", text).replace("’", "'").replace("\u00ad", "").replace("\u200b", "")
    pattern = look_up(_WORD, splitting, "splitting into words", DataError)
    words: list[str] = pattern.findall(text)
    return words


class Vocabulary:
    """Tokens and their ids: token i is ``tokens[i]``. It does not change once it is made.

    Parameters
    ----------
    tokens : sequence of str
        All different.
    kind : {"characters", "words", "bpe"}
        What a token is. "bpe" needs `model`.
    pad, unk, bos, eos : str, optional
        Which of the tokens fills up shorter sequences, stands for what is not in the vocabulary, begins a sequence and
        ends it.
    splitting, lowercase
        How a text becomes words; see `split_words`.
    model : str, optional
        The JSON of a tokenizer of the `tokenizers` library; see `train_bpe`.

    Attributes
    ----------
    pad, unk, bos, eos : int or None
        The ids of those tokens.

    Raises
    ------
    DataError
        When a token occurs twice, or a special token is none of the tokens.

    Examples
    --------
    >>> words = Vocabulary(["<unk>", "the", "cat", "sat"], kind="words", unk="<unk>", lowercase=True)
    >>> words.encode("The dog sat")
    array([1, 0, 3], dtype=int32)
    >>> words.decode([1, 2, 3])
    'the cat sat'
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        kind: str,
        pad: str | None = None,
        unk: str | None = None,
        bos: str | None = None,
        eos: str | None = None,
        splitting: str = "punctuation",
        lowercase: bool = False,
        model: str | None = None,
    ) -> None:
        look_up(dict.fromkeys(_KINDS), kind, "kind of vocabulary", DataError)
        look_up(dict.fromkeys(_SPLITTING), splitting, "splitting into words", DataError)
        if (kind == "bpe") != (model is not None):
            raise DataError(f"a vocabulary has a model if it is of kind 'bpe', and only then, got kind {kind!r}")
        self._tokens = tuple(tokens)
        self._kind, self._splitting, self._lowercase, self._model = kind, splitting, lowercase, model
        self._specials = {"pad": pad, "unk": unk, "bos": bos, "eos": eos}
        self._special_ids = {role: self._find(role, token) for role, token in self._specials.items()}
        if len(set(self._tokens)) < len(self._tokens):
            twice = next(token for token in self._tokens if self._tokens.count(token) > 1)
            raise DataError(f"the tokens of a vocabulary are all different, got {twice!r} twice")

    def _find(self, role: str, token: str | None) -> int | None:
        if token is not None and token not in self._tokens:
            raise DataError(f"{role} is one of the tokens, got {token!r}, which is none of the {len(self)}")
        return None if token is None else self._tokens.index(token)

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash((self._tokens, self._kind))

    def __repr__(self) -> str:
        specials = "".join(f", {role}={i}" for role, i in self._special_ids.items() if i is not None)
        return f"Vocabulary({len(self)} {'pieces of words' if self.kind == 'bpe' else self.kind}{specials})"

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens, in the order of their ids."""
        return self._tokens

    @property
    def kind(self) -> str:
        """What a token is: "characters", "words" or "bpe"."""
        return self._kind

    @property
    def pad(self) -> int | None:
        """The id that fills up shorter sequences."""
        return self._special_ids["pad"]

    @property
    def unk(self) -> int | None:
        """The id of what is not in the vocabulary."""
        return self._special_ids["unk"]

    @property
    def bos(self) -> int | None:
        """The id that begins a sequence."""
        return self._special_ids["bos"]

    @property
    def eos(self) -> int | None:
        """The id that ends a sequence."""
        return self._special_ids["eos"]

    @cached_property
    def _ids(self) -> dict[str, int]:
        # Made when it is first asked for, since most runs only count the tokens.
        return {token: i for i, token in enumerate(self._tokens)}

    def split(self, text: str) -> list[str]:
        """Return a text as the tokens that it consists of, known or not."""
        if self._kind == "characters":
            return list(text.lower() if self._lowercase else text)
        if self._kind == "words":
            return split_words(text, splitting=self._splitting, lowercase=self._lowercase)
        pieces: list[str] = self._tokenizer.encode(text, add_special_tokens=False).tokens
        return pieces

    def encode(self, text: str | Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of a text, or of tokens; no `bos` and no `eos` is added.

        Parameters
        ----------
        text : str or iterable of str
            A str is split first; anything else is taken as the tokens themselves.

        Returns
        -------
        ndarray of int32, shape (n_tokens,)

        Raises
        ------
        DataError
            When a token is unknown and the vocabulary has no `unk`.
        """
        tokens = self.split(text) if isinstance(text, str) else list(text)
        ids = [self._ids.get(token, self.unk) for token in tokens]
        if None in ids:
            unknown = tokens[ids.index(None)]
            raise DataError(f"{unknown!r} is none of the {len(self)} tokens, and the vocabulary has no unk for it")
        return np.array(ids, dtype=np.int32)

    def decode(self, ids: ArrayLike, *, specials: bool = True) -> str:
        """Return the text that these ids stand for.

        Parameters
        ----------
        ids : array-like of int, shape (n_tokens,)
        specials : bool
            False leaves out `pad`, `bos` and `eos`. An unknown word always shows.

        Returns
        -------
        str
            Characters as they follow each other; words with spaces between them, which is how they were split and not
            how they were written.

        Raises
        ------
        DataError
            When an id is none of the vocabulary's.
        """
        chosen = np.asarray(ids).reshape(-1)
        if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= len(self)):
            raise DataError(f"ids are integers from 0 to {len(self) - 1}, got {chosen.dtype} {chosen}")
        dropped = set() if specials else {self.pad, self.bos, self.eos}
        kept = [i for i in chosen.tolist() if i not in dropped]
        if self._kind == "bpe":
            text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
            return text
        text = ("" if self._kind == "characters" else " ").join(self._tokens[i] for i in kept)
        return _AFTER_ELISION.sub("", text) if self._splitting == "elision" else text

    def to_json(self) -> str:
        """Return all of it as JSON, to keep beside a model's weights."""
        return json.dumps(self._state(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Return the vocabulary that `to_json` wrote.

        Raises
        ------
        DataError
            When `text` is none.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise DataError(f"a vocabulary is the JSON that Vocabulary.to_json gives, got {text[:40]!r}…") from error

    def _state(self) -> dict[str, Any]:
        how = {"kind": self._kind, "splitting": self._splitting, "lowercase": self._lowercase, "model": self._model}
        return {"tokens": list(self._tokens), **how, **self._specials}

    @cached_property
    def _tokenizer(self) -> Any:
        return _tokenizers().Tokenizer.from_str(self._model)


def train_bpe(lines: Iterable[str], *, vocab_size: int, specials: Sequence[str] = (UNK, EOS)) -> Vocabulary:
    """Learn pieces of words from a text, by byte-pair encoding of its bytes.

    Every text can be encoded, since each byte is a token; frequent neighbours are merged until there are `vocab_size`
    tokens.

    Parameters
    ----------
    lines : iterable of str
        The training part, and nothing else.
    vocab_size : int
        At least 256 for the bytes, and `specials`. A short text may give fewer tokens.
    specials : sequence of str
        Of "<pad>", "<unk>", "<bos>", "<eos>": they get the first ids, and are never taken apart where they stand in a
        text.

    Returns
    -------
    Vocabulary
        The same for the same lines.

    Raises
    ------
    DataError
        When `vocab_size` is too small, or the `tokenizers` library is missing.

    References
    ----------
    Sennrich, Haddow, Birch. "Neural Machine Translation of Rare Words with Subword Units", ACL 2016.
    Radford et al. "Language Models are Unsupervised Multitask Learners", 2019 (on bytes).
    """
    require_count("vocab_size", vocab_size, at_least=_N_BYTES + len(specials))
    library = _tokenizers()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(specials),
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    ids = tokenizer.get_vocab()
    pad, unk, bos, eos = (token if token in ids else None for token in (PAD, UNK, BOS, EOS))
    tokens = sorted(ids, key=ids.__getitem__)
    return Vocabulary(tokens, kind="bpe", pad=pad, unk=unk, bos=bos, eos=eos, model=tokenizer.to_str())


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise DataError(
            'byte-pair encoding needs the package tokenizers, which is missing: pip install "aifs-data[bpe]"'
        ) from error
    return tokenizers
