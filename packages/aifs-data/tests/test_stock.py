"""What lies in the cache, and how it is laid out for others."""

import hashlib
import threading
from dataclasses import replace

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
    """What another version decoded, what a killed process began; not what other options decoded."""
    load_arrays("toy", replace(download, version=0))
    load_arrays("toy", download)
    load_arrays("toy", download, options={"factor": 2})
    folder = decoded_folder("toy", download).parent
    (folder / ".0123.tmp").mkdir()
    (files_folder() / ".partial").mkdir(exist_ok=True)
    (files_folder() / ".partial" / download.files[0].sha256).write_bytes(DATA[:100])
    (files_folder() / "toy" / "tmpabcd1234").write_bytes(DATA[:100])
    assert stock.remove_leftovers("toy", download) > 200
    assert stock.remove_leftovers("toy", download) == 0
    kept = {decoded_folder("toy", download, {"factor": factor}) for factor in (1, 2)}
    assert set(folder.glob("[!.]*")) == kept
    assert list(folder.glob("*.tmp")) == list((files_folder() / ".partial").iterdir()) == []


def test_nothing_is_removed_while_another_process_is_at_work(download):
    """It waits, and then removes what that one has made."""
    load_arrays("toy", download)
    finished = threading.Event()

    def clean():
        stock.remove_set("toy", download)
        finished.set()

    with stock.at_rest("toy", download):
        cleaner = threading.Thread(target=clean)
        cleaner.start()
        assert not finished.wait(0.2)
        assert stock.state("toy", download) == "ready"
    cleaner.join()
    assert stock.state("toy", download) == "absent"


def test_checksums_of_a_mirror_are_those_of_its_newest_files(download, tmp_path):
    """One line for each, so that other tools can check them."""
    load_arrays("toy", download)
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "SHA256SUMS").write_text("00  toy/bytes.bin\n11  another/file\n")
    stock.lay_out(download, tmp_path / "usb")
    lines = (tmp_path / "usb" / "SHA256SUMS").read_text().splitlines()
    assert lines == ["11  another/file", *(f"{file.sha256}  {file.path}" for file in download.files)]


def test_files_that_another_set_uses_stay(download):
    """Two sets may be made of the same files."""
    load_arrays("toy", download)
    stock.remove_set("toy", download, keep={"toy/more.bin"})
    assert stock.state("toy", download) == "partly fetched"


def test_removing_a_set_frees_its_files_and_arrays(download):
    """And says how many bytes."""
    load_arrays("toy", download)
    assert stock.remove_set("toy", download) > len(DATA) * 2
    assert stock.state("toy", download) == "absent"
    assert stock.remove_set("toy", download) == 0
    with pytest.raises(DataError, match="bytes"):
        load_arrays("toy", download, source="cache")
