"""Batches: each sample once, in an order that is a pure function of (seed, epoch)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data import ArrayLoader
from aifs_data.arrays import Ragged
from aifs_data.augment import HorizontalFlip, RandomCrop, augment
from aifs_data.draws import Draws
from aifs_data.transforms import Normalize
from aifs_utils import DataError


def loader_of(n, batch_size, **options):
    """Return a loader of samples that can be told apart: row i of X holds i, and so does y."""
    X = np.repeat(np.arange(float(n))[:, np.newaxis], 3, axis=1)
    return ArrayLoader(X, np.arange(n), batch_size, **options)


def seen(batches):
    """Return the samples in the order they come."""
    return [int(i) for _, y in batches for i in y]


sizes = st.integers(1, 200)


epochs = st.integers(0, 2**40)


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, seed=epochs, epoch=epochs, shuffle=st.booleans())
def test_each_sample_comes_once_in_an_epoch(n, batch_size, seed, epoch, shuffle):
    """With its own label, in as many batches as len() says."""
    loader = loader_of(n, batch_size, seed=seed, shuffle=shuffle)
    batches = list(loader.batches(epoch))
    assert len(batches) == len(loader)
    assert [len(y) for _, y in batches[:-1]] == [batch_size] * (len(loader) - 1)
    assert sorted(seen(batches)) == list(range(n))
    assert seen(batches) == loader.order(epoch).tolist()
    for X, y in batches:
        np.testing.assert_array_equal(X, np.repeat(y[:, np.newaxis], 3, axis=1))


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), data=st.data())
def test_starting_at_a_batch_gives_the_tail_of_the_epoch(n, batch_size, epoch, shuffle, data):
    """So a run that was stopped goes on where it was."""
    loader = loader_of(n, batch_size, shuffle=shuffle)
    start = data.draw(st.integers(0, len(loader)))
    whole, tail = list(loader.batches(epoch)), list(loader.batches(epoch, start))
    assert len(tail) == len(whole) - start
    for (X, y), (same_X, same_y) in zip(whole[start:], tail, strict=True):
        np.testing.assert_array_equal(X, same_X)
        np.testing.assert_array_equal(y, same_y)


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, shuffle=st.booleans())
def test_drop_last_leaves_out_what_does_not_fill_a_batch(n, batch_size, shuffle):
    """And nothing else."""
    if n < batch_size:
        with pytest.raises(DataError, match=f"{n} samples are less than one batch of {batch_size}"):
            loader_of(n, batch_size, shuffle=shuffle, drop_last=True)
        return
    loader = loader_of(n, batch_size, shuffle=shuffle, drop_last=True)
    whole = loader_of(n, batch_size, shuffle=shuffle)
    assert {len(y) for _, y in loader} == {batch_size}
    assert seen(loader) == seen(whole)[: n // batch_size * batch_size]


@settings(deadline=None)
@given(n=sizes, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), drop_last=st.booleans())
def test_a_loader_says_which_samples_a_batch_holds(n, batch_size, epoch, shuffle, drop_last):
    """By their rows, for each batch of an epoch."""
    loader = loader_of(n, min(n, batch_size), shuffle=shuffle, drop_last=drop_last)
    for number, (_, y) in enumerate(loader.batches(epoch)):
        assert loader.batch_indices(epoch, number).tolist() == y.tolist()


@pytest.mark.parametrize("batch", [-1, 3, 1.0])
def test_there_are_no_indices_of_a_batch_that_is_not_there(batch):
    """An epoch of seven samples has three batches of three."""
    with pytest.raises(DataError, match="batch is"):
        loader_of(7, 3).batch_indices(0, batch)


def test_the_order_is_a_function_of_seed_and_epoch_only():
    """Whatever was loaded before, and whatever the global random state is."""
    first, second = (loader_of(50, 7, seed=3, shuffle=True) for _ in range(2))
    seen(first.batches(0))
    np.random.seed(0)  # noqa: NPY002
    assert seen(first.batches(4)) == seen(second.batches(4)) == seen(second.batches(4))
    orders = {tuple(loader_of(50, 7, seed=seed, shuffle=True).order(epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_every_order_is_as_likely():
    """Over many epochs each sample is first as often as any other."""
    loader = loader_of(4, 1, shuffle=True)
    counts = np.bincount([loader.order(epoch)[0] for epoch in range(2000)], minlength=4)
    assert (np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75)).all()


@pytest.mark.parametrize("batch_size", [4, 100])
def test_batches_that_are_not_shuffled_are_views_that_cannot_be_written(batch_size, tmp_path):
    """Evaluation copies nothing and changes nothing, files in memory included; the arrays themselves stay writable."""
    np.save(tmp_path / "X.npy", np.ones((10, 3)))
    for rows in (np.ones((10, 3)), np.load(tmp_path / "X.npy", mmap_mode="c")):
        loader = ArrayLoader(rows, np.arange(10), batch_size, extras={"weights": np.ones(10)})
        for X, targets in loader:
            for batch, array in ((X, rows), (targets["y"], loader.y), (targets["weights"], loader.extras["weights"])):
                assert np.shares_memory(batch, array)
                assert array.flags.writeable
                with pytest.raises(ValueError, match="read-only"):
                    batch[:] = 0


def test_batches_that_are_shuffled_are_their_own():
    """A learner may change one, or keep it, and neither the data nor the next batch changes."""
    loader = loader_of(10, 4, shuffle=True)
    kept = list(loader.batches(0))
    for X, y in kept:
        X[:], y[:] = -1, -1
    assert sorted(seen(loader.batches(0))) == list(range(10))
    assert not np.shares_memory(kept[0][0], kept[1][0])


def test_the_order_is_drawn_once_in_an_epoch(monkeypatch):
    """Drawing it costs as much as many batches."""
    loader = loader_of(100, 1, shuffle=True)
    calls, order = [], loader.order
    monkeypatch.setattr(loader, "order", lambda epoch: calls.append(epoch) or order(epoch))
    assert len(list(loader.batches(2))) == 100
    assert calls == [2]


def test_iterating_is_epoch_0_again_and_again():
    """The position is the caller's."""
    loader = loader_of(10, 3, shuffle=True)
    assert seen(loader) == seen(loader) == seen(loader.batches(0))


@pytest.mark.parametrize(
    ("options", "n_warnings"), [({"shuffle": True}, 1), ({"transform": HorizontalFlip()}, 1), ({}, 0)]
)
def test_iterating_again_where_epochs_differ_is_warned_of_once(caplog, options, n_warnings):
    """Not the first time, when epoch 0 may be all there is, nor where every epoch is the same."""
    X, y, _ = images_of(10)
    loader = ArrayLoader(X, y, 3, **options)
    for epoch in range(3):
        list(loader.batches(epoch))
    list(loader)
    assert not caplog.records
    for _ in range(3):
        list(loader)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * n_warnings
    assert all("take loader.batches(epoch) to train" in record.getMessage() for record in caplog.records)


def test_inputs_and_targets_may_have_any_shape_and_type():
    """Images, vectors as targets."""
    images, targets = np.zeros((6, 2, 8, 8), dtype=np.float32), np.zeros((6, 3))
    X, y = next(iter(ArrayLoader(images, targets, 4, shuffle=True)))
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((4, 2, 8, 8), np.float32, (4, 3), np.float64)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 5), (0.5, 0), (0, None)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_bad_position_is_refused_at_once(epoch, start, shuffle):
    """Not when the first batch is asked for."""
    with pytest.raises(DataError, match=r"(epoch|start) is "):
        loader_of(10, 3, shuffle=shuffle).batches(epoch, start)


@pytest.mark.parametrize(("n_X", "n_y"), [(5, 4), (0, 0)])
def test_arrays_that_do_not_fit_are_refused(n_X, n_y):
    """So that no sample gets another's label."""
    with pytest.raises(DataError, match=f"got {n_X} and {n_y} rows"):
        ArrayLoader(np.zeros((n_X, 2)), np.zeros(n_y), 2)


def test_a_bad_seed_is_refused():
    """As everywhere."""
    with pytest.raises(DataError, match="seed is an integer of at least 0, got -3"):
        loader_of(10, 2, seed=-3)


def images_of(n):
    """Return images, labels and extras that can be told apart."""
    X = np.random.default_rng(n).integers(0, 256, (n, 3, 8, 8)).astype(np.uint8)
    extras = {"weights": np.arange(n) * 0.5, "boxes": Ragged(np.arange(4.0 * n).reshape(n, 4), np.r_[0:n, n])}
    return X, np.arange(n), extras


TRANSFORMS = [RandomCrop(2), HorizontalFlip()]


@settings(deadline=None, max_examples=60)
@given(n=sizes, batch_size=sizes, epoch=epochs, shuffle=st.booleans(), drop_last=st.booleans(), data=st.data())
def test_an_augmented_batch_is_a_function_of_its_place_only(n, batch_size, epoch, shuffle, drop_last, data):
    """A resumed epoch has the same batches, and a sample is treated alike whatever the batch size is."""
    n, batch_size = 2 * n, min(2 * n, 2 * batch_size - 1)  # also more than are transformed at once
    X, y, _ = images_of(n)
    options = {"shuffle": shuffle, "seed": 3, "transform": TRANSFORMS, "normalize": Normalize.unit()}
    batch_size = min(batch_size, n)
    loader = ArrayLoader(X, y, batch_size, drop_last=drop_last, **options)
    order = loader.order(epoch)
    expected = Normalize.unit().apply(augment(TRANSFORMS, X[order], Draws(3, epoch, order)))
    start = data.draw(st.integers(0, len(loader)))
    first = start * batch_size
    for batch_X, batch_y in loader.batches(epoch, start):
        np.testing.assert_array_equal(batch_y, order[first : first + batch_size])
        np.testing.assert_array_equal(batch_X, expected[first : first + batch_size])
        first += batch_size
    assert first == len(loader) * batch_size


def test_the_data_stay_as_they_are():
    """Whatever is done to the batches."""
    X, y, _ = images_of(30)
    for images in (X, X.astype(np.float32)):
        before = images.copy()
        for shuffle in (True, False):
            for transform in (None, TRANSFORMS, lambda X, draws: X):
                normalize = Normalize([1, 2, 3], [4, 5, 6])
                loader = ArrayLoader(images, y, 7, shuffle=shuffle, transform=transform, normalize=normalize)
                for batch_X, _ in loader:
                    assert batch_X.dtype == np.float32
                    batch_X[:] = -1
        np.testing.assert_array_equal(images, before)


def darken_in_place(X, draws):
    """Break the rule that a transform leaves its input as it is."""
    X[:] = 0
    return X


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_a_transform_that_writes_into_its_input_changes_no_data(framework, request):
    """Shuffled it gets copies; otherwise the write raises."""
    if framework == "torch":
        request.getfixturevalue("torch")
    X, y, extras = images_of(30)
    before = X.copy()
    for some in ({}, extras):
        options = {"extras": some, "transform": darken_in_place, "framework": framework}
        assert all((batch == 0).all() for batch, _ in ArrayLoader(X, y, 7, shuffle=True, **options))
        with pytest.raises(ValueError, match="read-only"):
            next(iter(ArrayLoader(X, y, 7, **options)))
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("transform", [None, TRANSFORMS])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_what_is_beside_the_targets_comes_with_them(shuffle, transform, batch_size):
    """In a dict; sequences padded with -1 to the longest of the batch."""
    X, y, extras = images_of(21)
    extras["boxes"] = Ragged(np.arange(4.0 * 22).reshape(22, 4), np.r_[0:21, 22])  # the last one has two
    loader = ArrayLoader(X, y, batch_size, shuffle=shuffle, transform=transform, extras=extras)
    seen_rows = []
    for _, targets in loader.batches(1):
        assert list(targets) == ["y", "weights", "boxes"]
        rows = targets["y"].tolist()
        np.testing.assert_array_equal(targets["weights"], extras["weights"][rows])
        assert targets["boxes"].shape == (len(rows), 2 if 20 in rows else 1, 4)
        for row, boxes in zip(rows, targets["boxes"], strict=True):
            n_boxes = len(extras["boxes"][row])
            np.testing.assert_array_equal(boxes[:n_boxes], extras["boxes"][row])
            assert (boxes[n_boxes:] == -1).all()
        seen_rows += rows
    assert sorted(seen_rows) == list(range(21))


def test_extras_of_another_length_are_refused():
    """By name."""
    X, y, _ = images_of(5)
    with pytest.raises(DataError, match="y and weights have one row per sample each, got 5 and 4 rows"):
        ArrayLoader(X, y, 2, extras={"weights": np.arange(4)})


@pytest.fixture
def torch():
    """Return torch, on one thread."""
    module = pytest.importorskip("torch", reason="torch is an extra")
    module.set_num_threads(1)
    return module


@pytest.mark.parametrize("batch_size", [1, 7, 64, 140])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("transform", [None, TRANSFORMS])
@pytest.mark.parametrize("normalize", [None, Normalize.unit(), Normalize([1, 2, 3], [4, 5, 6])])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_tensors_are_the_arrays_to_the_bit(torch, batch_size, shuffle, transform, normalize, device):
    """In the same order, from any batch on, extras included."""
    X, y, extras = images_of(150)
    for some in ({}, {"weights": extras["weights"]}, extras):
        options = {"shuffle": shuffle, "transform": transform, "normalize": normalize, "extras": some, "seed": 2}
        arrays = ArrayLoader(X, y, batch_size, **options)
        tensors = ArrayLoader(X, y, batch_size, framework="torch", device=device, **options)
        for (a, b), (c, d) in zip(arrays.batches(3, 1), tensors.batches(3, 1), strict=True):
            targets = list(zip(b.values(), d.values(), strict=True)) if some else [(b, d)]
            for array, tensor in [(a, c), *targets]:
                assert isinstance(tensor, torch.Tensor)
                assert tensor.numpy().dtype == array.dtype
                np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_loader_of_tensors_shares_the_memory_of_the_arrays(torch, tmp_path, shuffle):
    """Files in memory included, without a warning; what may not be written is copied."""
    X, y, _ = images_of(100)
    np.save(tmp_path / "X.npy", X)
    for array in (X, np.load(tmp_path / "X.npy", mmap_mode="c")):
        loader = ArrayLoader(array, y, 100, shuffle=shuffle, framework="torch")
        list(loader)
        array[:] = 7
        assert (next(loader.batches(1))[0] == 7).all()
    X.flags.writeable = False
    list(ArrayLoader(X, y, 100, shuffle=shuffle, framework="torch"))


@pytest.mark.parametrize("batch_size", [7, 64, 140])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("transform", [None, lambda X, draws: X, lambda X, draws: X[:, :, ::-1]])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_writing_into_tensors_changes_no_data(torch, batch_size, shuffle, transform, dtype):
    """They cannot be protected, so they are copies: normalized or not, targets and extras too."""
    X, y, extras = images_of(150)
    X = X.astype(dtype)
    for some in ({}, {"weights": extras["weights"]}, extras):
        for normalize in (None, Normalize.unit()):
            options = {"transform": transform, "normalize": normalize, "extras": some, "framework": "torch"}
            loader = ArrayLoader(X, y, batch_size, shuffle=shuffle, **options)
            before = [[tensor.clone() for tensor in tensors_of(batch)] for batch in loader.batches(0)]
            for batch in loader.batches(0):
                for tensor in tensors_of(batch):
                    tensor.zero_()
            for batch, same in zip(loader.batches(0), before, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(tensors_of(batch), same, strict=True))


def tensors_of(batch):
    """Return all tensors of a batch."""
    X, targets = batch
    return [X, *(targets.values() if isinstance(targets, dict) else [targets])]


def test_types_that_torch_can_hardly_compute_with_are_widened(torch):
    """Instance masks are uint16."""
    masks = np.arange(8, dtype=np.uint16).reshape(2, 2, 2)
    batch, _ = next(iter(ArrayLoader(masks, np.arange(2), 2, framework="torch")))
    assert batch.dtype == torch.int32


@pytest.mark.gpu
def test_batches_are_gathered_on_the_device(torch):
    """Where the arrays were moved once."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X, y, _ = images_of(100)
    for transform in (None, TRANSFORMS):
        options = {"shuffle": True, "transform": transform, "normalize": Normalize.unit()}
        arrays, tensors = (
            ArrayLoader(X, y, 8, **options),
            ArrayLoader(X, y, 8, framework="torch", device="cuda", **options),
        )
        for (a, b), (c, d) in zip(arrays, tensors, strict=True):
            assert (c.device.type, d.device.type) == ("cuda", "cuda")
            np.testing.assert_array_equal(c.cpu().numpy(), a)
            np.testing.assert_array_equal(d.cpu().numpy(), b)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"drop_last": True}, {"normalize": Normalize.unit()}])
def test_there_are_no_tensors_behind_the_last_batch(torch, options):
    """As there are no arrays: a run that was stopped at the end of an epoch goes on with the next."""
    loader = ArrayLoader(np.zeros((9, 2), np.float32), np.zeros(9), 4, framework="torch", **options)
    assert list(loader.batches(0, start=len(loader))) == []


def test_a_transform_that_changes_the_type_of_images_is_refused_where_they_are_normalized():
    """They would be scaled twice."""
    images, labels = np.zeros((4, 1, 3, 3), np.uint8), np.zeros(4)

    def scaled(X, draws):
        return X.astype(np.float32) / 255

    with pytest.raises(DataError, match="expected uint8, got float32; keep it, or load with normalize=None"):
        next(ArrayLoader(images, labels, 2, transform=scaled, normalize=Normalize.unit()).batches(0))
    X, _ = next(ArrayLoader(images, labels, 2, transform=scaled).batches(0))
    assert X.dtype == np.float32
