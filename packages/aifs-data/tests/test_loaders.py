"""The loaders of a data set: chosen by its arrays, normalized, augmented, of the framework that is asked for."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from aifs_data import ArrayLoader, Split, create_data_loaders, load_dataset
from aifs_data.arrays import Ragged
from aifs_data.augment import GaussianNoise, HorizontalFlip, RandomCrop
from aifs_data.sequence_loaders import RaggedLoader, WindowLoader
from aifs_data.transforms import Normalize
from aifs_data.vocabulary import Vocabulary
from aifs_utils import DataError


def loader_of(n, batch_size, **options):
    """Return a loader of samples that can be told apart: row i of X holds i, and so does y."""
    X = np.repeat(np.arange(float(n))[:, np.newaxis], 3, axis=1)
    return ArrayLoader(X, np.arange(n), batch_size, **options)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "8", None, True])
def test_a_bad_batch_size_is_refused(batch_size):
    """Here and where loaders are made."""
    with pytest.raises(DataError, match="batch_size is an integer of at least 1, got "):
        loader_of(10, batch_size)
    with pytest.raises(DataError, match="batch_size is an integer of at least 1, got "):
        create_data_loaders(load_dataset("xor"), batch_size)
    if batch_size is not None:
        with pytest.raises(DataError, match="eval_batch_size is an integer of at least 1, got "):
            create_data_loaders(load_dataset("xor"), 1, eval_batch_size=batch_size)


def test_the_loaders_of_a_data_set():
    """Training is shuffled; evaluation is neither shuffled nor cut, in larger batches."""
    moons = load_dataset("moons")
    loaders = create_data_loaders(moons, 32, seed=5, drop_last=True)
    train, val, test = loaders
    assert (loaders.train, loaders.val, loaders.test) == (train, val, test)
    assert (train.n_samples, val.n_samples, test.n_samples) == (300, 100, 100)
    assert (len(train), len(val), len(test)) == (9, 1, 1)
    np.testing.assert_array_equal(next(iter(test))[0], moons.test.X)
    np.testing.assert_array_equal(
        train.order(2), ArrayLoader(moons.train.X, moons.train.y, 1, seed=5, shuffle=True).order(2)
    )
    assert len(create_data_loaders(moons, 32, eval_batch_size=30).val) == 4
    assert create_data_loaders(moons, 1024).val.batch_size == 1024
    assert not create_data_loaders(moons, 32, shuffle=False).train.shuffle


def test_a_part_without_samples_has_no_loader():
    """None stands for it."""
    dataset = load_dataset("moons", seed=0)
    empty = Split(dataset.val.X[:0], dataset.val.y[:0])
    loaders = create_data_loaders(replace(dataset, val=empty), batch_size=8)
    assert loaders.val is None
    assert loaders.test is not None


def images_of(n):
    """Return images, labels and extras that can be told apart."""
    X = np.random.default_rng(n).integers(0, 256, (n, 3, 8, 8)).astype(np.uint8)
    extras = {"weights": np.arange(n) * 0.5, "boxes": Ragged(np.arange(4.0 * n).reshape(n, 4), np.r_[0:n, n])}
    return X, np.arange(n), extras


def dataset_of(X, y, extras=None, **fields):
    """Return a data set whose three parts are these arrays."""
    part = Split(X, y, extras or {})
    return replace(load_dataset("moons"), train=part, val=part, test=part, **fields)


def test_images_become_float32_from_0_to_1_unless_told_otherwise():
    """And by the statistics of the training part on request; other inputs are left alone."""
    X, y, _ = images_of(30)
    dataset = dataset_of(X, y)
    for loader in create_data_loaders(dataset, 8):
        batch, _ = next(iter(loader))
        assert batch.dtype == np.float32
        assert 0 <= batch.min() < 0.1 < 0.9 < batch.max() <= 1
    assert next(iter(create_data_loaders(dataset, 8, normalize=None).train))[0].dtype == np.uint8
    other = replace(dataset, test=Split(X // 2, y))
    whole = next(iter(create_data_loaders(other, 30, normalize="standard", shuffle=False).train))[0]
    np.testing.assert_allclose(whole.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(whole.std(axis=(0, 2, 3)), 1, rtol=1e-5)
    assert next(iter(create_data_loaders(other, 30, normalize="standard").test))[0].mean() < -0.5
    assert next(iter(create_data_loaders(load_dataset("moons"), 8).train))[0].dtype == np.float64
    mine = next(iter(create_data_loaders(dataset, 8, normalize=Normalize(0, 0.5), shuffle=False).train))[0]
    np.testing.assert_array_equal(mine, 2.0 * X[:8])


def test_only_the_training_part_is_augmented():
    """Evaluation sees the images as they are."""
    X, y, _ = images_of(30)
    loaders = create_data_loaders(dataset_of(X, y), 30, normalize=None, transform=RandomCrop(2), shuffle=False)
    for loader in (loaders.val, loaders.test):
        np.testing.assert_array_equal(next(iter(loader))[0], X)
    first, again, other = (next(loaders.train.batches(epoch))[0] for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, X)
    assert not np.array_equal(first, other)


def test_what_moves_pixels_is_refused_where_boxes_or_masks_would_stay():
    """Noise is allowed."""
    X, y, extras = images_of(6)
    boxes, masks = dataset_of(X, y, extras), dataset_of(X, X[:, 0])
    for dataset in (boxes, masks):
        with pytest.raises(DataError, match="HorizontalFlip moves pixels, and the boxes or masks"):
            create_data_loaders(dataset, 2, transform=[GaussianNoise(1), HorizontalFlip()])
        assert create_data_loaders(dataset, 2, transform=GaussianNoise(1)).train.transforms


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transform": HorizontalFlip()}, "a transform is for images, which the inputs of moons are not"),
        ({"normalize": "standard"}, "normalize='standard' is for images, which the inputs of moons are not"),
        ({"context_length": 8}, "context_length is for one stream of tokens, which moons is not"),
        ({"fresh": True}, "fresh=True is for samples without end, which moons does not have"),
        ({"framework": "jax"}, "framework is 'numpy', without a device, or 'torch', got framework='jax'"),
        ({"device": "cpu"}, "got framework='numpy' and device='cpu'"),
    ],
)
def test_an_option_that_does_not_fit_the_set_is_refused(options, message):
    """When the loaders are made."""
    with pytest.raises(DataError, match=message):
        create_data_loaders(load_dataset("moons"), 8, **options)


def test_an_unknown_way_to_normalize_is_refused():
    """With those there are."""
    X, y, _ = images_of(6)
    with pytest.raises(DataError, match="normalize is 'auto', 'standard', a Normalize or None, got 'unit'"):
        create_data_loaders(dataset_of(X, y), 2, normalize="unit")


def test_the_loader_is_chosen_by_the_arrays():
    """Sequences of different lengths, one stream, dense tokens."""
    words = Vocabulary(["<pad>", "a", "b", "c"], kind="words", pad="<pad>")
    ragged = Ragged.of([[1, 2, 3], [2], [3, 1]])
    loaders = create_data_loaders(dataset_of(ragged, np.arange(3), vocabulary=words), 2)
    assert all(type(loader) is RaggedLoader for loader in loaders)
    characters = Vocabulary([".", "a", "b", "c"], kind="characters")
    X, y = next(iter(create_data_loaders(dataset_of(ragged, ragged, vocabulary=characters), 3, shuffle=False).train))
    assert (X.tolist(), y.tolist()) == ([[1, 2, 3], [2, 0, 0], [3, 1, 0]], [[1, 2, 3], [2, -100, -100], [3, 1, -100]])
    pairs = dataset_of(ragged, ragged, vocabulary=characters, target_vocabulary=words)
    assert next(iter(create_data_loaders(pairs, 3, shuffle=False).train))[1].tolist()[1] == [2, 0, 0]
    stream = dataset_of(np.arange(20, dtype=np.int32), np.arange(1, 21, dtype=np.int32), vocabulary=words)
    loaders = create_data_loaders(stream, 2, context_length=4)
    assert all(type(loader) is WindowLoader for loader in loaders)
    with pytest.raises(DataError, match="is one stream of tokens: context_length= says how many"):
        create_data_loaders(stream, 2)
    dense = dataset_of(np.ones((5, 4), np.int32), np.ones((5, 4), np.int32), vocabulary=words)
    X, y = next(iter(create_data_loaders(dense, 2).train))
    assert (X.dtype, y.dtype) == (np.int64, np.int64)


def test_torch_that_is_not_installed_is_asked_for_by_name(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DataError, match=r"needs torch, which is not installed: pip install 'aifs-data\[torch\]'"):
        create_data_loaders(load_dataset("moons"), 8, framework="torch")


def test_torch_is_imported_only_where_it_is_asked_for():
    """Loading data for NumPy takes milliseconds."""
    code = (
        "import sys, aifs_data as d; loaders = d.create_data_loaders(d.load_dataset('moons'), 8); "
        "next(iter(loaders.train)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def torch():
    """Return torch, on one thread."""
    module = pytest.importorskip("torch", reason="torch is an extra")
    module.set_num_threads(1)
    return module


def test_a_device_that_is_not_there_is_refused(torch):
    """When the loader is made."""
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(DataError, match=f"torch cannot use device='{missing}' here"):
        create_data_loaders(load_dataset("moons"), 8, framework="torch", device=missing)
