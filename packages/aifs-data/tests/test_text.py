"""Sets of text: read from files in the formats of the originals, split without a leak, and stood in for."""

import gzip
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import load_dataset
from aifs_data.arrays import Ragged
from aifs_data.cache import array_digest, check_array
from aifs_data.registry import find_source
from aifs_data.sources import _grammar, _text
from aifs_data.sources.names import LANGUAGES
from aifs_data.validation import check_dataset
from aifs_data.vocabulary import split_words
from aifs_utils import DataError

PAIRS = ("multi30k-en-fr", "multi30k-en-de", "fra-eng")
NAMES = ("tiny-shakespeare", "names", "names-18", "wikitext-2", *PAIRS, "sst2", "rt-polarity")
OFFICIAL = ("multi30k-en-fr", "multi30k-en-de", "sst2")  # split by their authors

FOLDER = Path(os.environ.get("AIFS_TEST_DATA", "/nowhere"))
real_files = pytest.mark.skipif(not FOLDER.is_dir(), reason="AIFS_TEST_DATA names no folder with the original files")


def sentences(n, *, start=0):
    """Return different short sentences."""
    return [f"This is sentence {chr(97 + i // 26)}{chr(97 + i % 26)}, isn't it?" for i in range(start, start + n)]


def article(title, text):
    """Return an article as WikiText has it."""
    return f" \n = {title} = \n \n {text} \n \n = = Section = = \n \n {text} \n"


def write_made_up_files(folder):
    """Write small files in the formats of the originals."""
    (folder / "input.txt").write_text("First Citizen:\nSpeak, speak.\n" * 30, encoding="utf-8")
    names = [f"{a}{b}a" for a in "bcdf" for b in "aeiou"]
    (folder / "names.txt").write_text("\n".join(names + names[:5]), encoding="utf-8")
    for i, language in enumerate(LANGUAGES):
        surnames = [f"{a}é{b}{chr(97 + i)}" for a in "BCD" for b in "lm"]
        (folder / f"{language}.txt").write_text("\n".join([*surnames, f"{surnames[0]} ", ""]), encoding="utf-8")
    valid = [article(f"Title {i} ( film )", f"The <unk> number {i} , here = there = .") for i in range(10)]
    (folder / "valid.txt").write_text("".join(valid), encoding="utf-8")
    (folder / "test.txt").write_text(article("Test", "Words of number 3 that only it has ."), encoding="utf-8")
    for part, lines in (("train", sentences(20)), ("val", sentences(3, start=30)), ("test_2016_flickr", ["Solo."])):
        for language in ("en", "fr", "de"):
            data = "".join(f"{line}\n" for line in lines).encode()
            (folder / f"{part}.{language}.gz").write_bytes(gzip.compress(data))
    pairs = [(line, f"L’eau, {line}\u202f!") for line in sentences(30)] + [(sentences(1)[0], "Autre chose.")]
    with zipfile.ZipFile(folder / "fra-eng.zip", "w") as archive:
        archive.writestr("_about.txt", "About")
        archive.writestr("fra.txt", "".join(f"{source}\t{target}\n" for source, target in pairs))
    for name, n in (("train", 10), ("dev", 4), ("test", 6)):
        rows = [f"{name} 's a -- film {i}\t{i % 2}" for i in range(n)]
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for label in ("neg", "pos"):
        lines = [f"it's {label} , é {line} " for line in sentences(10)]
        (folder / f"rt-polarity.{label}").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def made_up(tmp_path):
    """A function that loads a set from small files in the original's format."""
    write_made_up_files(tmp_path)

    def load(name, *, seed=0, options=None, **parameters):
        entry = find_source(name)
        files = {file.name: tmp_path / file.name for file in entry.download.files}
        return entry.load(dict(entry.download.decode(files, **(options or {}))), seed, **parameters)

    return load


def parts_of(dataset):
    """Return the three parts."""
    return dataset.train, dataset.val, dataset.test


def texts_of(dataset, part, which="X"):
    """Return what a part says, sequence by sequence."""
    vocabulary = dataset.target_vocabulary if which == "y" else dataset.vocabulary
    rows = getattr(part, which)
    return [vocabulary.decode(rows[i], specials=False) for i in range(len(rows))]


def values_of(array):
    """Return all elements of an array or of sequences."""
    return array.values if isinstance(array, Ragged) else array


# --- each set, from made-up files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_what_its_card_says(name, made_up):
    """Type, shape, range and classes."""
    check_dataset(made_up(name, seed=4))


def test_a_text_is_predicted_character_by_character(made_up):
    """The parts follow each other in the text, and both arrays are views of it."""
    dataset = made_up("tiny-shakespeare")
    text = "First Citizen:\nSpeak, speak.\n" * 30
    said = [dataset.vocabulary.decode([*part.X, part.y[-1]]) for part in parts_of(dataset)]
    assert "".join(said) == text
    assert [len(part) for part in said] == [783, 43, 44]
    for part in parts_of(dataset):
        np.testing.assert_array_equal(part.X[1:], part.y[:-1])
        assert np.shares_memory(part.X, part.y)


def test_a_character_that_training_lacks_is_refused(tmp_path):
    """Since the vocabulary of characters has no place for it."""
    (tmp_path / "input.txt").write_text("a" * 99 + "é", encoding="utf-8")
    entry = find_source("tiny-shakespeare")
    with pytest.raises(DataError, match="hold every character of it, but they lack 'é'"):
        entry.load(dict(entry.download.decode({"input.txt": tmp_path / "input.txt"})), 0)


def test_a_name_begins_and_ends_with_a_dot(made_up):
    """And y is X one character later."""
    dataset = made_up("names")
    for part in parts_of(dataset):
        for i in range(len(part)):
            x, y = dataset.vocabulary.decode(part.X[i]), dataset.vocabulary.decode(part.y[i])
            assert x[0] == "."
            assert y == x[1:] + "."
            assert "." not in y[:-1]


@pytest.mark.parametrize("seed", range(5))
def test_a_name_that_is_there_twice_is_twice_in_one_part(made_up, seed):
    """And no name is lost."""
    parts = [texts_of(dataset, part) for dataset in [made_up("names", seed=seed)] for part in parts_of(dataset)]
    assert sum(map(len, parts)) == 25
    assert sum(len(set(part)) for part in parts) == len(set().union(*parts)) == 20
    assert all(parts)


@pytest.mark.parametrize("seed", range(5))
def test_surnames_keep_their_accents_and_their_language(made_up, seed):
    """Blanks at the end of a line are none of a name's; every language is in every part."""
    dataset = made_up("names-18", seed=seed)
    pairs = [set(zip(texts_of(dataset, part), part.y.tolist(), strict=True)) for part in parts_of(dataset)]
    assert sum(len(part) for part in parts_of(dataset)) == 7 * 18
    assert sum(map(len, pairs)) == len(set.union(*pairs)) == 6 * 18
    for part in pairs:
        assert {label for _, label in part} == set(range(18))
    assert all(name[-1] == chr(97 + label) and name[1] == "é" for name, label in pairs[0])


def test_articles_are_not_cut_apart(made_up):
    """Eight of ten are for training, the titles of sections are none of articles, and a line ends in <eos>."""
    dataset = made_up("wikitext-2")
    train, val, test = (dataset.vocabulary.decode([*part.X, part.y[-1]]) for part in parts_of(dataset))
    assert train.startswith("<eos> = Title 0 ( film ) = <eos> <eos> The <unk> number 0 , here = there = . <eos>")
    assert train.count("Title") == 8
    assert train.endswith("= = Section = = <eos> <eos> The <unk> number 7 , here = there = . <eos>")
    assert val.startswith("<eos> = Title <unk> ( film ) =")  # "8" is no word of the training part
    assert test.startswith("<eos> = <unk> = <eos> <eos> <unk> <unk> number 3 <unk> <unk>")
    assert val.count("<eos>") == 2 * 8


def test_a_vocabulary_has_the_size_that_was_asked_for(made_up):
    """The most frequent words stay."""
    whole = made_up("wikitext-2").vocabulary
    small = made_up("wikitext-2", options={"vocab_size": 6}).vocabulary
    assert small.tokens == whole.tokens[:6]
    with pytest.raises(DataError, match="vocab_size is an integer of at least 3, got 2"):
        made_up("wikitext-2", options={"vocab_size": 2})
    with pytest.raises(DataError, match="bpe"):
        made_up("wikitext-2", options={"tokens": "bps"})


def test_articles_come_in_pieces_of_words_too(made_up):
    """Learned from the training part only: nothing is unknown, and the text comes back."""
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    dataset = made_up("wikitext-2", options={"tokens": "bpe", "vocab_size": 300})
    assert len(dataset.vocabulary) <= 300
    said = dataset.vocabulary.decode([*dataset.test.X, dataset.test.y[-1]])
    assert said.startswith("<eos>= Test =<eos><eos>Words of number 3 that only it has .<eos>")
    assert "Test" not in "".join(dataset.vocabulary.tokens)


@pytest.mark.parametrize("name", ["multi30k-en-fr", "multi30k-en-de"])
def test_a_translation_stands_beside_its_sentence(name, made_up):
    """In the official parts and in the order of the files."""
    dataset = made_up(name, min_count=1)
    assert [len(part) for part in parts_of(dataset)] == [20, 3, 1]
    assert dataset.vocabulary.decode(dataset.train.X[1]) == "this is sentence ab , isn't it ? <eos>"
    assert dataset.target_vocabulary.decode(dataset.train.y[1]) == "<bos> this is sentence ab , isn't it ? <eos>"
    assert dataset.vocabulary.decode(dataset.val.X[0]) == "this is sentence <unk> , isn't it ? <eos>"
    assert dataset.test.X[0].tolist() == [dataset.vocabulary.unk, dataset.vocabulary.unk, dataset.vocabulary.eos]


def test_french_words_are_split_at_their_apostrophes(made_up):
    """And the vocabulary knows how."""
    dataset = made_up("fra-eng", min_count=1)
    words = [dataset.target_vocabulary.tokens[i] for i in dataset.train.y[0]]
    assert words[:4] == ["<bos>", "l'", "eau", ","]
    np.testing.assert_array_equal(dataset.target_vocabulary.encode("L’eau,"), dataset.train.y[0][1:4])


def test_files_of_different_length_are_no_translation(made_up, tmp_path):
    """Nothing is paired with what it does not translate."""
    (tmp_path / "val.fr.gz").write_bytes(gzip.compress(b"Une ligne.\n"))
    with pytest.raises(DataError, match="val is expected to have as many lines in both languages, got 3 and 1"):
        made_up("multi30k-en-fr")


@pytest.mark.parametrize(
    ("name", "file", "data", "message"),
    [
        ("multi30k-en-fr", "train.en.gz", b"no gzip", "train.en.gz is damaged .*gzip"),
        ("multi30k-en-fr", "train.en.gz", gzip.compress(b"a\n" * 99, mtime=0)[:-9], "train.en.gz is damaged .*end-of"),
        ("multi30k-en-de", "val.de.gz", gzip.compress(b"\xff", mtime=0), "val.de.gz is expected to be text in UTF-8"),
        ("sst2", "dev.tsv", b"a sentence\t2\n", "dev.tsv is expected to have lines of a sentence, a tab and 0 or 1"),
        ("sst2", "dev.tsv", b"a sentence\n", "got 'a sentence'"),
        ("names", "names.txt", b"emma\nZo\xc3\xab\n", r"small letters a to z, got \['Z', 'ë'\]"),
        ("rt-polarity", "rt-polarity.pos", b"\xe9t\xe9\n", "rt-polarity.pos is expected to be text in UTF-8"),
        ("wikitext-2", "valid.txt", b" \n = Only = \n \n one \n", "2 articles at least, each below a title, got 1"),
    ],
)
def test_a_file_of_another_format_is_refused(name, file, data, message, made_up, tmp_path):
    """With what was expected, and what came."""
    (tmp_path / file).write_bytes(data)
    with pytest.raises(DataError, match=message):
        made_up(name)


def test_a_zip_without_pairs_is_refused(made_up, tmp_path):
    """As another edition of the file could be, which has a third column."""
    with zipfile.ZipFile(tmp_path / "fra-eng.zip", "w") as archive:
        archive.writestr("fra.txt", "Go.\tVa !\tCC-BY 2.0\n")
    with pytest.raises(DataError, match="lines of two sentences with a tab between, got"):
        made_up("fra-eng")


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_share_a_sentence_are_in_one_part(made_up, seed):
    """Whichever side they share."""
    dataset = made_up("fra-eng", seed=seed, min_count=1)
    for part in parts_of(dataset):
        rows = [i for i, text in enumerate(texts_of(dataset, part, "y")) if text.endswith("chose .")]
        assert all(texts_of(dataset, part).count(texts_of(dataset, part)[i]) == 2 for i in rows)


def test_reviews_have_their_classes(made_up):
    """0 is negative, and the words of published sentences are not split again."""
    polarity = made_up("rt-polarity", min_count=1)
    texts = texts_of(polarity, polarity.train)
    assert all(
        polarity.class_names[label].startswith(text[5:8]) for text, label in zip(texts, polarity.train.y, strict=True)
    )
    assert texts[0].startswith("it's ")
    assert " , é this is sentence" in texts[0]
    sentiment = made_up("sst2", min_count=1)
    assert texts_of(sentiment, sentiment.train)[1] == "train 's a -- film 1"
    assert [part.y.tolist() for part in parts_of(sentiment)] == [[0, 1] * 5, [0, 1] * 2, [0, 1] * 3]


@pytest.mark.parametrize("name", PAIRS)
def test_long_pairs_can_be_left_out(name, made_up):
    """<bos> and <eos> are not counted."""
    whole, short = made_up(name), made_up(name, max_length=9)
    for part, shorter in zip(parts_of(whole), parts_of(short), strict=True):
        fits = (part.X.lengths <= 10) & (part.y.lengths <= 11)
        assert len(shorter) == fits.sum()
    with pytest.raises(DataError, match="max_length is an integer of at least 1, got 0"):
        made_up(name, max_length=0)


@pytest.mark.parametrize("name", [*PAIRS, "sst2", "rt-polarity"])
@pytest.mark.parametrize("min_count", [1, 2, 5])
def test_a_vocabulary_has_the_frequent_words_of_the_training_part(name, made_up, min_count):
    """The most frequent first; what occurs in other parts does not count."""
    everything, dataset = made_up(name, min_count=1), made_up(name, min_count=min_count)
    counts = Counter(values_of(everything.train.X).tolist())
    words = [everything.vocabulary.tokens[i] for i, n in counts.items() if n >= min_count]
    specials = [token for token in dataset.vocabulary.tokens if token.startswith("<")]
    chosen = dataset.vocabulary.tokens[len(specials) :]
    assert sorted(chosen) == sorted(set(words) - set(specials))
    of_chosen = [counts[everything.vocabulary.encode([word])[0]] for word in chosen]
    assert of_chosen == sorted(of_chosen, reverse=True)
    with pytest.raises(DataError, match="min_count is an integer of at least 1, got 0"):
        made_up(name, min_count=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_split_is_a_function_of_the_seed(name, made_up):
    """Where it is not official."""
    first, again, other = (made_up(name, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert (first.digest == other.digest) == (name in {*OFFICIAL, "tiny-shakespeare", "wikitext-2"})


# --- the pieces that they share ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(rows=st.lists(st.lists(st.sampled_from(["b", "a", "é", "<eos>", "zz", "Z"]), max_size=5), max_size=8))
def test_words_are_indexed_and_come_back(rows):
    """Sorted by code points, with offsets that a Ragged accepts."""
    words, indexed = _text.index_words(rows)
    assert words == sorted({word for row in rows for word in row})
    assert [[words[i] for i in indexed[k]] for k in range(len(indexed))] == rows
    if words:
        assert _text.unpacked(_text.packed(words)) == words


# --- the grammar ------------------------------------------------------------------------------------------------------


def test_the_grammar_says_the_same_on_every_python():
    """Word for word; a change here changes what every stand-in of text is."""
    assert _grammar.play(0, 1) == (
        "QUEEN:\nIn the morning, nobody quietly remembers the key of the queen.\n"
        "At night, the queen waits for nobody.\n"
    )
    assert _grammar.dates(0, 1) == [("the fifth of november sixteen fifty five", "1 6 5 5 - 1 1 - 0 5")]
    assert _grammar.reviews(0, 2) == [
        ("i found the acting flat", 0),
        ("the ending is really tedious , but the plot is really brilliant", 1),
    ]
    assert _grammar.names(0, 3) == ["reilnoldou", "nounrolnoul", "nuduru"]


def test_dates_in_words_are_their_digits():
    """Every day once."""
    pairs = _grammar.dates(3, 3000)
    assert len({digits for _, digits in pairs}) == 3000
    years = dict.fromkeys(["sixteen hundred", "seventeen oh five", "eighteen twelve", "nineteen ninety nine"])
    for words, digits in pairs:
        year = next((year for year in years if words.endswith(year)), None)
        if year:
            years[year] = digits.replace(" ", "")[:4]
    assert years == {
        "sixteen hundred": "1600",
        "seventeen oh five": "1705",
        "eighteen twelve": "1812",
        "nineteen ninety nine": "1999",
    }


def test_the_polarity_of_a_review_is_no_matter_of_its_words_alone():
    """Every third clause or so with a word of praise is no praise."""
    reviews = _grammar.reviews(1, 2000)
    assert sum(label for _, label in reviews) == 1000
    assert len({text for text, _ in reviews}) == 2000
    praised = [label for text, label in reviews if "but" not in split_words(text) and "superb" in split_words(text)]
    assert 0.5 < np.mean(praised) < 0.9


# --- stand-ins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_standin_is_announced_and_true_to_the_card(name):
    """load_dataset checks its arrays; the field says what it is."""
    dataset = load_dataset(name, source="standin")
    assert dataset.is_standin
    assert dataset.source == "standin"
    assert "made-up" in dataset.standin
    assert dataset.vocabulary.unk is None or (values_of(dataset.train.X) != dataset.vocabulary.unk).mean() > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_a_standin_is_a_function_of_the_seed(name):
    """Equal seeds, equal text; other seeds, other text."""
    first, again, other = (load_dataset(name, source="standin", seed=seed) for seed in (3, 3, 4))
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize("name", ["names", "names-18", *PAIRS, "sst2", "rt-polarity"])
def test_no_sample_of_a_standin_is_in_two_parts(name):
    """Nor is an input with another target."""
    dataset = load_dataset(name, source="standin", seed=2)
    parts = [{*texts_of(dataset, part)} for part in parts_of(dataset)]
    if name == "names-18":  # a name may be one of two languages
        parts = [{*zip(texts_of(dataset, part), part.y.tolist(), strict=True)} for part in parts_of(dataset)]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_the_languages_of_made_up_names_are_not_called_arabic():
    """A figure of a stand-in names no language that is not in it."""
    dataset = load_dataset("names-18", source="standin")
    assert dataset.class_names[0] == "made-up language 1"
    assert dataset.n_classes == 18


def test_a_standin_takes_the_parameters_of_its_set():
    """The same call works with and without the files."""
    assert len(load_dataset("wikitext-2", source="standin", vocab_size=10).vocabulary) == 10
    short = load_dataset("fra-eng", source="standin", max_length=11, min_count=3)
    assert short.train.X.lengths.max() <= 12


def samples_of(part):
    """Return the samples of a part."""
    return {(part.X[i].tobytes(), np.asarray(part.y[i]).tobytes()) for i in range(len(part))}


def inputs_of(part):
    """Return the inputs of a part."""
    return {part.X[i].tobytes() for i in range(len(part))}


def targets_of(part):
    """Return the targets of a part."""
    return {part.y[i].tobytes() for i in range(len(part))}


# --- the real files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoded():
    """A function that gives the arrays of a set, decoded from the real files once."""
    known = {}

    def arrays(name):
        if name not in known:
            download = find_source(name).download
            known[name] = dict(download.decode({file.name: FOLDER / file.path for file in download.files}))
        return known[name]

    return arrays


@real_files
@pytest.mark.parametrize("name", NAMES)
def test_the_real_files_decode_to_what_the_registry_says(name, decoded):
    """Type, shape, classes and digest."""
    facts = find_source(name).download.arrays
    arrays = decoded(name)
    assert set(arrays) == set(facts)
    for key, array in arrays.items():
        check_array(key, array, facts[key], array_digest(array))
        assert facts[key].low <= array.min() <= array.max() <= facts[key].high


@real_files
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("tiny-shakespeare", (1003853, 55769, 55769)),
        ("wikitext-2", (180144, 37500, 245568)),  # 245,569 tokens, as papers count the test part
        ("multi30k-en-fr", (29000, 1014, 1000)),
        ("multi30k-en-de", (29000, 1014, 1000)),
        ("sst2", (6920, 872, 1821)),
        ("rt-polarity", (8530, 1066, 1066)),
    ],
)
def test_parts_have_the_sizes_of_the_field(name, sizes, decoded):
    """Where they do not depend on the seed."""
    dataset = find_source(name).load(decoded(name), 0)
    assert tuple(len(part) for part in parts_of(dataset)) == sizes


@real_files
def test_all_of_the_real_names_are_there(decoded):
    """32,033 first names and 20,050 surnames."""
    for name, n in (("names", 32033), ("names-18", 20050)):
        assert sum(len(part) for part in parts_of(find_source(name).load(decoded(name), 0))) == n


@real_files
@pytest.mark.parametrize("name", ["names", "names-18", "fra-eng", "rt-polarity"])
@pytest.mark.parametrize("seed", range(2))
def test_no_real_sample_for_training_is_in_another_part(name, seed, decoded):
    """With min_count=1 none for training has an unknown word, so that only equal sentences look the same."""
    entry = find_source(name)
    frequent = {"min_count": 1} if name in {"fra-eng", "rt-polarity"} else {}
    train, *others = parts_of(entry.load(decoded(name), seed, **frequent))
    # Of the pairs, neither side comes up again; of the surnames, the name and its language.
    for samples in (inputs_of, targets_of) if name == "fra-eng" else (samples_of,):
        assert not samples(train) & set.union(*map(samples, others))


@real_files
def test_the_vocabulary_of_tiny_shakespeare_is_whole(decoded):
    """65 characters, the line end first, and the first words of the play."""
    dataset = find_source("tiny-shakespeare").load(decoded("tiny-shakespeare"), 0)
    assert len(dataset.vocabulary) == 65
    assert dataset.vocabulary.decode(dataset.train.X[:14]) == "First Citizen:"


@real_files
def test_the_articles_of_wikitext_are_sixty(decoded):
    """48 of them are for training, and the tokens are as many as papers count in both files."""
    arrays = decoded("wikitext-2")
    assert len(arrays["train"]) + len(arrays["val"]) == 217_646
    assert len(arrays["test"]) == 245_569
    dataset = find_source("wikitext-2").load(arrays, 0)
    assert dataset.vocabulary.decode(dataset.val.X[:9]).startswith("<eos> = ")
