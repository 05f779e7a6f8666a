"""The parts of a data set, its digest and its provenance."""

import json
from dataclasses import FrozenInstanceError, replace
from functools import partial

import numpy as np
import pytest

from aifs_data import Split, load_dataset
from aifs_data.dataset import keyword_defaults
from aifs_utils import DataError


def test_the_length_of_a_part_is_its_number_of_samples():
    """And X and y agree on it."""
    assert len(Split(np.zeros((5, 2)), np.zeros(5, dtype=np.int64))) == 5
    with pytest.raises(DataError, match="got 5 and 4 rows"):
        Split(np.zeros((5, 2)), np.zeros(4, dtype=np.int64))


def test_a_data_set_cannot_be_reassigned():
    """What was loaded is what is reported."""
    with pytest.raises(FrozenInstanceError):
        load_dataset("xor").seed = 1


def test_it_prints_as_one_line():
    """Not as pages of numbers."""
    moons = load_dataset("moons", seed=3)
    assert repr(moons) == "Dataset('moons', 300 + 100 + 100 samples, generated, seed=3)"
    assert repr(moons.val) == "Split(X: (100, 2) float64, y: (100,) int64)"


def test_the_shortcuts_are_those_of_the_info():
    """What models ask for most."""
    iris = load_dataset("iris")
    assert (iris.name, iris.n_features, iris.n_classes) == ("iris", 4, 3)
    assert iris.class_names == ("setosa", "versicolor", "virginica")
    assert len(iris.feature_names) == 4


def test_the_digest_sees_values_types_shapes_and_parts():
    """Whatever changes the numbers that are trained on changes it."""
    moons = load_dataset("moons")
    one_value = moons.train.X.copy()
    one_value[7, 1] += 1e-12
    others = [
        load_dataset("moons", seed=1),
        replace(moons, train=Split(one_value, moons.train.y)),
        replace(moons, train=Split(moons.train.X.astype(np.float32), moons.train.y)),
        replace(moons, test=Split(moons.test.X.reshape(-1, 1, 2), moons.test.y)),
        replace(moons, val=moons.test, test=moons.val),
    ]
    digests = {dataset.digest for dataset in (moons, *others)}
    assert len(digests) == 6
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)


def test_the_digest_does_not_see_the_layout_in_memory():
    """Equal numbers, equal digest."""
    digits = load_dataset("digits-0-1")
    turned = Split(np.asfortranarray(digits.train.X), digits.train.y)
    assert replace(digits, train=turned).digest == digits.digest


def test_the_provenance_is_json_and_gives_the_same_data_again():
    """A manifest keeps it."""
    circles = load_dataset("circles", seed=3, noise=np.float32(0.25), n_samples=np.int64(120))
    kept = json.loads(json.dumps(circles.provenance))
    assert kept == circles.provenance
    assert kept["parameters"] == {"n_samples": 120, "noise": 0.25, "factor": 0.5}
    assert (kept["source"], kept["is_standin"], kept["licence"]) == ("generated", False, "generated, free to use")
    again = load_dataset(kept["name"], seed=kept["seed"], source=kept["source"], **kept["parameters"])
    assert again.digest == kept["digest"]


def test_options_are_the_keyword_only_parameters():
    """With their defaults."""

    def decode(files, *, lower=True, size=3):
        """Decode nothing."""

    assert keyword_defaults(decode) == {"lower": True, "size": 3}
    assert keyword_defaults(lambda files: files) == {}
    # Of these nobody could read them, and a cache would take the arrays of one choice for those of another.
    for other in (partial(decode, lower=False), len):
        with pytest.raises(TypeError, match="expected a function written with def"):
            keyword_defaults(other)
