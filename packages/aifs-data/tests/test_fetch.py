"""Files over a network that fails in every way it knows."""

import hashlib
import io
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from aifs_data import _transfer as transfer
from aifs_data import fetch as fetching
from aifs_data.downloads import Archive, RemoteFile, Unavailable, WrongBytes
from aifs_data.fetch import fetch
from aifs_utils import DataError

CONTENT = random.Random(0).randbytes(600_000)
PATH = "letters/a.bin"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """No setting of this machine counts, and nothing is tried again later than at once."""
    for name in ("AIFS_DATA_MIRROR", "AIFS_OFFLINE", "AIFS_DATA_DIR", *("http_proxy", "HTTP_PROXY", "all_proxy")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIFS_DATA_TIMEOUT", "10")
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.01)


@pytest.fixture
def impatient(monkeypatch):
    """A function that shortens the time-out where an order makes a server silent or slow."""

    def shorten(*orders):
        if any({"stall", "drip"} & set(order) for order in orders):
            monkeypatch.setenv("AIFS_DATA_TIMEOUT", "0.3")

    return shorten


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def remote(content=CONTENT, path=PATH, urls=(), **others):
    return RemoteFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest(), urls=urls, **others)


def placed(cache):
    """What lies under final names: all files but those in the folders that begin with a dot."""
    files = [path.relative_to(cache) for path in cache.rglob("*") if path.is_file()]
    return {path.as_posix(): (cache / path).read_bytes() for path in files if not path.parts[0].startswith(".")}


def partial(cache, content=CONTENT):
    return cache / ".partial" / hashlib.sha256(content).hexdigest()


GIVEN_UP = {
    "silent": ({"stall": "headers"}, Unavailable, r"no answer within 0\.3 s, 3 times"),
    "silent in the body": ({"stall": 1000}, Unavailable, r"no byte within 0\.3 s, 3 times"),
    "cut": ({"cut": 1000}, Unavailable, "the connection broke, 3 times"),
    "cut by a reset": ({"cut": 1000, "reset": True}, Unavailable, "the connection broke, 3 times"),
    "cut, without ranges": ({"cut": 300_000, "ranges": False}, Unavailable, "the connection broke, 3 times"),
    "cut, of unsaid length": ({"cut": 1000, "length": False}, Unavailable, "it ended after 3000 of 600000 bytes, 3 t"),
    "cut, in chunks": ({"cut": 1000, "chunked": True}, Unavailable, "the connection broke, 3 times"),
    "corrupt": ({"corrupt": True}, WrongBytes, "not the registered sha256"),
    "too long": ({"longer": 5}, WrongBytes, "600005 bytes instead of 600000"),
    "too long, of unsaid length": ({"longer": 5, "length": False}, WrongBytes, "more than 600000 bytes"),
    "too short": ({"shorter": 5}, WrongBytes, "599995 bytes instead of 600000"),
    "empty": ({"empty": True}, WrongBytes, "0 bytes instead of 600000"),
    "a login page": (
        {"shorter": 5, "headers": {"Content-Type": "text/html; charset=utf-8"}},
        Unavailable,
        "a web page instead of the file, perhaps the login of this network",
    ),
    "compressed unasked": ({"zipped": True}, WrongBytes, r"bytes instead of 600000"),
    "slow": ({"drip": (10, 0.05)}, Unavailable, "slower than 1024 bytes a second, 3 times"),
    "404": ({"status": 404}, Unavailable, "404 Not Found"),
    "403": ({"status": 403}, Unavailable, "403 Forbidden"),
    "204": ({"status": 204}, Unavailable, "204 No Content"),
    "429": ({"status": 429}, Unavailable, "429 Too Many Requests, 3 times"),
    "429 for an hour": (
        {"status": 429, "headers": {"Retry-After": "3600"}},
        Unavailable,
        "429 Too Many Requests, to be asked again in 3600 s",
    ),
    "500": ({"status": 500}, Unavailable, "500 Internal Server Error, 3 times"),
    "503": ({"status": 503}, Unavailable, "503 Service Unavailable, 3 times"),
    "a circle of redirects": ({"redirect": f"/{PATH}"}, Unavailable, "more than 10 redirects"),
    "a redirect to a file": ({"redirect": "file:///etc/hostname"}, Unavailable, "it redirects to file:///etc/hostname"),
    "a redirect to nonsense": ({"redirect": "http://[1/"}, Unavailable, r"it redirects to http://\[1/"),
    "a redirect to nowhere": ({"redirect": "http://127.0.0.1:1/"}, Unavailable, "127.0.0.1:1 cannot be reached"),
    "another range": ({"cut": 1000, "content_range": "bytes 7-9/10"}, Unavailable, "3 times"),
    "a range of another file": ({"cut": 1000, "content_range": "bytes 1000-1004/1005"}, WrongBytes, "1005 bytes inst"),
}
given_up = pytest.mark.parametrize(("order", "error", "message"), GIVEN_UP.values(), ids=GIVEN_UP)


@given_up
def test_a_source_that_fails_ends_in_an_error_that_says_why(fault_server, cache, impatient, order, error, message):
    """And leaves nothing under a final name."""
    impatient(order)
    url = fault_server.serve(PATH, CONTENT)
    fault_server.always(PATH, **order)
    with pytest.raises(error, match=message) as caught:
        fetch([remote(urls=(url,))], cache)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert placed(cache) == {}


@given_up
def test_a_source_that_fails_gives_way_to_the_next(fault_server, other_server, cache, impatient, order, error, message):
    """Which goes on from what the first one sent, where there is some."""
    impatient(order)
    urls = (fault_server.serve(PATH, CONTENT), other_server.serve(PATH, CONTENT))
    fault_server.always(PATH, **order)
    fetched = fetch([remote(urls=urls)], cache)
    assert fetched == ({"a.bin": cache / PATH}, "primary")
    assert placed(cache) == {PATH: CONTENT}
    assert list((cache / ".partial").iterdir()) == []
    assert other_server.count(PATH) == 1


MENDED = {
    "cut once": [{"cut": 300_000}],
    "reset once": [{"cut": 300_000, "reset": True}],
    "cut twice, without ranges": [{"cut": 300_000}, {"cut": 300_000, "ranges": False}],
    "cut, then no ranges": [{"cut": 300_000}, {"ranges": False}],
    "cut, then another range": [{"cut": 300_000}, {"content_range": "bytes 0-599999/600000"}],
    "cut, then a range without total": [{"cut": 300_000}, {"content_range": "bytes 300000-599999/*"}],
    "cut, then no such range": [{"cut": 300_000}, {"status": 416}],
    "silent once": [{"stall": "headers"}],
    "silent once in the body": [{"stall": 300_000}],
    "corrupt where it was cut": [{"cut": 400_000, "corrupt": True}],
    "corrupt where it went on": [{"cut": 300_000}, {"corrupt": True}],
    "429, then good": [{"status": 429, "headers": {"Retry-After": "0"}}],
    "500 twice": [{"status": 500}, {"status": 500}],
    "503 until a date": [{"status": 503, "headers": {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}}],
    "503 until nonsense": [{"status": 503, "headers": {"Retry-After": "soon"}}],
    "redirected": [{"redirect": f"/{PATH}"}],
    "redirected four ways": [{"redirect": f"/{PATH}", "status": status} for status in (301, 303, 307, 308)],
    "redirected, then silent": [{"redirect": f"/{PATH}", "stall": 0}],
    "gzipped, says the header": [{"headers": {"Content-Encoding": "gzip"}}],
    "of unsaid length": [{"length": False}],
    "in chunks": [{"chunked": True}],
    "slow at first": [{"drip": (10, 0.05)}],
}


@pytest.mark.parametrize("orders", MENDED.values(), ids=MENDED)
def test_what_passes_is_tried_again(fault_server, cache, impatient, orders):
    """Until the right bytes are there, from one and the same source."""
    impatient(*orders)
    url = fault_server.serve(PATH, CONTENT)
    fault_server.once(PATH, *orders)
    assert fetch([remote(urls=(url,))], cache).source == "primary"
    assert placed(cache) == {PATH: CONTENT}
    assert list((cache / ".partial").iterdir()) == []


def test_a_cut_download_goes_on_where_it_was_cut(fault_server, cache):
    """No byte is sent twice, however often it is cut, as long as it gets on."""
    url = fault_server.serve(PATH, CONTENT)
    fault_server.always(PATH, cut=270_000)
    fetch([remote(urls=(url,))], cache)
    assert fault_server.requests == [(PATH, None), (PATH, "bytes=270000-"), (PATH, "bytes=540000-")]
    assert fault_server.bytes_sent == len(CONTENT)


def test_a_download_goes_on_in_the_next_call_and_at_another_source(fault_server, other_server, cache):
    """What one source sent before it failed is worth something at the next."""
    broken, good = fault_server.serve(PATH, CONTENT), other_server.serve(PATH, CONTENT)
    fault_server.always(PATH, cut=100_000)
    with pytest.raises(Unavailable):
        fetch([remote(urls=(broken,))], cache)
    assert partial(cache).read_bytes() == CONTENT[:300_000]
    fetch([remote(urls=(good,))], cache)
    assert other_server.requests == [(PATH, "bytes=300000-")]
    assert placed(cache) == {PATH: CONTENT}


@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * 600_000, b"x" * 700_000], ids=["short", "whole", "too long"])
def test_a_partial_file_of_other_bytes_is_started_over(fault_server, cache, junk):
    """Whatever lies there: the checksum decides."""
    partial(cache).parent.mkdir(parents=True)
    partial(cache).write_bytes(junk)
    fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    assert placed(cache) == {PATH: CONTENT}
    assert fault_server.requests[-1] == (PATH, None)


def test_a_whole_partial_file_is_not_downloaded_again(fault_server, cache):
    """The process was killed between the last byte and the name."""
    partial(cache).parent.mkdir(parents=True)
    partial(cache).write_bytes(CONTENT)
    fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    assert placed(cache) == {PATH: CONTENT}
    assert fault_server.requests == []


def test_an_empty_file_is_a_file(fault_server, cache):
    """No byte can be resumed, and none is needed."""
    fetch([remote(b"", urls=(fault_server.serve(PATH, b""),))], cache)
    assert placed(cache) == {PATH: b""}


def test_what_cannot_pass_is_not_tried_again(fault_server, cache):
    """404 is asked once, 500 three times."""
    for status, n_requests in ((404, 1), (403, 1), (500, 3), (429, 3)):
        path = f"letters/{status}"
        fault_server.always(path, status=status)
        with pytest.raises(Unavailable):
            fetch([remote(path=path, urls=(f"{fault_server.url}/{path}",))], cache)
        assert fault_server.count(path) == n_requests


def test_a_host_that_cannot_be_reached_is_asked_once(fault_server, cache, monkeypatch, caplog):
    """Not once per file, nor one that is silent: a classroom's mirror may be switched off."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", "http://127.0.0.1:1/data")
    files = [remote(path=f"letters/{i}", urls=(fault_server.serve(f"letters/{i}", CONTENT),)) for i in range(3)]
    with caplog.at_level(logging.INFO):
        assert fetch(files, cache).source == "primary"
    assert caplog.text.count("127.0.0.1:1 cannot be reached") == 1
    assert caplog.text.count("127.0.0.1:1 did not answer before") == 2


def test_a_silent_mirror_is_waited_for_with_the_first_file_only(
    fault_server, other_server, cache, impatient, monkeypatch
):
    """Eighteen files would otherwise wait for a quarter of an hour."""
    impatient({"stall": "headers"})
    monkeypatch.setenv("AIFS_DATA_MIRROR", other_server.url)
    files = [remote(path=f"letters/{i}", urls=(fault_server.serve(f"letters/{i}", CONTENT),)) for i in range(3)]
    for file in files:
        other_server.always(file.path, stall="headers")
    fetch(files, cache)
    assert [path for path, _ in other_server.requests] == ["letters/0"] * 3


def test_an_unknown_host_is_an_error_like_any_other(cache):
    """Names under .invalid exist nowhere; nor do such URLs."""
    urls = ("http://data.invalid/a.bin", "ftp://127.0.0.1/a.bin", "nonsense")
    with pytest.raises(Unavailable, match=r"data\.invalid cannot be reached; ftp://127\.0\.0\.1/a\.bin: ") as caught:
        fetch([remote(urls=urls)], cache)
    assert "\n" not in str(caught.value)


def test_a_redirect_leads_to_another_host(fault_server, other_server, cache):
    """As release pages do."""
    fault_server.always(PATH, redirect=other_server.serve("elsewhere/b.bin", CONTENT))
    fetch([remote(urls=(f"{fault_server.url}/{PATH}",))], cache)
    assert placed(cache) == {PATH: CONTENT}


def test_the_mirror_comes_first_and_a_slash_makes_no_difference(fault_server, other_server, cache, monkeypatch):
    """The primary source is spared."""
    file = remote(urls=(other_server.serve("a.bin", CONTENT),))
    fault_server.serve(f"data/{PATH}", CONTENT)
    for slash in ("", "/"):
        monkeypatch.setenv("AIFS_DATA_MIRROR", f"{fault_server.url}/data{slash}")
        assert fetch([file], cache / f"cache{len(slash)}").source == "mirror"
    assert other_server.requests == []
    assert [path for path, _ in fault_server.requests] == [f"data/{PATH}"] * 2


def test_the_source_is_the_furthest_that_was_needed(fault_server, other_server, cache, monkeypatch):
    """One file from the mirror, one from its own address; then none."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    fault_server.serve(PATH, CONTENT)
    files = [remote(), remote(b"b", "letters/b", (other_server.serve("b", b"b"),))]
    assert fetch(files[:1], cache).source == "mirror"
    assert fetch(files, cache).source == "primary"
    assert fetch(files, cache) == ({"a.bin": cache / PATH, "b": cache / "letters/b"}, "cache")
    assert fetch([], cache) == ({}, "cache")


def test_a_named_source_is_the_only_one_beside_the_cache(fault_server, other_server, cache, monkeypatch):
    """What was asked for is what is used, or an error."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    fault_server.serve(PATH, CONTENT)
    file = remote(urls=(f"{other_server.url}/{PATH}",))
    with pytest.raises(Unavailable, match="404"):
        fetch([file], cache, source="primary")
    with pytest.raises(Unavailable, match=r"is not there, and source='cache' looks nowhere else"):
        fetch([file], cache, source="cache")
    assert fault_server.requests == []
    assert fetch([file], cache, source="mirror").source == "mirror"
    assert {fetch([file], cache, source=source).source for source in ("primary", "cache", "mirror")} == {"cache"}
    with pytest.raises(DataError, match="unknown source of files 'mirrors': did you mean 'mirror'"):
        fetch([file], cache, source="mirrors")


def test_no_mirror_and_no_address_are_said(cache):
    """With what to do about it."""
    with pytest.raises(Unavailable, match=r"no address of it is known\): set AIFS_DATA_M"):
        fetch([remote()], cache)
    with pytest.raises(Unavailable, match=r"set AIFS_DATA_MIRROR to a mirror that has it$"):
        fetch([remote(urls=("http://127.0.0.1:1/",))], cache, source="mirror")


@pytest.mark.parametrize("form", ["file://{}", "file://{}/", "file://localhost{}"])
def test_a_folder_can_be_the_mirror(cache, tmp_path, monkeypatch, form):
    """Without http, so offline too; the files are copied and verified."""
    source = tmp_path / "räume & daten" / PATH
    source.parent.mkdir(parents=True)
    source.write_bytes(CONTENT)
    place = (tmp_path / "räume & daten").as_uri().removeprefix("file://")
    monkeypatch.setenv("AIFS_DATA_MIRROR", form.format(place))
    monkeypatch.setenv("AIFS_OFFLINE", "1")
    assert fetch([remote()], cache).source == "mirror"
    assert placed(cache) == {PATH: CONTENT}
    for damaged, error, message in (
        (b"x" * len(CONTENT), WrongBytes, "not the registered sha256"),
        (b"x", WrongBytes, "1 bytes instead of 600000"),
        (None, Unavailable, "no such file"),
    ):
        source.unlink() if damaged is None else source.write_bytes(damaged)
        with pytest.raises(error, match=message):
            fetch([remote()], cache / "other")
    assert placed(cache / "other") == {}


@pytest.mark.parametrize(
    "mirror",
    ["/srv/data", "ftp://host/data", "https://", "file:", "file://host/share", "mirror", "http://[1", "http://host/?q"],
)
def test_a_mirror_that_is_no_url_is_refused(cache, monkeypatch, mirror):
    """With the forms that it can have."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", mirror)
    with pytest.raises(DataError, match=r"AIFS_DATA_MIRROR is a URL such as .* or file:///srv/data, got "):
        fetch([remote()], cache)


def test_a_password_in_what_is_no_url_is_not_repeated(cache, monkeypatch):
    """It was a mirror's, perhaps."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", "ftp://user:secret@host/data")
    with pytest.raises(DataError, match="got 'ftp://host/data'"):
        fetch([remote()], cache)


def test_a_password_in_a_url_is_not_repeated(fault_server, cache, monkeypatch, caplog):
    """Neither in the error nor in the log."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url.replace("//", "//teacher:secret@"))
    with caplog.at_level(logging.INFO), pytest.raises(Unavailable) as caught:
        fetch([remote()], cache)
    assert f"{fault_server.url}/{PATH}: 404" in str(caught.value)
    assert "secret" not in str(caught.value) + caplog.text


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_offline_means_no_http_at_all(fault_server, cache, monkeypatch, word):
    """Neither to the mirror nor elsewhere; what is cached still serves."""
    file = remote(urls=(fault_server.serve("b.bin", CONTENT),))
    fetch([file], cache)
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    monkeypatch.setenv("AIFS_OFFLINE", word)
    assert fetch([file], cache).source == "cache"
    with pytest.raises(Unavailable, match=r"AIFS_OFFLINE is set\): unset AIFS_OFFLINE"):
        fetch([file], cache / "other")
    assert fault_server.requests == [("b.bin", None)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AIFS_OFFLINE", "maybe", "AIFS_OFFLINE is 1 or 0, got 'maybe'"),
        ("AIFS_DATA_TIMEOUT", "soon", "AIFS_DATA_TIMEOUT is a number of seconds above 0, got 'soon'"),
        ("AIFS_DATA_TIMEOUT", "0", "AIFS_DATA_TIMEOUT is a number of seconds above 0, got '0'"),
        ("AIFS_DATA_TIMEOUT", "nan", "AIFS_DATA_TIMEOUT is a number of seconds above 0, got 'nan'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(fault_server, cache, monkeypatch, name, value, message):
    """Rather than read as something."""
    monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=message):
        fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)


@pytest.mark.parametrize("damage", [b"x" * 600_000, CONTENT[:-1], b""], ids=["other bytes", "cut", "empty"])
def test_a_damaged_file_in_the_cache_is_fetched_again(fault_server, cache, caplog, damage):
    """And said; an error if that cannot be."""
    file = remote(urls=(fault_server.serve(PATH, CONTENT),))
    (cache / PATH).parent.mkdir(parents=True)
    (cache / PATH).write_bytes(damage)
    with pytest.raises(Unavailable, match="source='cache'"):
        fetch([file], cache, source="cache")
    fetch([file], cache)
    assert placed(cache) == {PATH: CONTENT}
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().endswith(": it is fetched again")


def test_new_files_have_the_permissions_of_any_new_file(fault_server, cache):
    """A cache may be shared by a group."""
    fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    plain = cache / "plain"
    plain.touch()
    assert (cache / PATH).stat().st_mode == plain.stat().st_mode


def test_leftovers_of_killed_processes_are_swept(fault_server, cache):
    """Those of pooch and of atomic_write; nothing else."""
    folder = (cache / PATH).parent
    folder.mkdir(parents=True)
    for name in ("tmpabc_1234", ".b.bin.0123456789ab.tmp", "tmpfile", "notes.tmp"):
        (folder / name).write_bytes(b"x")
    fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    assert set(placed(cache)) == {PATH, "letters/tmpfile", "letters/notes.tmp"}


def test_a_whole_cache_is_used_without_writing(fault_server, cache):
    """Not even a lock: it may be read-only."""
    file = remote(urls=(fault_server.serve(PATH, CONTENT),))
    fetch([file], cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    (cache / ".locks" / "letters.lock").unlink()
    (cache / ".locks").rmdir()
    assert fetch([file], cache).source == "cache"
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == {
        path: changed for path, changed in before.items() if ".locks" not in path.parts
    }


def test_a_read_only_cache_serves_what_it_has_and_says_what_it_lacks(fault_server, cache):
    """With the variable that names another folder."""
    file = remote(urls=(fault_server.serve(PATH, CONTENT),))
    fetch([file], cache)
    cache.chmod(0o555)
    try:
        with suppress(PermissionError):
            (cache / "probe").touch()
            pytest.skip("this user writes where nobody may")
        assert fetch([file], cache).source == "cache"
        with pytest.raises(DataError, match=r"\(Permission denied.*\): set AIFS_DATA_DIR to a folder of yours"):
            fetch([file, remote(path="digits/a", urls=file.urls)], cache)
    finally:
        cache.chmod(0o755)


def test_a_cache_that_cannot_be_written_is_unavailable(fault_server, tmp_path):
    """A file where the folder should be stands for all reasons."""
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot write data files to .*cache \(.*\): set AIFS_DATA_DIR to a folder"):
        fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], tmp_path / "cache")


def test_a_full_disk_leaves_nothing_partial(fault_server, cache, monkeypatch):
    """The error says to make room."""

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_write", full)
    with pytest.raises(DataError, match=r"No space left on device\): make room there"):
        fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    assert placed(cache) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_leaves_nothing_partial(fault_server, cache):
    """The same with an error of the system."""
    resource = pytest.importorskip("resource", reason="there are no limits on the size of files on Windows")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match="File too large"):
            fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert placed(cache) == {}


def test_a_link_in_the_place_of_a_partial_file_is_not_followed(fault_server, cache, tmp_path):
    """In a cache that several people write to, it could lead to anybody's file."""
    (tmp_path / "precious").write_bytes(b"mine")
    partial(cache).parent.mkdir(parents=True)
    partial(cache).symlink_to(tmp_path / "precious")
    fetch([remote(urls=(fault_server.serve(PATH, CONTENT),))], cache)
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert placed(cache) == {PATH: CONTENT}
    assert not (cache / PATH).is_symlink()


def tar_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


MEMBERS = {name: random.Random(name).randbytes(50_000) for name in "abcd"}


def archived(urls=(), members=MEMBERS, prefix="batches/"):
    """The bytes of an archive, and its members as they are registered."""
    content = tar_of({prefix + name: member for name, member in members.items()})
    archive = Archive(file=remote(content, "letters/letters.tar.gz", urls), prefix=prefix)
    return content, [remote(member, f"letters/{name}", archive=archive) for name, member in members.items()]


def test_members_come_out_of_one_download_of_their_archive(fault_server, cache):
    """Only those that are asked for; the archive goes."""
    content, files = archived(urls=(f"{fault_server.url}/letters.tar.gz",))
    fault_server.serve("letters.tar.gz", content)
    assert fetch(files[:3], cache).source == "primary"
    assert placed(cache) == {f"letters/{name}": MEMBERS[name] for name in "abc"}
    assert fault_server.count("letters.tar.gz") == 1


def test_a_mirror_may_serve_members_and_the_archive_gives_the_rest(fault_server, other_server, cache, monkeypatch):
    """Each is verified, wherever it comes from."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    content, files = archived(urls=(f"{other_server.url}/letters.tar.gz",))
    other_server.serve("letters.tar.gz", content)
    fault_server.serve("letters/a", MEMBERS["a"])
    fault_server.serve("letters/b", b"x" * 50_000)
    assert fetch(files[:1], cache).source == "mirror"
    assert other_server.requests == []
    assert fetch(files, cache).source == "primary"
    assert placed(cache) == {f"letters/{name}": content for name, content in MEMBERS.items()}
    assert list((cache / ".partial").iterdir()) == []


def test_a_mirror_may_serve_the_archive(fault_server, cache, monkeypatch):
    """Under its own path."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    content, files = archived()
    fault_server.serve("letters/letters.tar.gz", content)
    assert fetch(files, cache).source == "mirror"
    assert len(placed(cache)) == 4


def test_an_archive_that_nobody_has_is_an_error_with_all_that_was_tried(fault_server, other_server, cache, monkeypatch):
    """The member, and the archive at each place."""
    monkeypatch.setenv("AIFS_DATA_MIRROR", fault_server.url)
    _, files = archived(urls=(f"{other_server.url}/letters.tar.gz",))
    with pytest.raises(Unavailable) as caught:
        fetch(files, cache)
    tried = (
        f"{fault_server.url}/letters/a",
        f"{fault_server.url}/letters/letters.tar.gz",
        f"{other_server.url}/letter",
    )
    assert all(f"{url}" in str(caught.value) for url in tried)
    other_server.serve("letters.tar.gz", b"x" * files[0].archive.file.size)
    with pytest.raises(WrongBytes, match="not the registered sha256"):
        fetch(files, cache)
    assert placed(cache) == {}


def test_an_archive_that_a_killed_process_left_is_used(fault_server, cache):
    """It was verified before it got its name, and is verified again."""
    content, files = archived()
    (cache / "letters").mkdir(parents=True)
    (cache / "letters/letters.tar.gz").write_bytes(content)
    fetch(files, cache)
    assert set(placed(cache)) == {f"letters/{name}" for name in MEMBERS}


def test_a_wrong_member_is_an_error_and_the_archive_goes(fault_server, cache):
    """As with a registry that is at odds with itself."""
    content, files = archived(urls=(f"{fault_server.url}/letters.tar.gz",))
    fault_server.serve("letters.tar.gz", content)
    odd = remote(b"y" * 50_000, "letters/d", archive=files[0].archive)
    with pytest.raises(DataError, match=r"d in .*letters\.tar\.gz must have the sha256"):
        fetch([files[0], odd], cache)
    assert placed(cache) == {"letters/a": MEMBERS["a"]}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_a_log_gets_a_line(fault_server, cache, monkeypatch, caplog, capsys):
    """One each; and pooch's own line does not come as well."""
    files = [remote(path=f"letters/{i}", urls=(fault_server.serve(str(i), CONTENT),)) for i in range(2)]
    with caplog.at_level(logging.INFO, "aifs_data"):
        fetch(files[:1], cache)
    assert [record.getMessage() for record in caplog.records] == [
        f"fetching letters/0 (600,000 bytes) from {fault_server.url}/0"
    ]
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    fault_server.always("1", drip=(100_000, 0.05))
    fetch(files, cache)
    assert "letters/1" in terminal.getvalue()
    assert "0.6/0.6 MB" in terminal.getvalue() or "600.0/600.0 kB" in terminal.getvalue()
    assert "letters/0" not in terminal.getvalue()


def test_importing_is_cheap():
    """What downloads is loaded when something is downloaded."""
    code = "import sys, aifs_data.fetch; print(sorted({'pooch', 'requests', 'rich', 'filelock'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


FETCH = """
import json, sys
from pathlib import Path
import filelock, pooch, requests
from aifs_data.downloads import Archive, RemoteFile
from aifs_data.fetch import fetch
def remote(archive=None, **fields):
    archive = archive and Archive(file=RemoteFile(**archive["file"]), prefix=archive["prefix"])
    return RemoteFile(**fields, archive=archive)
print("ready", flush=True)
print(fetch([remote(**fields) for fields in json.loads(sys.argv[1])], Path(sys.argv[2])).source)
"""


def start(files, cache):
    """Start a process that fetches the files, and says "ready" just before."""
    fields = [
        {"path": file.path, "size": file.size, "sha256": file.sha256, "urls": file.urls}
        | ({"archive": {"file": vars(file.archive.file), "prefix": file.archive.prefix}} if file.archive else {})
        for file in files
    ]
    environment = os.environ | {"AIFS_DATA_TIMEOUT": "10", "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", FETCH, json.dumps(fields), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_eight_processes_download_once(fault_server, cache):
    """One at work, seven that wait and find the files there."""
    files = [remote(path=f"letters/{i}", urls=(fault_server.serve(str(i), CONTENT),)) for i in range(2)]
    content, members = archived(urls=(fault_server.url + "/letters.tar.gz",))
    fault_server.serve("letters.tar.gz", content)
    fault_server.always("0", drip=(60_000, 0.1))
    processes = [start([*files, *members], cache) for _ in range(8)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sorted(outputs) == [["ready", "cache"]] * 7 + [["ready", "primary"]]
    assert {path: fault_server.count(path) for path in ("0", "1", "letters.tar.gz")} == {
        "0": 1,
        "1": 1,
        "letters.tar.gz": 1,
    }
    assert placed(cache) == {f"letters/{i}": CONTENT for i in range(2)} | {
        f"letters/{name}": member for name, member in MEMBERS.items()
    }


@pytest.mark.slow
def test_fifty_kills_leave_nothing_wrong_and_cost_little(fault_server, tmp_path):
    """At random moments of a download of a file and of an archive; each next process goes on from there."""
    members = {name: random.Random(name).randbytes(400_000) for name in "abc"}
    content, files = archived(urls=(f"{fault_server.url}/letters.tar.gz",), members=members)
    files = [remote(urls=(fault_server.serve(PATH, CONTENT),)), *files]
    fault_server.serve("letters.tar.gz", content)
    for path in (PATH, "letters.tar.gz"):
        fault_server.always(path, drip=(20_000, 0.02))
    right = {file.path: file.sha256 for file in [*files, files[1].archive.file]}
    draw, rounds, n_partial = random.Random(0), 1, 0
    for _ in range(50):
        cache = tmp_path / str(rounds)
        process = start(files, cache)
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 1.2))
        process.kill()
        process.communicate()
        found = {path: hashlib.sha256(bytes_).hexdigest() for path, bytes_ in placed(cache).items()}
        leftovers = {path for path in found if fetching.LEFTOVER.fullmatch(path.rpartition("/")[2])}
        assert {path: found[path] for path in found.keys() - leftovers}.items() <= right.items()
        n_partial += any(path.stat().st_size for path in cache.glob(".partial/*"))
        rounds += all(file.path in found for file in files)  # then the next begin with nothing
    process = start(files, cache)
    assert process.communicate(timeout=60)[0].startswith("ready\n")
    assert process.returncode == 0
    assert set(placed(cache)) == {file.path for file in files}
    assert n_partial >= 10
    # Each kill costs what was on its way, and the file whose checksum was just being taken.
    assert fault_server.bytes_sent < rounds * (len(CONTENT) + len(content)) + 50 * 100_000


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_no_lock(fault_server, cache):
    """The system releases it."""
    file = remote(urls=(fault_server.serve(PATH, CONTENT),))
    fault_server.once(PATH, {"stall": 100_000})
    process = start([file], cache)
    while process.poll() is None and not (partial(cache).exists() and partial(cache).stat().st_size == 100_000):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    fetch([file], cache)
    assert fault_server.requests == [(PATH, None), (PATH, "bytes=100000-")]


@pytest.mark.skipif("AIFS_TEST_DATA" not in os.environ, reason="AIFS_TEST_DATA names no folder of real files")
def test_real_files_come_from_a_mirror(fault_server, cache, monkeypatch):
    """As the manifest beside them lays them out."""
    folder = Path(os.environ["AIFS_TEST_DATA"])
    fault_server.serve_folder(folder)
    sets = json.loads((folder / "manifest.json").read_text())["datasets"]
    files = [
        RemoteFile(path=file["path"], size=file["bytes"], sha256=file["sha256"])
        for name in ("mnist", "names-18", "planetoid")
        for file in sets[name]["files"]
    ]
    for mirror in (fault_server.url, folder.as_uri()):
        monkeypatch.setenv("AIFS_DATA_MIRROR", mirror)
        assert fetch(files, cache / str(len(mirror))).source == "mirror"
    assert len(fault_server.requests) == len(files) == len(placed(cache / str(len(mirror))))
