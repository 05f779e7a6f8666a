"""Archives, kind and unkind."""

import hashlib
import io
import struct
import tarfile
import zipfile

import pytest

from aifs_data.downloads import RemoteFile
from aifs_data.unpack import extract, read_zip_member, zip_members
from aifs_utils import DataError

CONTENT = bytes(range(256)) * 2000


def remote(content=CONTENT, path="set/a"):
    return RemoteFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def tar(tmp_path):
    """A function that writes a tar of (name, content or type) pairs, a type being a str, and returns its path."""

    def write(*members, mode="w:gz"):
        path = tmp_path / "archive"
        with tarfile.open(path, mode) as archive:
            for name, content in members:
                entry = tarfile.TarInfo(name)
                if isinstance(content, bytes):
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                else:
                    entry.type, entry.linkname = content.encode(), "../../outside"
                    archive.addfile(entry)
        return path

    return write


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_wanted_members_are_placed_and_no_others(tar, folder, mode):
    """Each where its registered path says, whatever it is called inside."""
    archive = tar(("batches/a", CONTENT), ("batches/b", b"b"), ("batches/c", b"c"), mode=mode)
    extract(archive, {"batches/a": remote(), "batches/c": remote(b"c", "other/name")}, folder)
    assert (folder / "set/a").read_bytes() == CONTENT
    assert files_in(folder) == {"set/a", "other/name"}


def test_no_name_in_an_archive_is_a_path(tar, folder, tmp_path):
    """Neither a way up nor an absolute one, be it asked for."""
    outside = str(tmp_path / "absolute")
    archive = tar(("../escaped", CONTENT), (outside, CONTENT), ("batches/a", CONTENT))
    extract(archive, {"batches/a": remote()}, folder)
    assert files_in(tmp_path) == {"archive", "cache/set/a"}
    extract(archive, {"../escaped": remote(path="set/b"), outside: remote(path="set/c")}, folder)
    assert files_in(tmp_path) == {"archive", "cache/set/a", "cache/set/b", "cache/set/c"}


@pytest.mark.parametrize(
    "kind",
    [kind.decode() for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)],
)
def test_only_a_regular_file_is_extracted(tar, folder, kind):
    """A link of the right name leads nowhere."""
    with pytest.raises(DataError, match=r"^a in .*archive must have 512000 bytes, got no regular file$"):
        extract(tar(("a", kind)), {"a": remote()}, folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT + b"x", "must have 512000 bytes, got 512001 bytes"),
        (CONTENT[:-1], "must have 512000 bytes, got 511999 bytes"),
        (b"x" + CONTENT[1:], f"must have the sha256 {remote().sha256}, got "),
    ],
)
def test_a_member_of_other_bytes_is_refused(tar, folder, content, message):
    """And not placed, nor the beginning of it."""
    with pytest.raises(DataError, match=message):
        extract(tar(("a", content)), {"a": remote()}, folder)
    assert not folder.exists() or files_in(folder) == set()


def test_a_missing_member_is_refused(tar, folder):
    """With its name; what was there is placed."""
    with pytest.raises(DataError, match=r"archive must hold b, c, which it does not"):
        extract(tar(("a", CONTENT)), {"a": remote(), "b": remote(b"b", "set/b"), "c": remote(b"c", "set/c")}, folder)
    assert files_in(folder) == {"set/a"}


def test_a_file_that_lies_there_is_replaced(tar, folder):
    """By the verified one only."""
    (folder / "set").mkdir(parents=True)
    (folder / "set/a").write_bytes(b"old")
    with pytest.raises(DataError):
        extract(tar(("a", b"x" + CONTENT[1:])), {"a": remote()}, folder)
    assert (folder / "set/a").read_bytes() == b"old"
    extract(tar(("a", CONTENT)), {"a": remote()}, folder)
    assert (folder / "set/a").read_bytes() == CONTENT


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_damaged_tar_is_refused(tar, folder, mode, share):
    """Cut anywhere: never a traceback of the library that reads it."""
    archive = tar(("a", hashlib.shake_256(b"a").digest(512_000)), mode=mode)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises(DataError, match=r"archive (is damaged \(.+\): delete it|must hold a)"):
        extract(archive, {"a": remote(hashlib.shake_256(b"a").digest(512_000))}, folder)
    assert not folder.exists() or files_in(folder) == set()


@pytest.fixture
def archive(tmp_path):
    """A zip with a folder, two files and a long one."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("images") if hasattr(file, "mkdir") else file.writestr("images/", b"")
        file.writestr("images/b.png", b"b" * 100)
        file.writestr("images/a.png", b"a" * 100)
        file.writestr("bomb", bytes(10_000_000))
    return path


def test_members_of_a_zip_come_in_its_order_without_folders(archive):
    """Those that are wanted; a larger one that is not wanted is in nobody's way."""
    members = list(zip_members(archive, limit=100, wanted=lambda name: name.endswith(".png")))
    assert members == [("images/b.png", b"b" * 100), ("images/a.png", b"a" * 100)]
    assert [name for name, _ in zip_members(archive, limit=10**7)] == ["images/b.png", "images/a.png", "bomb"]


def test_a_member_of_a_zip_is_read_by_name(archive):
    """All of it, if it is not longer than it may be."""
    assert read_zip_member(archive, "images/a.png", limit=100) == b"a" * 100
    with pytest.raises(DataError, match=r"images/a\.png in .*set\.zip may have 99 bytes, got 100"):
        read_zip_member(archive, "images/a.png", limit=99)
    with pytest.raises(DataError, match=r"set\.zip must hold images/c\.png, which it does not"):
        read_zip_member(archive, "images/c.png", limit=100)
    with pytest.raises(DataError, match=r"bomb in .* may have 1000 bytes, got 10000000"):
        read_zip_member(archive, "bomb", limit=1000)


def test_a_zip_that_lies_about_a_size_is_refused(archive):
    """A bomb that calls itself small is read no further than it may be."""
    content = archive.read_bytes()
    small = content.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 50))
    assert small != content
    archive.write_bytes(small)
    with pytest.raises(DataError, match=r"set\.zip is damaged|may have 100 bytes"):
        read_zip_member(archive, "bomb", limit=100)


def test_a_damaged_zip_is_refused(archive):
    """Cut, of other bytes, or no zip at all."""
    content = archive.read_bytes()
    start = content.index(b"images/a.png") + len("images/a.png")
    for damaged in (content[:-10], content[:50], b"", b"no zip", content[:start] + b"\xff\xff" + content[start + 2 :]):
        archive.write_bytes(damaged)
        with pytest.raises(DataError, match=r"set\.zip is damaged \(.+\): delete it to get another copy"):
            read_zip_member(archive, "images/a.png", limit=100)


def test_an_encrypted_member_is_refused(archive):
    """No password is known."""
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 1)
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.zip is damaged \(.*encrypted"):
        read_zip_member(archive, "images/a.png", limit=100)
