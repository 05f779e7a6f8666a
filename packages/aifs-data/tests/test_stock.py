"""What lies in the cache, and how it is laid out for others."""

import hashlib

import numpy as np
import pytest

from aifs_data import stock
from aifs_data.cache import decoded_folder, files_folder, load_arrays
from aifs_data.downloads import Download, RemoteFile
from aifs_utils import DataError

DATA = bytes(range(256))


def decode(files, *, factor=1):
    """Give the bytes of the file."""
    yield "X", np.frombuffer(files["bytes.bin"].read_bytes(), np.uint8) * np.uint8(factor)


@pytest.fixture
def download(tmp_path, monkeypatch):
    """A set of two files that a mirror has, and an empty cache."""
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    files = []
    for name, data in (("bytes.bin", DATA), ("more.bin", DATA[:7])):
        (tmp_path / "mirror" / "toy" / name).write_bytes(data)
        files.append(RemoteFile(path=f"toy/{name}", size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    monkeypatch.setenv("AIFS_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "cache"))
    return Download(files=tuple(files), decode=decode)


def test_a_set_is_absent_then_ready_then_fetched_only(download):
    """As its files and arrays come and go."""
    assert stock.state("toy", download) == "absent"
    load_arrays("toy", download)
    assert stock.state("toy", download) == "ready"
    stock.remove(decoded_folder("toy", download))
    assert stock.state("toy", download) == "fetched"
    (files_folder() / "toy" / "more.bin").unlink()
    assert stock.state("toy", download) == "partly fetched"


def test_damage_to_decoded_arrays_is_described(download):
    """For every choice of options that was decoded."""
    load_arrays("toy", download)
    load_arrays("toy", download, options={"factor": 2})
    folders = list(stock.decoded_folders("toy"))
    assert len(folders) == 2
    assert [stock.decoded_damage(folder, download) for folder in folders] == ["", ""]
    with (folders[1] / "X.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert [bool(stock.decoded_damage(folder, download)) for folder in folders] == [False, True]


def test_a_mirror_is_laid_out_as_it_is_fetched_from(download, tmp_path, monkeypatch):
    """So what one machine has, it can give to the next."""
    load_arrays("toy", download)
    stock.lay_out(download, tmp_path / "usb")
    stock.lay_out(download, tmp_path / "usb")
    assert (tmp_path / "usb" / "toy" / "bytes.bin").read_bytes() == DATA
    monkeypatch.setenv("AIFS_DATA_MIRROR", (tmp_path / "usb").as_uri())
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "another"))
    arrays, source = load_arrays("toy", download)
    assert (arrays["X"].tobytes(), source) == (DATA, "mirror")


def test_a_damaged_file_of_a_mirror_is_laid_out_anew(download, tmp_path):
    """It is compared by its bytes."""
    load_arrays("toy", download)
    stock.lay_out(download, tmp_path / "usb")
    (tmp_path / "usb" / "toy" / "bytes.bin").write_bytes(DATA[::-1])
    stock.lay_out(download, tmp_path / "usb")
    assert (tmp_path / "usb" / "toy" / "bytes.bin").read_bytes() == DATA


def test_leftovers_are_what_no_load_will_use(download):
    """What another version decoded, what a killed process began."""
    load_arrays("toy", download)
    load_arrays("toy", download, options={"factor": 2})
    current = decoded_folder("toy", download, {"factor": 1})
    (current.parent / ".0123.tmp").mkdir()
    left = [path for path in stock.leftovers({"toy": download}) if path.exists()]
    assert current not in left
    assert {path.name for path in left} >= {".0123.tmp", decoded_folder("toy", download, {"factor": 2}).name}


def test_removing_a_set_frees_its_files_and_arrays(download):
    """And says how many bytes."""
    load_arrays("toy", download)
    assert stock.remove_set("toy", download) > len(DATA) * 2
    assert stock.state("toy", download) == "absent"
    assert stock.remove_set("toy", download) == 0
    with pytest.raises(DataError, match="bytes"):
        load_arrays("toy", download, source="cache")
