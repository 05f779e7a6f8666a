"""Decoded once, checked at every load, mended where they are damaged."""

import hashlib
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aifs_data.arrays import let_go
from aifs_data.cache import array_digest, cache_folder, decoded_folder, load_arrays, read_arrays, write_arrays
from aifs_data.downloads import ArrayFacts, Download, RemoteFile
from aifs_utils import DataError

LINES = b"3\n1\n4\n1\n5\n"
FACTS = ArrayFacts(dtype="int64", shape=(5,), low=0, high=9, counts=(0, 2, 0, 1, 1, 1))


def decode(files, *, factor=1):
    """Read one number from each line, in two blocks."""
    numbers = np.loadtxt(files["numbers.txt"], dtype=np.int64) * factor
    yield "y", numbers[:2]
    yield "X", np.eye(5, 3, dtype=np.float32)
    yield "y", numbers[2:]


def toy():
    """Return the small set."""
    file = RemoteFile(path="toy/numbers.txt", size=len(LINES), sha256=hashlib.sha256(LINES).hexdigest())
    return Download(files=(file,), decode=decode, arrays={"X": ArrayFacts(dtype="float32", shape=(5, 3)), "y": FACTS})


@pytest.fixture
def download(tmp_path, monkeypatch):
    """A small set that a mirror has, and an empty cache."""
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "numbers.txt").write_bytes(LINES)
    monkeypatch.setenv("AIFS_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "cache"))
    return toy()


def counted(download):
    """Return the download with a decoder that counts its calls, and the list that it counts in."""
    calls = []

    def decode_and_count(files, *, factor=1):
        calls.append(factor)
        yield from decode(files, factor=factor)

    return replace(download, decode=decode_and_count), calls


def test_the_second_load_maps_what_the_first_one_decoded(download):
    """And decodes nothing."""
    download, calls = counted(download)
    first, second = (load_arrays("toy", download) for _ in range(2))
    assert (first.source, second.source, calls) == ("mirror", "cache", [1])
    for arrays, _ in (first, second):
        assert all(isinstance(array, np.memmap) for array in arrays.values())
        assert arrays["y"].tolist() == [3, 1, 4, 1, 5]
        np.testing.assert_array_equal(arrays["X"], np.eye(5, 3))


def test_what_a_caller_writes_stays_in_its_process(download):
    """The arrays can be written to, as torch wants them, and the file keeps its values."""
    load_arrays("toy", download).arrays["y"][:] = 0
    assert load_arrays("toy", download).arrays["y"].tolist() == [3, 1, 4, 1, 5]


def test_another_version_other_options_and_other_facts_are_decoded_anew(download):
    """What was decoded before is not mistaken for it."""
    download, calls = counted(download)
    load_arrays("toy", download)
    assert load_arrays("toy", download, options={"factor": 2}).arrays["y"].tolist() == [6, 2, 8, 2, 10]
    load_arrays("toy", replace(download, version=2))
    load_arrays("toy", replace(download, arrays={}))
    assert calls == [1, 2, 1, 1]
    assert load_arrays("toy", download, options={"factor": 1}).source == "cache"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (replace(FACTS, dtype="int32"), "the type of y .*: expected int32, got int64"),
        (replace(FACTS, shape=(6,)), r"the shape of y .*: expected \(6,\), got \(5,\)"),
        (
            replace(FACTS, counts=(1, 4)),
            r"the samples of each class in y .*: expected \(1, 4\), got \(0, 2, 0, 1, 1, 1\)",
        ),
        (replace(FACTS, high=4), "the greatest value of y .*: expected at most 4, got 5"),
        (replace(FACTS, low=2), "the least value of y .*: expected at least 2, got 1"),
        (replace(FACTS, digest="00"), "the digest of y .*: expected 00, got "),
    ],
)
def test_arrays_that_are_not_those_of_the_registry_are_refused(download, facts, message):
    """And not kept."""
    wrong = replace(download, arrays={**download.arrays, "y": facts})
    with pytest.raises(DataError, match=message):
        load_arrays("toy", wrong)
    assert not decoded_folder("toy", wrong).exists()
    assert list(decoded_folder("toy", wrong).parent.glob(".*.tmp")) == []


def test_an_array_too_many_or_too_few_is_refused(download):
    """By name."""
    with pytest.raises(DataError, match=r"the arrays .*: expected \['y'\], got \['X', 'y'\]"):
        load_arrays("toy", replace(download, arrays={"y": FACTS}))


def flip(path, byte=-1, bit=0):
    """Change one bit, by default in the last byte."""
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


DAMAGES = {
    "a bit": lambda folder: flip(folder / "y.npy"),
    "half of a file": lambda folder: os.truncate(folder / "X.npy", 100),
    "a header": lambda folder: flip(folder / "X.npy", 70),
    "another file": lambda folder: (folder / "X.npy").write_bytes(b"nothing"),
    "an empty file": lambda folder: (folder / "X.npy").write_bytes(b""),
    "a file": lambda folder: (folder / "X.npy").unlink(),
    "half of the index": lambda folder: os.truncate(folder / "index.json", 100),
    "the index": lambda folder: (folder / "index.json").unlink(),
    "a word of the index": lambda folder: flip(folder / "index.json", 20),
    "an index of something else": lambda folder: (folder / "index.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_mended(download, caplog, damage):
    """With a warning, from the files that are still there."""
    download, calls = counted(download)
    load_arrays("toy", download)
    folder = decoded_folder("toy", download)
    DAMAGES[damage](folder)
    with caplog.at_level(logging.WARNING):
        arrays, _ = load_arrays("toy", download)
    assert "damaged and made anew" in caplog.text
    assert arrays["y"].tolist() == [3, 1, 4, 1, 5]
    assert calls == [1, 1]
    assert load_arrays("toy", download).source == "cache"
    assert [path.name for path in folder.parent.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize("file", ["X.npy", "y.npy", "index.json"])
def test_no_bit_can_flip_unnoticed(download, file):
    """In whatever place, and whatever it makes of the file."""
    load_arrays("toy", download)
    path = decoded_folder("toy", download) / file
    whole = path.read_bytes()
    for byte in range(len(whole)):
        flip(path, byte, bit=byte % 8)
        with pytest.raises(DataError):
            read_arrays(path.parent, download.arrays)
        path.write_bytes(whole)
    read_arrays(path.parent, download.arrays)


def test_a_decoder_that_fails_leaves_nothing_behind(download):
    """Nor does what a killed process left stay for ever."""

    def decode_half(files):
        yield "X", np.zeros(3)
        raise DataError("the file ends in the middle")

    parent = decoded_folder("toy", download).parent
    (parent / f".{decoded_folder('toy', download).name}.new.tmp").mkdir(parents=True)
    with pytest.raises(DataError, match="in the middle"):
        load_arrays("toy", replace(download, decode=decode_half))
    load_arrays("toy", download)
    assert sorted(path.name for path in parent.iterdir()) == [".lock", decoded_folder("toy", download).name]


def test_blocks_that_do_not_fit_together_are_refused(tmp_path):
    """Their rows have one type and one shape."""
    for other in (np.zeros((1, 3)), np.zeros((1, 2), np.float32)):
        with pytest.raises(DataError, match="a block of X has rows of"):
            write_arrays(tmp_path, iter([("X", np.zeros((1, 2))), ("X", other)]))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1,), (7, 0), (5, 2, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64", "bool"])
def test_arrays_of_any_shape_come_back(tmp_path, shape, dtype):
    """Written in blocks or at once."""
    array = np.ones(shape, dtype)
    write_arrays(tmp_path, iter([("a", array), ("a", array[:0]), ("a", array)]))
    back = read_arrays(tmp_path, {})["a"]
    np.testing.assert_array_equal(back, np.concatenate([array, array]))
    assert back.dtype == array.dtype


def test_the_digest_sees_values_type_and_shape():
    """And not the layout in memory."""
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    others = [array.astype(np.int64), array.reshape(3, 2), array + 1, array.view(np.float32)]
    assert len({array_digest(a) for a in (array, *others)}) == 5
    assert array_digest(np.asfortranarray(array)) == array_digest(array.copy()) == array_digest(array)


def test_pages_that_were_let_go_come_back(tmp_path):
    """With what the file holds."""
    np.save(tmp_path / "a.npy", np.arange(10_000))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
    total = mapped.sum()
    let_go(mapped)
    assert mapped.sum() == total


def test_the_folder_is_the_one_asked_for_or_the_environments_or_the_platforms(tmp_path, monkeypatch):
    """In this order."""
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "b"))
    assert cache_folder(tmp_path / "a") == tmp_path / "a"
    assert cache_folder() == tmp_path / "b"
    monkeypatch.setenv("AIFS_DATA_DIR", "~/data")
    assert cache_folder() == cache_folder().expanduser()
    monkeypatch.delenv("AIFS_DATA_DIR")
    assert "aifs-data" in str(cache_folder())


def test_where_nothing_can_be_kept_the_set_is_decoded_for_once(download, caplog, monkeypatch):
    """A cache that may only be read, or a full disk, does not keep anybody from working."""
    load_arrays("toy", download, options={"factor": 3})  # so that the files are there
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with caplog.at_level(logging.WARNING):
        arrays, source = load_arrays("toy", download)
    assert "the decoded arrays of toy are not kept in " in caplog.text
    assert (arrays["y"].tolist(), source) == ([3, 1, 4, 1, 5], "cache")
    assert not decoded_folder("toy", download).exists()


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import test_cache
arrays, source = test_cache.load_arrays("toy", test_cache.toy())
print(source, arrays["y"].tolist())
"""


@pytest.mark.slow
def test_eight_processes_at_once_decode_once(download):
    """The others wait for it."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = [child.communicate()[0] for child in children]
    assert sorted(answers) == ["cache [3, 1, 4, 1, 5]\n"] * 7 + ["mirror [3, 1, 4, 1, 5]\n"]
