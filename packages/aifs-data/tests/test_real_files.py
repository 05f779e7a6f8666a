"""The real bytes of every set, from a server on this machine: fetched, verified, decoded, checked, loaded again.

The files are not part of the project. Where the environment's AIFS_TEST_DATA names a folder that holds them, laid out
as a mirror serves them, these tests run.
"""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from aifs_data import list_datasets, load_dataset
from aifs_data.registry import find_source

FOLDER = Path(os.environ.get("AIFS_TEST_DATA", "/nowhere"))
DOWNLOADS = {name: find_source(name).download for name in list_datasets() if find_source(name).download}
THERE = [name for name, d in DOWNLOADS.items() if all((FOLDER / file.path).is_file() for file in d.files)]
ABSENT = sorted(set(DOWNLOADS) - set(THERE))

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="AIFS_TEST_DATA names no folder with the original files"),
    pytest.mark.slow,
]


class _QuietServer(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture(scope="module")
def mirror():
    """The URL of a server of the files."""
    handler = functools.partial(_QuietServer, directory=FOLDER)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that the tests of this file share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def environment(mirror, cache, monkeypatch):
    """The server is the mirror."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", mirror)
    monkeypatch.setenv("AIFS_DATA_DIR", str(cache))
    monkeypatch.delenv("AIFS_OFFLINE", raising=False)


@pytest.mark.parametrize("name", THERE)
def test_a_set_comes_from_the_mirror_and_then_from_the_cache(name, monkeypatch):
    """One call, validated; the second load needs no network and gives the same numbers."""
    first = load_dataset(name, seed=3)
    assert first.source in {"mirror", "cache"}  # the files of two sets may be the same
    assert not first.is_standin
    monkeypatch.delenv("AIFS_DATA_MIRROR")
    monkeypatch.setenv("AIFS_OFFLINE", "1")
    second = load_dataset(name, seed=3)
    assert (second.source, second.digest) == ("cache", first.digest)
    for source in ("primary", "mirror", "cache"):
        assert load_dataset(name, seed=3, source=source).digest == first.digest


@pytest.mark.parametrize("name", ABSENT)
def test_a_set_that_the_mirror_lacks_is_never_made_of_something_else(name):
    """Without saying so."""
    with pytest.raises(ValueError, match="404"):
        load_dataset(name, source="mirror")


@pytest.mark.parametrize("name", THERE)
def test_every_digest_of_what_is_there_is_in_the_registry(name):
    """So that another decoder, or another version of a library, cannot change the numbers unseen."""
    assert all(facts.digest for facts in DOWNLOADS[name].arrays.values())


def samples_of(part, dataset):
    """Return the samples of a part, each with its target, as bytes; texts with unknown words left out."""
    pairs = [(part.X[i], np.asarray(part.y[i])) for i in range(len(part))]
    if dataset.vocabulary is not None:
        unknown = dataset.vocabulary.unk, dataset.target_vocabulary and dataset.target_vocabulary.unk
        pairs = [
            (x, y)
            for x, y in pairs
            if (unknown[0] is None or unknown[0] not in x) and (unknown[1] is None or unknown[1] not in y)
        ]
    return {(x.tobytes(), y.tobytes()) for x, y in pairs}


@pytest.mark.parametrize(
    "name", [name for name in THERE if find_source(name).info.task in {"classification", "translation", "segmentation"}]
)
def test_no_sample_for_training_is_in_the_test_part(name):
    """Nor in the validation part, where that is carved from the same file."""
    dataset = load_dataset(name, seed=5)
    train, val, test = (samples_of(part, dataset) for part in (dataset.train, dataset.val, dataset.test))
    official = {"mnist", "cifar-10-10k", "sst2", "multi30k-en-fr", "multi30k-en-de"}  # their authors drew the line
    assert name in official or not train & test
    assert name in official or not train & val


def bases(array):
    """Yield an array and what it is a view of."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


@pytest.mark.parametrize("name", ["mnist", "tiny-shakespeare"])
def test_the_second_load_maps_files_into_memory(name):
    """Of parts that are whole files, nothing is copied."""
    load_dataset(name)
    part = load_dataset(name).test
    assert any(isinstance(base, np.memmap) for array in (part.X, part.y) for base in bases(array))


def test_a_load_from_the_cache_imports_nothing_of_the_network():
    """It is over in the time that these imports would take."""
    load_dataset("mnist")
    heavy = {"aifs_data.fetch", "filelock", "pooch", "requests", "rich", "scipy", "sklearn"}
    code = f"import sys, aifs_data; aifs_data.load_dataset('mnist'); print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


PEAK = """
import re, sys
import numpy, xxhash, platformdirs, logging
import aifs_data.registry, aifs_data.cache, aifs_data.fetch, aifs_data.loaders
from aifs_data.arrays import components
if sys.argv[2] == "first":
    import pooch, requests, filelock, rich.progress
def peak():
    # Not ru_maxrss, in which a process begins with the peak of the one that started it.
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
aifs_data.load_dataset("moons")
before = peak()
dataset = aifs_data.load_dataset(sys.argv[1])
after = peak()
parts = (dataset.train, dataset.val, dataset.test)
size = sum(component.nbytes for part in parts for array in part.arrays.values() for component in components(array))
print((after - before) / size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", ["mnist", "cifar-10-10k"])
def test_loading_takes_little_more_memory_than_the_arrays(name, tmp_path, monkeypatch):
    """Fetched and decoded, or from the cache."""
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path))
    for which in ("first", "second"):
        command = [sys.executable, "-c", PEAK, name, which]
        ratio = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert 0 < ratio <= 1.3, which


def test_eight_processes_at_once_download_once(tmp_path, monkeypatch, mirror):
    """And all of them get the right arrays."""
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path))
    code = "from aifs_data import load_dataset; d = load_dataset('mnist'); print(d.source, d.digest)"
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = [child.communicate()[0].split() for child in children]
    assert sorted(source for source, _ in answers) == ["cache"] * 7 + ["mirror"]
    assert {digest for _, digest in answers} == {load_dataset("mnist").digest}
