"""Files are whole and new, or whole and old."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aifs_utils import atomic_write, write_bytes, write_json, write_text

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions, signals and folders")


def names(folder):
    """List what is in the folder, hidden files included."""
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_when_the_block_ends(tmp_path):
    """Until then the old one is there."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, "w") as file:
        file.write("new\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == b"new\n"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, error):
    """Ctrl-C is one of them."""
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(error), atomic_write(path) as file:  # noqa: PT012 - the error is in the middle
        file.write(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(("where", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_disk_that_refuses_leaves_the_old_file(tmp_path, monkeypatch, where, step):
    """The error comes out as it is."""
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, step, refuse)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@posix
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    """SIGKILL: no cleanup can run, and the old file does not need any."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = "import os, signal, sys\nfrom aifs_utils import atomic_write\nwith atomic_write(sys.argv[1]) as file:"
    code += "\n    file.write(b'n' * 100_000)\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


@posix
def test_a_file_size_limit_leaves_the_old_file(tmp_path):
    """A real refusal by the system, as from a full disk."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = "import resource, sys\nfrom aifs_utils import write_bytes"
    code += "\nresource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))"
    code += "\nwrite_bytes(sys.argv[1], b'n' * 100_000)"
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "File too large" in result.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_permissions_are_those_of_any_new_file(tmp_path, umask):
    """The umask decides."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


@posix
def test_file_and_folder_are_synced_in_the_right_order(tmp_path, monkeypatch):
    """The bytes before the renaming, the folder after it."""
    steps = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        steps.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def note_replace(source, target):
        assert source.stat().st_size == 3
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_bytes(tmp_path / "a.bin", b"new")
    assert steps == ["fsync file", "replace", "fsync folder"]


@posix
@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_knows_no_fsync_is_no_error_and_a_broken_one_is(tmp_path, monkeypatch, number, fails):
    """Some network file systems refuse it of a folder."""
    fsync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "refused")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    if fails:
        with pytest.raises(OSError, match="refused"):
            write_text(tmp_path / "a.txt", "new")
    else:
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


@posix
def test_a_symbolic_link_stays_one(tmp_path):
    """What it points to is replaced."""
    write_text(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@posix
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, make):
    """Behind a link neither: as root, a rename would destroy a device."""
    make(tmp_path / "special")
    kind = (tmp_path / "special").stat().st_mode
    (tmp_path / "link").symlink_to("special")
    for name in ("special", "link"):
        with pytest.raises(FileExistsError, match="not a regular file"):
            write_text(tmp_path / name, "new")
    assert (tmp_path / "special").stat().st_mode == kind
    assert sorted(names(tmp_path)) == ["link", "special"]


def test_json_keeps_the_order_and_the_letters(tmp_path):
    """For people to read."""
    write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": "Größe"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "b": [\n    1,\n    2.5\n  ],\n  "a": "Größe"\n}\n'
    assert json.loads(text) == {"b": [1, 2.5], "a": "Größe"}


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (object(), TypeError)])
def test_what_json_has_no_word_for_is_refused_before_writing(tmp_path, value, error):
    """The old file stays."""
    write_json(tmp_path / "a.json", {"loss": 1})
    with pytest.raises(error):
        write_json(tmp_path / "a.json", {"loss": value})
    assert json.loads((tmp_path / "a.json").read_text()) == {"loss": 1}


def test_a_bad_mode_and_a_missing_folder_are_errors(tmp_path):
    """Both before anything is written."""
    with pytest.raises(ValueError, match="'wb' or 'w', got 'r'"):
        atomic_write(tmp_path / "a", "r")
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "no" / "a.txt", "x")
    assert names(tmp_path) == []


def test_a_check_sees_the_whole_file_and_can_refuse_it(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"old")

    def refuse(written):
        assert written.read_bytes() == b"new"
        raise OSError("not what was meant")

    with pytest.raises(OSError, match="not what was meant"), atomic_write(path, before_replace=refuse) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
