"""Data sets by name."""

import errno
import json
import re
import socket

import numpy as np
import pytest

from aifs_data import DatasetInfo, Source, describe, list_datasets, load_dataset, registry, split_dataset
from aifs_data.registry import find_source
from aifs_utils import DataError

TABLES = [
    *(
        "and",
        "and-cloud",
        "blobs",
        "breast-cancer",
        "circles",
        "digits",
        "digits-0-1",
        "iris",
        "iris-easy",
        "iris-hard",
    ),
    *("linearly-separable", "moons", "or", "or-cloud", "spirals", "wine", "xor", "xor-cloud"),
]
DOWNLOADS = [
    *("mnist", "fashion-mnist", "cifar-10", "cifar-10-10k", "olivetti", "nuclei"),
    *("tiny-shakespeare", "names", "names-18", "wikitext-2", "multi30k-en-fr", "multi30k-en-de", "fra-eng"),
    *("sst2", "rt-polarity", "cora", "citeseer"),
]
GENERATED = ["karate", "digit-scenes", "shapes", "copy", "adding", "reversal", "parentheses", "letters"]
TASKS = {
    *("classification", "node classification", "regression", "associative memory", "detection", "segmentation"),
    *("language modelling", "translation", "sequence labelling", "sequence to sequence"),
}
NAMES = sorted([*TABLES, *DOWNLOADS, *GENERATED])
FIXED = {"and", "or", "xor"}  # whatever the seed


@pytest.fixture(autouse=True)
def no_network_and_an_empty_cache(tmp_path, monkeypatch):
    """Nothing here may need more."""

    def refuse(*_):
        raise OSError(errno.ENETUNREACH, "the network is refused in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("AIFS_DATA_MIRROR", raising=False)
    monkeypatch.delenv("AIFS_OFFLINE", raising=False)


def test_the_sets_that_models_rely_on_are_there():
    """Names are a promise; a set more is none."""
    assert set(NAMES) <= set(list_datasets())


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_numbers_in_rows(name):
    """One row for each sample, one column for each feature, every class in every part."""
    dataset = load_dataset(name, seed=1)
    info = dataset.info
    assert len(info.feature_names) == len(set(info.feature_names)) == info.n_features
    assert info.image_shape is None or np.prod(info.image_shape) == info.n_features
    for part in (dataset.train, dataset.val, dataset.test):
        assert part.X.shape == (len(part), info.n_features)
        assert (part.X.dtype, part.y.dtype) == (np.float64, np.int64)
        assert part.X.flags.c_contiguous
        assert np.isfinite(part.X).all()
        assert sorted(set(part.y.tolist())) == list(range(dataset.n_classes))


@pytest.mark.parametrize("name", list_datasets())
def test_every_set_is_what_its_info_says(name):
    """Without a network, too: then other data stands in, and every array is described as it is."""
    dataset = load_dataset(name, seed=1)
    info = dataset.info
    assert info.name == dataset.name == name
    assert dataset.seed == 1
    assert info.task in TASKS
    assert len(info.class_names) == len(set(info.class_names)) == dataset.n_classes
    assert dataset.n_classes >= 2 or info.task != "classification"
    assert set(info.specs) == set(dataset.train.arrays)
    assert all(spec.meaning for spec in info.specs.values())
    assert len(dataset.val) > 0
    assert len(dataset.test) > 0
    json.dumps(dataset.provenance, allow_nan=False)


@pytest.mark.parametrize("name", [name for name in list_datasets() if find_source(name).download])
def test_what_cannot_be_downloaded_is_replaced_only_where_that_is_allowed(name, caplog):
    """Announced and recorded, or a clear error."""
    dataset = load_dataset(name)
    assert re.search(
        rf"{name} cannot be had \(.+\): a STAND-IN comes instead, {re.escape(dataset.standin)}; ", caplog.text
    )
    assert (dataset.source, dataset.is_standin) == ("standin", True)
    assert dataset.provenance["standin"] == dataset.standin != ""
    real = find_source(name).info
    assert dataset.info.title != real.title
    assert (dataset.info.description, dataset.info.citation) != (real.description, real.citation)
    assert dataset.info.licence
    assert load_dataset(name, source="standin").digest == dataset.digest
    for source in ("primary", "mirror", "cache"):
        with pytest.raises(DataError, match=r"AIFS_DATA_MIRROR|allow another source"):
            load_dataset(name, source=source)


@pytest.mark.parametrize("name", list_datasets())
def test_every_set_says_whom_to_cite_and_under_which_licence(name):
    """A card that can be printed."""
    card = describe(name)
    assert card.startswith(f"{name}: ")
    assert all(f"\n  {row}" in card for row in ("task", "X", "y", "parameters", "sources", "licence", "homepage"))
    assert card.count("{") == card.count("}") > 0
    assert "@" in card
    assert "://" in card
    assert len(find_source(name).info.description) > 30


@pytest.mark.parametrize("name", list_datasets())
def test_the_same_seed_gives_the_same_data_and_another_seed_others(name):
    """Truth tables have no other data to give."""
    first, again, other = (load_dataset(name, seed=seed) for seed in (7, 7, 8))
    assert first.digest == again.digest
    assert (first.digest == other.digest) == (name in FIXED)


def test_loading_does_not_touch_the_global_random_state():
    """Nor depend on it."""
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = load_dataset("moons", seed=7).digest
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert load_dataset("moons", seed=7).digest == first


def test_two_loads_share_no_memory():
    """A caller may do with the arrays what it likes."""
    first = load_dataset("xor")
    first.train.X[:] = 9
    assert load_dataset("xor").train.X.max() == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mooons", r"^unknown data set 'mooons': did you mean 'moons'\? \(choices: adding, and, and-cloud, blobs"),
        ("XOR", r"did you mean 'xor'\?"),
        ("iris-esay", r"did you mean 'iris-easy'\?"),
        ("and_", r"did you mean 'and'\?"),
        ("linearly_separable", r"did you mean 'linearly-separable'\?"),
        ("cifar10", r"^unknown data set 'cifar10': did you mean 'cifar-10'\?"),
        ("imagenet", r"^unknown data set 'imagenet' \(choices: "),
        ("", r"^unknown data set '' \("),
        ("_gates", "unknown data set"),
        ("../dataset", "unknown data set"),
        (None, "unknown data set None"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name, message):
    """Both where it is loaded and where it is described."""
    for ask in (load_dataset, describe):
        with pytest.raises(DataError, match=message):
            ask(name)


def test_an_unknown_parameter_gets_the_accepted_ones():
    """A typo does not silently give the default."""
    with pytest.raises(
        DataError, match=r"^unknown parameter of moons 'nose': did you mean 'noise'\? \(choices: n_samples, noise\)$"
    ):
        load_dataset("moons", nose=0.1)
    with pytest.raises(DataError, match=r"^unknown parameter of xor 'noise' \(choices: none\)$"):
        load_dataset("xor", noise=0.1)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("moons", {"n_samples": 0}, "n_samples is an integer of at least 1, got 0"),
        ("moons", {"n_samples": -5}, "n_samples is an integer of at least 1, got -5"),
        ("xor-cloud", {"n_samples": 10.5}, "n_samples is an integer of at least 1, got 10.5"),
        ("blobs", {"n_samples": True}, "n_samples is an integer of at least 1, got True"),
        ("blobs", {"n_classes": 1}, "n_classes is an integer of at least 2, got 1"),
        ("circles", {"noise": -0.1}, "noise is a finite number at least 0, got -0.1"),
        ("spirals", {"noise": float("nan")}, "noise is a finite number at least 0, got nan"),
        ("spirals", {"turns": float("inf")}, "turns is a finite number above 0, got inf"),
        ("moons", {"noise": "0.1"}, "noise is a finite number at least 0, got '0.1'"),
        ("moons", {"noise": None}, "noise is a finite number at least 0, got None"),
        ("circles", {"factor": 1}, "factor is a finite number above 0 and below 1, got 1"),
        ("linearly-separable", {"margin": 0}, "margin is a finite number above 0, got 0"),
        ("linearly-separable", {"n_features": 0}, "n_features is an integer of at least 1, got 0"),
        ("moons", {"n_samples": 5}, r"class 1 has 2 samples, too few .*: give more samples"),
    ],
)
def test_a_parameter_out_of_range_is_refused(name, parameters, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        load_dataset(name, **parameters)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
@pytest.mark.parametrize("name", ["xor", "moons", "iris"])
def test_a_bad_seed_is_refused(name, seed):
    """For the sets that do not use it, too."""
    with pytest.raises(DataError, match="seed is an integer of at least 0, got "):
        load_dataset(name, seed=seed)


@pytest.mark.parametrize("name", [*TABLES, *GENERATED])
def test_a_set_that_is_always_here_is_its_own_primary_source(name):
    """So whoever refuses stand-ins need not know which sets are downloaded."""
    for source in ("primary", "cache"):
        dataset = load_dataset(name, source=source)
        assert dataset.digest == load_dataset(name).digest
        assert dataset.source not in ("primary", "cache", "")


def test_a_source_is_auto_or_one_that_the_set_has():
    """Others are refused with those that are possible."""
    assert load_dataset("iris", source="scikit-learn").digest == load_dataset("iris").digest
    assert load_dataset("moons", source="generated").source == "generated"
    with pytest.raises(DataError, match=r"of moons 'scikit-learn' \(choices: auto, generated, primary, cache\)$"):
        load_dataset("moons", source="scikit-learn")
    with pytest.raises(DataError, match=r"choices: auto, scikit-learn, primary, cache\)$"):
        load_dataset("wine", source="mirror")


def test_a_set_that_is_not_downloaded_writes_nowhere(tmp_path):
    """Its folder for downloads stays as it is."""
    load_dataset("iris", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", sorted(registry._modules()))
def test_each_file_holds_the_sets_that_its_name_says(module):
    """So that a set is found without importing the others."""
    stem = module.rstrip("_").replace("_", "-")
    sets = registry._sets(module)
    assert sets
    for name, source in sets.items():
        assert name == stem or name.startswith(f"{stem}-")
        assert source.info.name == name


def test_a_set_is_added_by_adding_a_file(tmp_path, monkeypatch):
    """No list elsewhere is edited."""
    from aifs_data import sources

    (tmp_path / "two_rings.py").write_text(
        "from aifs_data.sources.circles import SETS as CIRCLES\n"
        "SETS = {'two-rings-of-fire': next(iter(CIRCLES.values()))}\n"
    )
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert "two-rings-of-fire" in list_datasets()
    assert load_dataset("two-rings-of-fire", noise=0.0).n_features == 2


def test_a_source_may_give_any_data_set():
    """Its parameters are those of its function."""

    def load(seed, *, repeats=10):
        info = DatasetInfo(
            name="mine",
            title="Mine",
            n_features=1,
            class_names=("a", "b"),
            feature_names=("x",),
            licence="mine",
            citation="",
            homepage="",
            description="",
        )
        y = np.arange(2 * repeats) % 2
        return split_dataset(info, y[:, np.newaxis] * 1.0, y, seed=seed)

    assert registry.parameters_of(Source(load(0).info, load)) == {"repeats": 10}
