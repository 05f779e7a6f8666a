"""The sets of images: files in the originals' formats are read right, and refused where they are damaged."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_data.cache import array_digest, check_array
from aifs_data.dataset import Split
from aifs_data.registry import find_source
from aifs_data.sources import cifar_10, fashion_mnist, mnist, nuclei, olivetti
from aifs_data.sources._images import centred, digits_standin, enlarged, read_digits, read_idx
from aifs_data.validation import check_dataset
from aifs_utils import DataError

FOLDER = Path(os.environ.get("AIFS_TEST_DATA", "/nowhere"))
real_files = pytest.mark.skipif(not FOLDER.is_dir(), reason="AIFS_TEST_DATA names no folder with the original files")

NAMES = ("mnist", "fashion-mnist", "cifar-10", "cifar-10-10k", "olivetti", "nuclei")
WITH_OFFICIAL_TEST = NAMES[:4]
THERE = [name for name in NAMES if all((FOLDER / file.path).is_file() for file in find_source(name).download.files)]


def decoded(decode, files):
    """Return the arrays that a decoder's blocks add up to."""
    blocks = {}
    for name, block in decode(files):
        blocks.setdefault(name, []).append(block)
    return {name: np.concatenate(pieces) for name, pieces in blocks.items()}


def decoded_files(name):
    """Return the arrays of the original files."""
    download = find_source(name).download
    return decoded(download.decode, {file.name: FOLDER / file.path for file in download.files})


# --- MNIST's format ---------------------------------------------------------------------------------------------------


def idx(array, **changes):
    """Return an array of bytes in MNIST's format, its header changed."""
    header = {"zeros": b"\0\0", "type": b"\x08", "axes": bytes([array.ndim])} | changes
    shape = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return b"".join(header.values()) + shape + array.tobytes()


def gzipped(content):
    """Return what a gzipped file holds: always the same, without the time of day."""
    return gzip.compress(content, mtime=0)


def written(path, content):
    """Write a gzipped file."""
    path.write_bytes(gzipped(content))
    return path


@pytest.mark.parametrize("row_shape", [(), (28, 28)])
@pytest.mark.parametrize("n_rows", [1, 4095, 4096, 8193])
def test_rows_come_back_in_blocks(tmp_path, row_shape, n_rows):
    """In their order, and all of them."""
    array = np.random.default_rng(n_rows).integers(0, 256, (n_rows, *row_shape), dtype=np.uint8)
    blocks = list(read_idx(written(tmp_path / "rows.gz", idx(array)), row_shape))
    np.testing.assert_array_equal(np.concatenate(blocks), array)
    assert max(map(len, blocks)) <= 4096


IMAGES = np.arange(3 * 784).astype(np.uint8).reshape(3, 28, 28)
WHOLE = gzipped(idx(IMAGES))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(gzipped(b""), "expected the header", id="nothing inside"),
        pytest.param(gzipped(idx(IMAGES, zeros=b"\0\1")), "expected the header", id="no zeros"),
        pytest.param(gzipped(idx(IMAGES, type=b"\x0d")), "expected the header", id="other type"),
        pytest.param(gzipped(idx(IMAGES, axes=b"\x04")), "expected the header", id="more axes"),
        pytest.param(gzipped(idx(IMAGES.reshape(3, 784))), "expected the header", id="fewer axes"),
        pytest.param(gzipped(idx(IMAGES.reshape(3, 14, 56))), "expected the header", id="other shape"),
        pytest.param(gzipped(idx(IMAGES)[:-1]), "expected 3 rows, got 2", id="a byte too few"),
        pytest.param(gzipped(idx(IMAGES) + b"\0"), "expected 3 rows, got more", id="a byte too many"),
        pytest.param(WHOLE[:-9], "end-of-stream", id="cut off"),
        pytest.param(WHOLE[:-8] + b"\0" * 8, "CRC", id="other checksum"),
        pytest.param(WHOLE[:30] + b"\xff" + WHOLE[31:], "delete it", id="a byte changed"),
        pytest.param(b"<html>not found</html>", "gzip", id="no gzip"),
        pytest.param(b"", "expected the header", id="empty"),
    ],
)
def test_a_damaged_file_of_rows_is_refused(tmp_path, content, reason):
    """With what was expected and what came."""
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)images.gz is damaged.*{reason}"):
        list(read_idx(path, (28, 28)))


@pytest.mark.parametrize("length", range(8))
def test_a_header_that_is_cut_off_is_refused(tmp_path, length):
    """Of labels, which have one axis only."""
    path = written(tmp_path / "labels.gz", idx(np.zeros(300, np.uint8))[:length])
    with pytest.raises(DataError, match="expected the header"):
        list(read_idx(path, ()))


@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_four_files_become_the_parts(tmp_path, module):
    """Images with one channel, labels as class indices."""
    files, expected = {}, {}
    rng = np.random.default_rng(0)
    for part, prefix, n in (("train", "train", 40), ("test", "t10k", 20)):
        X, y = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10
        for array, name in ((X, f"{prefix}-images-idx3-ubyte.gz"), (y, f"{prefix}-labels-idx1-ubyte.gz")):
            files[name] = written(tmp_path / name, idx(array))
        expected |= {f"{part}_X": X[:, np.newaxis], f"{part}_y": y.astype(np.int64)}
    assert set(files) == {file.name for file in module.DOWNLOAD.files}
    arrays = decoded(module.DOWNLOAD.decode, files)
    assert {name: array.dtype for name, array in arrays.items()} == {k: v.dtype for k, v in expected.items()}
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
    dataset = module.load(arrays, 1, val_fraction=0.25)
    check_dataset(dataset)
    assert [len(part) for part in (dataset.train, dataset.val, dataset.test)] == [30, 10, 20]


# --- CIFAR-10's format ------------------------------------------------------------------------------------------------

BATCH = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K%cM\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89T%b%btbU\x06labels](%beu."
)
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def batch(pixels, labels):
    """Return a batch as Python 2 pickled it."""
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return BATCH % (len(pixels), pixels.size.to_bytes(4, "little"), pixels.tobytes(), numbers)


def names(classes):
    """Return the file that names the classes."""
    return b"\x80\x02}U\x0blabel_names](" + b"".join(b"U%c%b" % (len(c), c.encode()) for c in classes) + b"es."


@pytest.fixture
def cifar_files(tmp_path):
    """The files of a tiny set, and the pixels and labels of each batch."""
    rng = np.random.default_rng(0)
    batches, files = {}, {"batches.meta": tmp_path / "batches.meta"}
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        batches[name] = rng.integers(0, 256, (20, 3072), dtype=np.uint8), rng.permutation(20) % 10
        files[name] = tmp_path / name
        files[name].write_bytes(batch(*batches[name]))
    files["batches.meta"].write_bytes(names(CLASSES))
    return files, batches


def test_batches_follow_one_another_and_planes_of_colour_become_channels(cifar_files):
    """1,024 red, 1,024 green, 1,024 blue, row by row."""
    files, batches = cifar_files
    assert set(files) == {file.name for file in cifar_10.DOWNLOAD.files}
    arrays = decoded(cifar_10.decode, dict(reversed(files.items())))
    for k in range(5):
        pixels, labels = batches[f"data_batch_{k + 1}"]
        rows = slice(20 * k, 20 * (k + 1))
        np.testing.assert_array_equal(arrays["train_X"][rows, 1, 2, 3], pixels[:, 1024 + 2 * 32 + 3])
        np.testing.assert_array_equal(arrays["train_X"][rows].reshape(20, -1), pixels)
        np.testing.assert_array_equal(arrays["train_y"][rows], labels)
    np.testing.assert_array_equal(arrays["test_X"].reshape(20, -1), batches["test_batch"][0])
    check_dataset(cifar_10.load(arrays, 0))


def test_the_small_set_is_the_first_batch_and_the_whole_test_part(cifar_files):
    """Of the same files."""
    files, _ = cifar_files
    small = {file.name: files[file.name] for file in cifar_10.SMALL_DOWNLOAD.files}
    whole, part = decoded(cifar_10.decode, files), decoded(cifar_10.decode, small)
    np.testing.assert_array_equal(part["train_X"], whole["train_X"][:20])
    np.testing.assert_array_equal(part["test_X"], whole["test_X"])
    dataset = cifar_10.load_small(part, 0)
    check_dataset(dataset)
    assert dataset.name == "cifar-10-10k"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("batches.meta", names(CLASSES[::-1]), "must name the classes"),
        ("batches.meta", b"\x80\x02].", "must hold a dict with label_names, got list"),
        ("data_batch_3", b"\x80\x02}.", "must hold a dict with data, labels"),
        ("data_batch_3", batch(np.zeros((3, 3072), np.uint8), [1, 2]), r"must hold uint8 pixels \(2, 3072\)"),
        ("data_batch_3", batch(np.zeros((2, 3072), np.uint8), [1, 2])[:-100], "damaged"),
        ("test_batch", b"\x80\x02cposix\nsystem\nU\x02ls\x85R.", "posix.system"),
        ("test_batch", b"\x80\x02}(U\x04dataNU\x06labelsNu.", "must hold a list of class indices, got NoneType"),
        ("test_batch", b"\x80\x02}(U\x04dataNU\x06labels]u.", "must hold uint8 pixels"),
    ],
)
def test_a_batch_that_is_not_what_it_must_be_is_refused(cifar_files, file, content, reason):
    """Other classes, another size, a program."""
    files, _ = cifar_files
    files[file].write_bytes(content)
    with pytest.raises(DataError, match=f"{file}.*{reason}"):
        decoded(cifar_10.decode, files)


# --- the faces --------------------------------------------------------------------------------------------------------


def test_a_column_of_the_file_is_a_face_read_column_by_column(tmp_path):
    """So it is turned upright."""
    from scipy.io import savemat

    faces = np.random.default_rng(0).integers(0, 256, (4096, 400), dtype=np.uint8)
    savemat(tmp_path / "olivettifaces.mat", {"faces": faces})
    arrays = decoded(olivetti.decode, {"olivettifaces.mat": tmp_path / "olivettifaces.mat"})
    for i, row, column in ((0, 0, 1), (17, 60, 3), (399, 63, 63)):
        assert arrays["X"][i, 0, row, column] == faces[64 * column + row, i]
    assert arrays["y"].tolist() == [i // 10 for i in range(400)]
    dataset = olivetti.load(arrays, 0)
    check_dataset(dataset)
    for part, n_each in ((dataset.train, 6), (dataset.val, 2), (dataset.test, 2)):
        assert np.bincount(part.y).tolist() == [n_each] * 40


def test_a_file_of_faces_that_is_damaged_is_refused(tmp_path):
    """Cut short, something else, other faces."""
    from scipy.io import savemat

    path = tmp_path / "olivettifaces.mat"
    savemat(path, {"faces": np.zeros((4096, 400), np.uint8)}, do_compression=True)
    whole = path.read_bytes()
    savemat(path, {"faces": np.zeros((4096, 40), np.uint8)})
    for content in (whole[:-10], whole[:200], whole[:300] + b"x" * 40 + whole[340:], b"", b"text", path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"olivettifaces\.mat"):
            decoded(olivetti.decode, {path.name: path})


@real_files
def test_the_faces_are_those_of_scikit_learn():
    """Its loader scales the same file to numbers from 0 to 1, and turns it likewise."""
    from scipy.io import loadmat

    faces = loadmat(FOLDER / "olivetti" / "olivettifaces.mat")["faces"].T.copy()
    expected = faces.reshape((400, 64, 64)).transpose(0, 2, 1)
    np.testing.assert_array_equal(decoded_files("olivetti")["X"][:, 0], expected)


# --- nuclei -----------------------------------------------------------------------------------------------------------

ONE, OTHER = "0" * 64, "1" * 64


def png(array):
    """Return an image file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def box_mask(x0, y0, x1, y1):
    """Return a mask that fills a box."""
    mask = np.zeros((256, 256), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


PIXELS = np.random.default_rng(0).integers(0, 256, (256, 256, 4), dtype=np.uint8) | np.uint8([0, 0, 0, 255])
MEMBERS = {
    f"{ONE}/images/{ONE}.png": png(PIXELS),
    f"{ONE}/masks/{'a' * 64}.png": png(box_mask(0, 0, 3, 5)),
    f"{ONE}/masks/{'b' * 64}.png": png(box_mask(2, 4, 256, 200)),
    f"{OTHER}/images/{OTHER}.png": png(PIXELS[::-1]),
    f"{OTHER}/masks/a name.png": png(box_mask(7, 8, 8, 9)),
}
ZIP = "dsb2018_stage1_train_256.zip"


def zipped(path, members):
    """Write a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return {ZIP: path}


def test_masks_become_instances_and_boxes(tmp_path):
    """Numbered in the order of their names, the later one on top; a box just holds the whole mask."""
    arrays = decoded(nuclei.decode, zipped(tmp_path / ZIP, MEMBERS | {"readme.txt": b"left out"}))
    np.testing.assert_array_equal(arrays["X"][0], PIXELS[..., :3].transpose(2, 0, 1))
    assert [arrays["instances"][0, y, x] for x, y in ((0, 0), (2, 3), (2, 4), (255, 199), (255, 200))] == [
        1,
        1,
        2,
        2,
        0,
    ]
    np.testing.assert_array_equal(arrays["y"], arrays["instances"] > 0)
    assert arrays["boxes_values"].tolist() == [[0, 0, 3, 5], [2, 4, 256, 200], [7, 8, 8, 9]]
    assert arrays["boxes_offsets"].tolist() == [0, 2, 3]
    facts = nuclei.DOWNLOAD.arrays
    assert {name: str(array.dtype) for name, array in arrays.items()} == {k: v.dtype for k, v in facts.items()}


IMAGE, MASK = list(MEMBERS)[:2]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (MEMBERS | {IMAGE: b"no image"}, f"{IMAGE} in .* is damaged"),
        (MEMBERS | {MASK: MEMBERS[MASK][:-30]}, f"{MASK} in .* is damaged"),
        (MEMBERS | {MASK: MEMBERS[MASK][:60] + b"x" * 20}, f"{MASK} in .* is damaged"),
        (MEMBERS | {MASK: png(np.zeros((256, 256), np.uint8))}, "mask 1 empty"),
        (MEMBERS | {MASK: png(np.ones((255, 256), np.uint8))}, "expected 256 × 256 pixels"),
        (MEMBERS | {MASK: b"\0" * (1 << 20) + b"\0"}, "may have"),
        (dict(reversed(MEMBERS.items())), "in the order of their names"),
        ({name: MEMBERS[name] for name in MEMBERS if name != IMAGE}, "one image and its masks"),
        ({IMAGE: MEMBERS[IMAGE], IMAGE.replace(".png", "2.png"): MEMBERS[IMAGE]}, "one image and its masks"),
    ],
)
def test_a_zip_that_is_laid_out_otherwise_is_refused(tmp_path, members, reason):
    """Damaged, empty, too large, out of order."""
    with pytest.raises(DataError, match=reason):
        decoded(nuclei.decode, zipped(tmp_path / ZIP, members))


@real_files
def test_boxes_and_masks_of_nuclei_agree():
    """Every nucleus reaches all four sides of its box, but for those that another one covers in part."""
    dataset = nuclei.load(decoded_files("nuclei"), 0)
    check_dataset(dataset)
    differing = 0
    for part in (dataset.train, dataset.val, dataset.test):
        for i in range(len(part)):
            instances, boxes = part.extras["instances"][i], part.extras["boxes"][i]
            np.testing.assert_array_equal(np.unique(instances), np.arange(len(boxes) + 1))
            np.testing.assert_array_equal(part.y[i], instances > 0)
            for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int), start=1):
                rows, columns = np.nonzero(instances == k)
                differing += (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) != (x0, y0, x1, y1)
    assert sum(len(part) for part in (dataset.train, dataset.val, dataset.test)) == 334
    assert differing <= 5


# --- the original files -----------------------------------------------------------------------------------------------


@real_files
@pytest.mark.parametrize("name", THERE)
def test_the_original_files_hold_what_the_registry_says(name):
    """Type, shape, range, samples of each class, digest."""
    arrays, facts = decoded_files(name), find_source(name).download.arrays
    assert set(arrays) == set(facts)
    for key, array in arrays.items():
        assert facts[key].digest is not None
        check_array(key, array, facts[key], array_digest(array))
        assert array.min() >= facts[key].low
        assert array.max() <= facts[key].high
    check_dataset(find_source(name).load(arrays, 0))


@real_files
def test_mnist_is_mnist():
    """Its first labels, and the mean and the deviation of its pixels that everybody knows."""
    arrays = decoded_files("mnist")
    assert arrays["train_y"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert arrays["test_y"][:5].tolist() == [7, 2, 1, 0, 4]
    assert arrays["train_X"].mean() == pytest.approx(33.3184, abs=1e-4)
    assert arrays["train_X"].std() == pytest.approx(78.5675, abs=1e-4)


@real_files
def test_a_frog_is_the_first_image_of_cifar():
    """And a cat, two ships and an airplane the first of its test part."""
    arrays = decoded_files("cifar-10-10k")
    assert [cifar_10.INFO.class_names[k] for k in arrays["train_y"][:4]] == ["frog", "truck", "truck", "deer"]
    assert [cifar_10.INFO.class_names[k] for k in arrays["test_y"][:4]] == ["cat", "ship", "ship", "airplane"]
    assert arrays["test_X"].mean(axis=(0, 2, 3)) / 255 == pytest.approx([0.494, 0.485, 0.450], abs=1e-3)


PEAK = """
import re, sys
from pathlib import Path
import numpy, gzip, aifs_data.python2_pickles
from aifs_data.cache import write_arrays
from aifs_data.registry import find_source
def peak():  # of this program: getrusage also counts what its parent had in use
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
source = find_source(sys.argv[1])
before = peak()
files = {file.name: Path(sys.argv[2], file.path) for file in source.download.files}
size = sum(block.nbytes for _, block in source.download.decode(files))
decoding = peak() - before
write_arrays(Path(sys.argv[3]), source.download.decode(files))
print(decoding / size, (peak() - before) / size)
"""


@real_files
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(("name", "most"), [("mnist", 0.4), ("cifar-10-10k", 0.7), ("nuclei", 0.4)])
def test_decoding_holds_a_block_of_the_arrays_at_a_time(tmp_path, name, most):
    """And writing them to files takes no more than the limit of 1.3 times the arrays."""
    command = [sys.executable, "-c", PEAK, name, FOLDER, tmp_path]
    ratios = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    decoding, writing = map(float, ratios)
    assert 0 < decoding < most
    assert writing < 1.3


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def few():
    """Arrays of a small set with an official test part."""
    y = np.arange(100) % 10
    X = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, np.newaxis, np.newaxis, np.newaxis], (100, 1, 28, 28))
    return {"train_X": X, "train_y": y, "test_X": X[:20] + np.uint8(100), "test_y": y[:20]}


def test_validation_is_carved_from_the_training_part_only(few):
    """Every sample once, each class in proportion, in the order of the file; the test part stays whole."""
    dataset = mnist.load(few, 3, val_fraction=0.2)
    train, val = dataset.train.X[:, 0, 0, 0], dataset.val.X[:, 0, 0, 0]
    assert sorted([*train, *val]) == list(range(100))
    assert (np.diff(train.astype(int)) > 0).all()
    assert (np.diff(val.astype(int)) > 0).all()
    assert np.bincount(dataset.val.y).tolist() == [2] * 10
    assert dataset.test.X is few["test_X"]
    other = mnist.load(few, 4, val_fraction=0.2)
    assert (other.val.X[:, 0, 0, 0] != val).any()


def test_without_validation_the_training_part_is_the_array_itself(few):
    """Mapped from its file, and not copied."""
    dataset = mnist.load(few, 0, val_fraction=0)
    assert dataset.train.X is few["train_X"]
    assert (len(dataset.train), len(dataset.val)) == (100, 0)


# --- stand-ins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_stand_in_is_what_it_says_and_a_function_of_the_seed(name):
    """`load_dataset` checks it against its own description."""
    one, same, other = (load_dataset(name, source="standin", seed=seed) for seed in (1, 1, 2))
    assert one.is_standin
    assert (one.name, one.source) == (name, "standin")
    assert one.digest == same.digest != other.digest
    real = find_source(name).info
    assert set(one.info.specs) == set(real.specs)
    for array, spec in real.specs.items():
        assert (one.info.specs[array].dtype, one.info.specs[array].shape) == (spec.dtype, spec.shape)
    for field in ("licence", "citation", "homepage", "description"):
        assert getattr(one.info, field) not in {"", getattr(real, field)}


@pytest.mark.parametrize("name", WITH_OFFICIAL_TEST)
def test_the_test_part_of_a_stand_in_is_the_same_for_every_seed(name):
    """As an official one is; and no digit of it is in another part."""
    one, other = (load_dataset(name, source="standin", seed=seed, val_fraction=0.5) for seed in (1, 2))
    np.testing.assert_array_equal(one.test.X, other.test.X)
    samples = [{image.tobytes() for image in part.X} for part in (one.train, one.val, one.test)]
    assert len(samples[0] | samples[1] | samples[2]) == sum(map(len, samples))
    assert sum(map(len, samples)) == 1797
    assert len(load_dataset(name, source="standin", val_fraction=0).val) == 0


def test_a_stand_in_says_how_the_digits_were_changed():
    """On the console, in the manifest, on figures."""
    said = {name: find_source(name).standin(0).standin for name in NAMES}
    assert said["mnist"] == "scikit-learn's digits, scaled to 20 × 20 and centred on 28 × 28"
    assert said["cifar-10"] == "scikit-learn's digits, upscaled to 32 × 32, the same in 3 channels"
    assert said["olivetti"] == "400 of scikit-learn's digits, upscaled to 64 × 64"
    assert said["nuclei"] == "generated ellipses"


@pytest.mark.parametrize("side", [20, 32, 64])
def test_digits_are_enlarged_linearly(side):
    """Against SciPy's interpolation at the same points; the edge goes on beyond the outermost centres."""
    from scipy.ndimage import map_coordinates

    digits, _ = read_digits()
    centres = (np.arange(side) + 0.5) * 8 / side - 0.5
    points = np.meshgrid(centres, centres, indexing="ij")
    for digit, mine in zip(digits[:20], enlarged(digits[:20], side), strict=True):
        expected = map_coordinates(digit.astype(float), points, order=1, mode="nearest") * 255 / 16
        assert np.abs(mine - expected).max() <= 0.5 + 1e-9


def test_centred_digits_have_their_mass_in_the_middle_and_lose_none():
    """To half a pixel, unless their box would leave the image."""
    small = enlarged(read_digits()[0], 20)
    large = centred(small)
    np.testing.assert_array_equal(large.sum(axis=(1, 2), dtype=int), small.sum(axis=(1, 2), dtype=int))
    for axis in (1, 2):
        ink = large.sum(axis=3 - axis, dtype=int)
        offsets = (ink * np.arange(28)).sum(axis=1) / ink.sum(axis=1) - 13.5
        assert np.abs(offsets).max() <= 0.5


def test_a_rule_learnt_from_the_stand_in_reads_digits():
    """So a model that fails on it has a fault of its own."""
    dataset = digits_standin(mnist.INFO, seed=0, val_fraction=0.1)
    X, X_test = (part.X.reshape(len(part), -1) / 255 for part in (dataset.train, dataset.test))
    nearest = ((X**2).sum(axis=1) - 2 * X_test @ X.T).argmin(axis=1)
    assert (dataset.train.y[nearest] == dataset.test.y).mean() > 0.95


def test_ellipses_have_the_masks_and_boxes_of_nuclei():
    """None overlap, and each is brighter than the ground."""
    dataset = nuclei.standin(0)
    assert [len(part) for part in (dataset.train, dataset.val, dataset.test)] == [24, 8, 8]
    part: Split = dataset.train
    for image, mask, instances, boxes in zip(
        part.X, part.y, part.extras["instances"], part.extras["boxes"], strict=True
    ):
        assert image[0][mask == 1].min() > image[0][mask == 0].max()
        for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int), start=1):
            rows, columns = np.nonzero(instances == k)
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)


@pytest.mark.parametrize("name", NAMES)
def test_a_stand_in_does_not_import_what_takes_seconds(name):
    """Neither scikit-learn itself nor pillow."""
    code = (
        f"import sys, aifs_data; aifs_data.load_dataset({name!r}, source='standin')\n"
        "assert not {'sklearn', 'PIL', 'scipy', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
