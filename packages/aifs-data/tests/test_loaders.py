"""The loaders of a data set: chosen by its arrays, normalized, augmented, of the framework that is asked for."""

import pickle
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


def test_a_name_is_no_data_set():
    """It has to be loaded first."""
    with pytest.raises(DataError, match="loaders are made of a Dataset, as load_dataset returns it, got 'xor'"):
        create_data_loaders("xor", 1)


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


def test_what_may_move_pixels_is_refused_where_boxes_or_masks_would_stay():
    """Noise is allowed, and a function of one's own that says it moves none."""

    def mirror(X, draws):
        return X[..., ::-1]

    def darken(X, draws):
        return X // 2

    darken.moves_pixels = False
    X, y, extras = images_of(6)
    boxes, masks = dataset_of(X, y, extras), dataset_of(X, X[:, 0])
    for dataset in (boxes, masks):
        with pytest.raises(DataError, match="HorizontalFlip moves pixels, and the boxes or masks"):
            create_data_loaders(dataset, 2, transform=[GaussianNoise(1), HorizontalFlip()])
        with pytest.raises(DataError, match=r"mirror may move pixels.* say so with transform\.moves_pixels = False"):
            create_data_loaders(dataset, 2, transform=[darken, mirror])
        assert create_data_loaders(dataset, 2, transform=[GaussianNoise(1), darken]).train.transforms
    assert create_data_loaders(dataset_of(X, y), 2, transform=mirror).train.transforms


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


@pytest.mark.parametrize(("normalize", "got"), [("unit", "'unit'"), (np.ones(3), "array"), (["auto"], r"\['auto'\]")])
def test_an_unknown_way_to_normalize_is_refused(normalize, got):
    """With those there are, whatever the inputs are."""
    X, y, _ = images_of(6)
    for dataset in (dataset_of(X, y), load_dataset("moons")):
        with pytest.raises(DataError, match=f"normalize is 'auto', 'standard', a Normalize or None, got {got}"):
            create_data_loaders(dataset, 2, normalize=normalize)


def test_fresh_samples_cannot_come_in_an_order_that_is_not_random():
    """They are drawn in it."""
    with pytest.raises(DataError, match="order is random by itself: leave shuffle=False out"):
        create_data_loaders(load_dataset("adding", n_samples=10), 2, fresh=True, shuffle=False)


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


def test_what_pads_sequences_can_be_read_from_their_loaders():
    """The vocabularies' ids, else 0 and -100; and the mask that a batch is left with."""
    words = Vocabulary(["a", "<pad>", "b", "c"], kind="words", pad="<pad>")
    characters = Vocabulary([".", "a", "b", "c"], kind="characters")
    ragged = Ragged.of([[2, 2, 3], [2], [3, 0]])
    for source, target, paddings in (
        (words, None, (1, 1)),
        (characters, None, (0, -100)),
        (characters, words, (0, 1)),
    ):
        dataset = dataset_of(ragged, ragged, vocabulary=source, target_vocabulary=target)
        for loader in create_data_loaders(dataset, 3, shuffle=False):
            assert (loader.X_padding, loader.y_padding) == paddings
            _, y = next(iter(loader))
            assert (y != loader.y_padding).sum(1).tolist() == [3, 1, 2]
    labelled = create_data_loaders(dataset_of(ragged, np.arange(3), vocabulary=words), 3).train
    assert (labelled.X_padding, labelled.y_padding) == (1, None)
    images = create_data_loaders(load_dataset("moons"), 8).train
    assert (images.X_padding, images.y_padding) == (None, None)


def loaders_of_every_kind(**options):
    """Return loaders of rows, of images with extras, of sequences, of a stream, and of fresh samples of two kinds."""
    X, y, extras = images_of(30)
    words = Vocabulary(["<pad>", "a", "b", "c"], kind="words", pad="<pad>")
    ragged = Ragged.of([np.arange(i % 5) for i in range(30)])
    stream = np.arange(50, dtype=np.int32)
    noise = {"normalize": "standard", "transform": GaussianNoise(3)}
    return [
        create_data_loaders(load_dataset("moons"), 8, **options),
        create_data_loaders(dataset_of(X, y, extras), 8, **noise, **options),
        create_data_loaders(dataset_of(X, y), 8, **options),
        create_data_loaders(dataset_of(ragged, ragged, vocabulary=words), 8, **options),
        create_data_loaders(dataset_of(stream, stream, vocabulary=words), 2, context_length=4, **options),
        create_data_loaders(load_dataset("reversal", n_samples=30), 8, fresh=True, **options),
        create_data_loaders(load_dataset("shapes", n_samples=10), 4, fresh=True, **noise, **options),
    ]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("k", range(7))
def test_a_loader_can_be_pickled(framework, k):
    """Used or not, and the copy, in another process, say, gives the same batches."""
    if framework == "torch":
        pytest.importorskip("torch", reason="torch is an extra").set_num_threads(1)
    loaders = loaders_of_every_kind(framework=framework)[k]
    unused = pickle.dumps(loaders)
    batches = [[list(loader.batches(epoch, 1)) for loader in loaders] for epoch in range(2)]
    used = pickle.dumps(loaders)
    assert len(used) == len(unused)
    for pickled in (unused, used):
        copies = pickle.loads(pickled)  # noqa: S301 - the test's own
        again = [[list(loader.batches(epoch, 1)) for loader in copies] for epoch in range(2)]
        for array, other in zip(arrays_of(batches), arrays_of(again), strict=True):
            assert type(array) is type(other)
            np.testing.assert_array_equal(np.asarray(array), np.asarray(other))


def arrays_of(batches):
    """Return all arrays in lists, tuples and dicts of them."""
    if isinstance(batches, dict):
        return arrays_of(list(batches.values()))
    if isinstance(batches, list | tuple):
        return [array for each in batches for array in arrays_of(each)]
    return [batches]


def test_a_copy_of_a_loader_protects_its_data_too():
    """Pickling forgets that a view cannot be written."""
    pickled = pickle.dumps(create_data_loaders(load_dataset("moons"), 8).val)
    loader = pickle.loads(pickled)  # noqa: S301 - the test's own
    with pytest.raises(ValueError, match="read-only"):
        next(iter(loader))[0][:] = 0


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
