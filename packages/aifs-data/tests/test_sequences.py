"""Generated sequences are the tasks that they say they are, and have no end."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_data.validation import check_dataset
from aifs_utils import DataError

ENDLESS = ["copy", "adding", "reversal", "parentheses", "digit-scenes", "shapes"]
PARTS = ("train", "val", "test")


def samples(part):
    """Return the samples as bytes, so that they can be compared."""
    arrays = part.arrays.values()
    return [b"|".join(np.ascontiguousarray(array[i]).tobytes() for array in arrays) for i in range(len(part))]


def texts(dataset, part):
    """Return the inputs as text."""
    return [dataset.vocabulary.decode(part.X[i]) for i in range(len(part))]


@pytest.mark.parametrize("name", ENDLESS)
def test_any_samples_can_be_drawn_without_those_before_them(name):
    """In any order, as often as one likes, and across the blocks that they are made in."""
    dataset = load_dataset(name, seed=3, n_samples=700)
    all_of_them = samples(dataset.train)
    rows = np.array([600, 3, 255, 256, 3, 699, 0, 511])
    assert samples(dataset.draw("train", rows)) == [all_of_them[i] for i in rows]
    assert samples(dataset.draw("train", np.arange(200, 600))) == all_of_them[200:600]
    assert len(dataset.draw("val", np.arange(0))) == 0
    assert len(dataset.draw("test", np.array([10**9]))) == 1


@pytest.mark.parametrize("name", ENDLESS)
def test_more_samples_begin_with_the_same_ones(name):
    """So that a learning curve over n_samples adds samples and changes none."""
    few, many = (load_dataset(name, seed=1, n_samples=n) for n in (10, 600))
    for part in PARTS:
        first = samples(getattr(few, part))
        assert samples(getattr(many, part))[: len(first)] == first
    assert [len(few.train), len(few.val), len(few.test)] == [10, 2, 2]


@pytest.mark.parametrize("name", ENDLESS)
def test_parts_and_seeds_have_samples_of_their_own(name):
    """None is drawn twice by design."""
    first, other = (load_dataset(name, seed=seed, n_samples=500) for seed in (0, 1))
    drawn = [set(samples(part)) for part in (first.train, first.val, first.test, other.train)]
    for i, one in enumerate(drawn):
        for another in drawn[:i]:
            assert len(one & another) <= 1


@pytest.mark.parametrize("name", ENDLESS)
def test_a_set_is_a_function_of_its_seed(name):
    """To the last bit."""
    assert load_dataset(name, seed=5, n_samples=300).digest == load_dataset(name, seed=5, n_samples=300).digest
    assert load_dataset(name, seed=5, n_samples=300).digest != load_dataset(name, seed=6, n_samples=300).digest


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("copy", "830c8bdb357a7c6c"),
        ("adding", "54d6c5f6957619e8"),
        ("reversal", "8962f5a559b87fa3"),
        ("parentheses", "fb2d51db6a96319f"),
        ("digit-scenes", "4d9b58d91da10e73"),
        ("shapes", "69cdd170b937c268"),
    ],
)
def test_the_samples_are_the_same_everywhere(name, digest):
    """On every system, and with the oldest NumPy as with the newest: these digests were taken with 1.26 and 2.4."""
    assert load_dataset(name, seed=3, n_samples=300).digest.startswith(f"sha256:{digest}")


@pytest.mark.parametrize(
    ("part", "rows", "message"),
    [
        ("training", [0], "unknown part of copy"),
        ("train", [-1], "rows are numbers of samples from 0"),
        ("train", [[0]], "rows are numbers of samples from 0"),
    ],
)
def test_a_draw_that_makes_no_sense_is_refused(part, rows, message):
    """By what it wants."""
    with pytest.raises(DataError, match=message):
        load_dataset("copy", n_samples=1).draw(part, np.array(rows))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("copy", {"length": 1, "delay": 1, "n_symbols": 2}),
        ("copy", {"length": 30, "delay": 100, "n_symbols": 26}),
        ("adding", {"length": 2}),
        ("adding", {"length": 751}),
        ("reversal", {"min_length": 1, "length": 1, "n_symbols": 2}),
        ("reversal", {"min_length": 4, "length": 40}),
        ("parentheses", {"min_length": 1, "length": 2, "kinds": 1}),
        ("parentheses", {"min_length": 100, "length": 100, "kinds": 3}),
    ],
)
def test_the_arrays_are_what_the_description_says(name, parameters):
    """Whatever the parameters are."""
    check_dataset(load_dataset(name, n_samples=600, **parameters))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("copy", {"n_symbols": 27}, "n_symbols is at most 26, .* got 27"),
        ("copy", {"n_symbols": 1}, "n_symbols is an integer of at least 2, got 1"),
        ("copy", {"delay": 0}, "delay is an integer of at least 1, got 0"),
        ("adding", {"length": 1}, "length is an integer of at least 2, got 1"),
        ("reversal", {"min_length": 11}, "min_length is at most length, 10, got 11"),
        ("parentheses", {"kinds": 4}, "kinds is at most 3, got 4"),
        ("parentheses", {"min_length": 7, "length": 7}, "none from 7 to 7"),
        ("parentheses", {"n_samples": 0}, "n_samples is an integer of at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(name, parameters, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        load_dataset(name, **parameters)


def test_generated_sequences_load_nothing_that_they_do_not_need():
    """No scikit-learn, SciPy, networkx or Pillow."""
    code = (
        "import sys; from aifs_data import load_dataset\n"
        "for name in ('copy', 'adding', 'reversal', 'parentheses', 'letters', 'shapes', 'digit-scenes'):\n"
        "    load_dataset(name)\n"
        "sys.exit(', '.join({'sklearn', 'scipy', 'networkx', 'PIL', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- copy -------------------------------------------------------------------------------------------------------------


def test_what_is_to_be_copied_comes_back_after_the_go_signal():
    """Position by position."""
    dataset = load_dataset("copy", n_samples=300, length=4, delay=7, n_symbols=5)
    for x, y in zip(dataset.train.X.tolist(), dataset.train.y.tolist(), strict=True):
        word = x[:4]
        assert set(word) <= {2, 3, 4, 5, 6}
        assert x[4:] == [0] * 6 + [1] + [0] * 4
        assert y == [0] * 11 + word
    assert dataset.vocabulary.decode(dataset.train.X[0])[4:] == "______>____"
    assert np.bincount(dataset.train.X[:, :4].ravel())[2:].min() > 180  # of 240


# --- adding -----------------------------------------------------------------------------------------------------------


def test_the_marked_two_are_one_in_each_half_and_add_up():
    """An odd length has the longer half behind."""
    dataset = load_dataset("adding", n_samples=500, length=11)
    values, markers = dataset.train.X[..., 0], dataset.train.X[..., 1]
    np.testing.assert_array_equal(np.unique(markers), [0, 1])
    np.testing.assert_array_equal(markers[:, :5].sum(axis=1), 1)
    np.testing.assert_array_equal(markers[:, 5:].sum(axis=1), 1)
    np.testing.assert_allclose(dataset.train.y[:, 0], (values * markers).sum(axis=1), rtol=1e-6)
    assert markers.sum(axis=0).min() > 50  # every place is marked


def test_always_answering_one_has_the_error_that_is_to_be_beaten():
    """1/6, the variance of the sum of two uniform numbers."""
    y = load_dataset("adding", n_samples=100_000, length=2).train.y
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.02)


# --- reversal ---------------------------------------------------------------------------------------------------------


def test_the_target_is_the_input_backwards():
    """Between its beginning and its end."""
    dataset = load_dataset("reversal", n_samples=600, min_length=2, length=6, n_symbols=4)
    lengths = np.zeros(7, dtype=int)
    for i in range(600):
        *symbols, end = dataset.train.X[i].tolist()
        assert end == dataset.vocabulary.eos
        assert dataset.train.y[i].tolist() == [dataset.vocabulary.bos, *reversed(symbols), end]
        assert set(symbols) <= {3, 4, 5, 6}
        lengths[len(symbols)] += 1
    assert lengths[:2].tolist() == [0, 0]
    assert lengths[2:].min() > 80  # of 120


# --- parentheses ------------------------------------------------------------------------------------------------------


def is_balanced(text):
    """Cross out pairs that nothing stands between."""
    before = None
    while text != before:
        before = text
        for pair in ("()", "[]", "{}"):
            text = text.replace(pair, "")
    return text == ""


def counts_fit(text):
    """Compare how often each kind is opened and closed."""
    return all(text.count(pair[0]) == text.count(pair[1]) for pair in ("()", "[]", "{}"))


def counters_fit(text):
    """Count each kind along the string, never below zero."""
    for opening, closing in ("()", "[]", "{}"):
        depths = np.cumsum([(c == opening) - (c == closing) for c in text])
        if depths.min() < 0 or depths[-1] != 0:
            return False
    return True


@pytest.mark.parametrize("kinds", [1, 2, 3])
@pytest.mark.parametrize(("min_length", "length"), [(2, 2), (2, 9), (16, 40)])
def test_a_string_is_balanced_where_its_label_says_so(kinds, min_length, length):
    """By another way to tell."""
    dataset = load_dataset("parentheses", n_samples=600, kinds=kinds, min_length=min_length, length=length)
    strings = texts(dataset, dataset.train)
    assert [is_balanced(text) for text in strings] == dataset.train.y.astype(bool).tolist()
    assert {len(text) for text in strings} == set(range(min_length, length + 1, 2))
    assert np.bincount(dataset.train.y).tolist() == [300, 300]


def test_the_length_says_nothing_about_the_class():
    """Both classes have strings of every length as often."""
    dataset = load_dataset("parentheses", n_samples=6000, min_length=2, length=10)
    lengths = np.stack([np.bincount(dataset.train.X.lengths[dataset.train.y == k])[2::2] for k in range(2)])
    assert abs(lengths - 600).max() < 5 * np.sqrt(600)


@pytest.mark.parametrize("kinds", [2, 3])
def test_counting_alone_does_not_find_half_of_the_unbalanced(kinds):
    """Of those, even counters that never fall below zero are taken in by some: it takes a stack."""
    dataset = load_dataset("parentheses", n_samples=2000, kinds=kinds)
    unbalanced = [text for text, label in zip(texts(dataset, dataset.train), dataset.train.y, strict=True) if not label]
    assert 0.47 < np.mean([counts_fit(text) for text in unbalanced]) < 0.6
    assert np.mean([counters_fit(text) for text in unbalanced]) > 0.1


def test_with_one_kind_the_total_fits_in_half_of_the_unbalanced():
    """There it takes a counter that sees the order."""
    dataset = load_dataset("parentheses", n_samples=2000, kinds=1)
    unbalanced = [text for text, label in zip(texts(dataset, dataset.train), dataset.train.y, strict=True) if not label]
    assert 0.5 < np.mean([counts_fit(text) for text in unbalanced]) < 0.65
    assert not any(counters_fit(text) for text in unbalanced)


def test_balanced_strings_are_uniform_among_those_of_their_length():
    """Catalan's numbers: 14 of eight brackets, and 2 to the power of 3 times 5 of six brackets of two kinds."""
    for kinds, length, n_strings in ((1, 8, 14), (2, 6, 40)):
        dataset = load_dataset("parentheses", n_samples=8000, kinds=kinds, min_length=length, length=length)
        strings = [text for text in texts(dataset, dataset.train) if is_balanced(text)]
        counts = np.unique(strings, return_counts=True)[1]
        expected = 4000 / n_strings
        assert len(counts) == n_strings
        # Chi-squared, with n - 1 degrees of freedom: five standard deviations above its mean.
        assert ((counts - expected) ** 2 / expected).sum() < n_strings + 5 * np.sqrt(2 * n_strings)


@pytest.mark.parametrize("name", ["copy", "adding", "reversal", "parentheses"])
def test_hardly_a_sample_for_test_was_trained_on(name):
    """They are drawn independently, but from so many that they seldom coincide."""
    dataset = load_dataset(name)
    seen, asked = ({x.tobytes() for x in part.X} for part in (dataset.train, dataset.test))
    assert len(seen & asked) <= 0.02 * len(asked)


def test_neighbours_are_different():
    """No block repeats itself."""
    X = load_dataset("copy", n_samples=2000).train.X
    assert not any((one == other).all() for one, other in pairwise(X))
    assert len(np.unique(X, axis=0)) == 2000
