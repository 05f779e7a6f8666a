"""Vocabularies: what is encoded comes back, and what cannot be is refused."""

import builtins
import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data.vocabulary import Vocabulary, split_words, train_bpe
from aifs_utils import DataError

LINES = ["the cat sat on the mat .", "the <unk> sat on the dog .", "a café is not a cafeteria ."] * 3

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60)


def words_of(text, **options):
    """Return the vocabulary of one text."""
    tokens = sorted({*split_words(text, **options), "<unk>"})
    return Vocabulary(tokens, kind="words", unk="<unk>", **options)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("He said: don't!", {}, ["He", "said", ":", "don't", "!"]),
        ("the dogs' bone", {}, ["the", "dogs", "'", "bone"]),
        ("Rock-n-roll, 1,000 times…", {}, ["Rock", "-", "n", "-", "roll", ",", "1", ",", "000", "times", "…"]),
        ("Qu’est-ce qu'il dit ?", {"splitting": "elision"}, ["Qu'", "est", "-", "ce", "qu'", "il", "dit", "?"]),
        ("Il dit 'non'.", {"splitting": "elision"}, ["Il", "dit", "'", "non", "'", "."]),
        ("Cours\u202f! «\xa0Va\xa0»", {}, ["Cours", "!", "«", "Va", "»"]),
        ("soft\u00adware, zero\u200bwidth", {}, ["software", ",", "zerowidth"]),
        ("cafe\u0301 CAFÉ", {"lowercase": True}, ["café", "café"]),
        ("a <unk> b<eos>", {}, ["a", "<unk>", "b", "<eos>"]),
        ("it 's  a @-@ b", {"splitting": "spaces"}, ["it", "'s", "a", "@-@", "b"]),
        ("", {}, []),
    ],
)
def test_a_sentence_is_split_as_the_documentation_says(text, options, words):
    """Punctuation apart, apostrophes with their words."""
    assert split_words(text, **options) == words


@settings(deadline=None)
@given(text=texts, splitting=st.sampled_from(["punctuation", "elision", "spaces"]), lowercase=st.booleans())
def test_words_come_back(text, splitting, lowercase):
    """Decoding and encoding again gives the same ids, whatever the text."""
    vocabulary = words_of(text, splitting=splitting, lowercase=lowercase)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert [vocabulary.tokens[i] for i in ids] == split_words(text, splitting=splitting, lowercase=lowercase)
    if not lowercase:  # small letters of some scripts are changed again when they are taken as small letters
        np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(ids)), ids)


@given(text=texts)
def test_characters_come_back_as_they_were(text):
    """Line ends and all."""
    vocabulary = Vocabulary(sorted(set(text)), kind="characters")
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_an_elided_word_is_written_without_a_blank():
    """So that it is split the same way again."""
    vocabulary = words_of("l'homme d'<unk> dit", splitting="elision")
    ids = vocabulary.encode("l'homme d'affaires dit")
    assert vocabulary.decode(ids) == "l'homme d'<unk> dit"
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(ids)), ids)


def test_an_unknown_token_is_unk_or_refused():
    """As the vocabulary has it."""
    assert Vocabulary("<ab", kind="characters", unk="<").encode("abc").tolist() == [1, 2, 0]
    with pytest.raises(DataError, match="'c' is none of the 2 tokens, and the vocabulary has no unk for it"):
        Vocabulary("ab", kind="characters").encode("abc")


def test_special_tokens_are_ids_and_can_be_left_out():
    """An unknown word is no such token: it shows."""
    specials = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>"}
    vocabulary = Vocabulary([*specials.values(), "go"], kind="words", **specials)
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos) == (0, 1, 2, 3)
    assert vocabulary.decode([2, 4, 1, 3, 0, 0]) == "<bos> go <unk> <eos> <pad> <pad>"
    assert vocabulary.decode([2, 4, 1, 3, 0, 0], specials=False) == "go <unk>"
    assert "go" in vocabulary
    assert "stop" not in vocabulary
    assert repr(vocabulary) == "Vocabulary(5 words, pad=0, unk=1, bos=2, eos=3)"


def test_tokens_are_encoded_as_they_are():
    """A list is not split again."""
    vocabulary = Vocabulary(["a b", "c"], kind="words")
    assert vocabulary.encode(["c", "a b"]).tolist() == [1, 0]
    assert vocabulary.encode([]).dtype == np.int32


@pytest.mark.parametrize("ids", [[5], [-1], [0.0], [[0, 2]], [True]])
def test_ids_of_another_vocabulary_are_refused(ids):
    """With the range that was expected."""
    with pytest.raises(DataError, match="ids are integers from 0 to 1, got"):
        Vocabulary("ab", kind="characters").decode(ids)


def test_a_vocabulary_does_not_change():
    """Nobody's training can be given other ids than another's."""
    vocabulary = Vocabulary("ab", kind="characters")
    for name in ("tokens", "kind", "pad"):
        with pytest.raises(AttributeError):
            setattr(vocabulary, name, "c")
    with pytest.raises(TypeError):
        vocabulary.tokens[0] = "c"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": "aba"}, "tokens of a vocabulary are all different, got 'a' twice"),
        ({"pad": "<pad>"}, "pad is one of the tokens, got '<pad>', which is none of the 2"),
        ({"kind": "wrods"}, "wrods.*words"),
        ({"splitting": "space"}, "space.*spaces"),
        ({"kind": "bpe"}, "has a model if it is of kind 'bpe'"),
        ({"model": "{}"}, "has a model if it is of kind 'bpe'"),
    ],
)
def test_what_is_no_vocabulary_is_refused(arguments, message):
    """What was expected, and what was got."""
    arguments = {"tokens": "ab", "kind": "characters", **arguments}
    with pytest.raises(DataError, match=message):
        Vocabulary(arguments.pop("tokens"), **arguments)


def test_a_vocabulary_can_be_kept_as_json():
    """And is the same afterwards; so is a copy."""
    vocabulary = words_of("l'homme «dit»", splitting="elision", lowercase=True)
    for other in (Vocabulary.from_json(vocabulary.to_json()), copy.deepcopy(vocabulary)):
        assert other == vocabulary
        assert hash(other) == hash(vocabulary)
        np.testing.assert_array_equal(other.encode("L'homme dit"), vocabulary.encode("L'homme dit"))
    assert vocabulary != words_of("l'homme «dit»", splitting="elision")


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": []}', '{"tokens": [], "colour": 1}'])
def test_other_json_is_no_vocabulary(text):
    """And is refused as such."""
    with pytest.raises(DataError, match=r"a vocabulary is the JSON that Vocabulary\.to_json gives"):
        Vocabulary.from_json(text)


class TestPiecesOfWords:
    """Byte-pair encoding, where the library for it is installed."""

    @pytest.fixture(autouse=True)
    def library(self):
        """Skip these tests where it is not."""
        pytest.importorskip("tokenizers", reason="tokenizers is not installed")

    @settings(deadline=None, max_examples=50)
    @given(text=texts.filter(lambda text: "<" not in text))
    def test_every_text_comes_back(self, text):
        """Since every byte is a token."""
        vocabulary = train_bpe(LINES, vocab_size=280)
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        np.testing.assert_array_equal(vocabulary.encode(vocabulary.split(text)), ids)

    def test_frequent_neighbours_are_merged(self):
        """A text of the kind that it was trained on takes fewer tokens than bytes, and special tokens stay whole."""
        vocabulary = train_bpe(LINES, vocab_size=290)
        assert len(vocabulary) == 290
        assert vocabulary.tokens[:2] == ("<unk>", "<eos>")
        ids = vocabulary.encode("the <unk> sat")
        assert len(ids) < len("the  sat")
        assert (ids == vocabulary.unk).sum() == 1

    def test_the_same_lines_give_the_same_vocabulary(self):
        """To the last merge."""
        assert train_bpe(LINES, vocab_size=285) == train_bpe(iter(LINES), vocab_size=285)
        assert train_bpe(LINES, vocab_size=285) != train_bpe(LINES[:1], vocab_size=285)

    def test_it_can_be_kept_as_json(self):
        """Model and all."""
        vocabulary = train_bpe(LINES, vocab_size=285)
        other = Vocabulary.from_json(vocabulary.to_json())
        assert other == vocabulary
        np.testing.assert_array_equal(other.encode("the mat"), vocabulary.encode("the mat"))

    def test_it_has_room_for_every_byte(self):
        """Or it is refused."""
        assert len(train_bpe(LINES, vocab_size=258)) == 258
        with pytest.raises(DataError, match="vocab_size is an integer of at least 258, got 257"):
            train_bpe(LINES, vocab_size=257)


def test_without_the_library_the_command_that_installs_it_is_named(monkeypatch):
    """Whoever does not need it does without."""
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "tokenizers":
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r'the package tokenizers, which is missing: pip install "aifs-data\[bpe\]"'):
        train_bpe(LINES, vocab_size=300)
