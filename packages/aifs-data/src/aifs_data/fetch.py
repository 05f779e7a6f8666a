"""The files of a data set, brought into a folder: each whole and verified, whatever the network does meanwhile.

::

    folder/mnist/train-images-idx3-ubyte.gz    a file, as a mirror serves it: only ever the right bytes
    folder/.partial/<sha256>                   what has come of a file so far; the next attempt goes on from there
    folder/.locks/mnist.lock                   held by the process that is at work in folder/mnist

pooch verifies the files and gives them their names; `aifs_data._transfer` is the downloader that it is handed.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from aifs_data._locks import locked
from aifs_data._progress import Advance, show_progress
from aifs_data._transfer import (
    Connections,
    Mismatch,
    SourceFailed,
    download,
    host_of,
    is_this_machine,
    open_connections,
    shown,
)
from aifs_data.checks import require_number
from aifs_data.downloads import Archive, RemoteFile, Unavailable, WrongBytes
from aifs_data.unpack import extract
from aifs_utils import DataError, look_up, sync_folder

ORIGINS = ("cache", "mirror", "primary")  # from near to far
DEFAULT_TIMEOUT = 20.0  # seconds
SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("", "0", "false", "no", "off"), False)
LEFTOVER = re.compile(r"tmp[a-z0-9_]{8}|\..+\.[0-9a-f]{12}\.tmp")  # pooch's temporary files, and those of atomic_write

logger = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """Where files are, and where they came from.

    Parameters
    ----------
    paths : dict of str to Path
        By their names, without folder.
    source : {"cache", "mirror", "primary"}
        The furthest that was needed.
    """

    paths: dict[str, Path]
    source: str


def fetch(files: Sequence[RemoteFile], folder: Path, *, source: str = "auto") -> Fetched:
    """Bring files into a folder, each from the nearest source that has it.

    Files that are there and right are left alone; if all are, nothing is written, so that a folder that is read-only
    serves as well. Of several processes that ask for the same files, one downloads and the others wait.

    ``AIFS_DATA_MIRROR`` is the URL (http, https or file) of a mirror, ``AIFS_OFFLINE=1`` forbids http and https, and
    ``AIFS_DATA_TIMEOUT`` is the number of seconds without a byte after which a source is given up.

    Parameters
    ----------
    files : sequence of RemoteFile
    folder : Path
        A file goes to ``folder/<its path>``. The folder is made if it is not there.
    source : {"auto", "cache", "mirror", "primary"}
        "auto" tries the cache, the mirror and the files' own addresses in this order; the others are the cache alone,
        and the cache and one of the two.

    Returns
    -------
    Fetched
        Every file there has the registered size and checksum.

    Raises
    ------
    Unavailable
        When no source has one of the files.
    WrongBytes
        When a source had other bytes, and no other source the right ones.
    DataError
        When the folder cannot be written; when an argument or a variable of the environment makes no sense.
    """
    look_up(dict.fromkeys(("auto", *ORIGINS)), source, "source of files", DataError)
    flawed = [(file, flaw) for file in files if (flaw := flaw_of(file, folder))]
    origin = "cache"
    if flawed and source == "cache":
        file, flaw = flawed[0]
        raise Unavailable(
            f"{folder / file.path} {flaw}, and source='cache' looks nowhere else: allow another source",
            reason=f"{file.name} {flaw} in the cache",
        )
    if flawed:
        missing = [file for file, _ in flawed]
        if _offline() and urlsplit(_mirror()).scheme != "file":  # said before anything is written
            raise _refusal(missing[0], {}, source)
        try:
            with locked_folders(missing, folder):
                origin = _bring_all(missing, folder, source)
        except OSError as error:
            reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
            remedy = "make room there" if error.errno == errno.ENOSPC else "set AIFS_DATA_DIR to a folder of yours"
            raise DataError(f"cannot write data files to {folder} ({reason}): {remedy}") from error
    return Fetched({file.name: folder / file.path for file in files}, origin)


@dataclass(frozen=True)
class _Call:
    """What one call of `fetch` works with."""

    folder: Path
    source: str
    connections: Connections
    show: Callable[[RemoteFile, str], Advance]


def _bring_all(files: list[RemoteFile], folder: Path, source: str) -> str:
    """Bring these files, of which another process may have brought some meanwhile; return the furthest origin."""
    missing = []
    for file in files:
        if flaw := flaw_of(file, folder):
            missing.append(file)
            if (folder / file.path).exists():
                logger.warning("%s %s: it is fetched again", folder / file.path, flaw)
    for path in leftovers_beside(missing, folder):  # the lock is held, so nobody is at work on them
        path.unlink()
    origins = {"cache"}
    with open_connections(_timeout()) as connections, show_progress() as show:
        call = _Call(folder, source, connections, show)
        while missing:
            file, failures = missing[0], dict[str, SourceFailed]()
            brought = [file]
            origin = _bring(file, failures, call)
            if not origin and file.archive:
                brought = [other for other in missing if other.archive == file.archive]
                origin = _bring_members(file.archive, brought, failures, call)
            if not origin:
                raise _refusal(file, failures, source)
            origins.add(origin)
            missing = [other for other in missing if other not in brought]
    return max(origins, key=ORIGINS.index)


def _bring(file: RemoteFile, failures: dict[str, SourceFailed], call: _Call) -> str:
    """Return the origin of the first source that had the file; otherwise an empty text, and add to the failures."""
    for origin, url in _sources(file, call.source):
        try:
            if urlsplit(url).scheme != "file" and _offline():
                raise SourceFailed("AIFS_OFFLINE is set")
            _retrieve(url, file, call)
        except SourceFailed as failure:
            logger.info("%s: %s", shown(url), failure)
            failures[url] = failure
        else:
            for other, found in failures.items():
                if isinstance(found, Mismatch):
                    logger.warning("%s: %s; %s came from %s instead", shown(other), found, file.path, shown(url))
            return origin
    return ""


def _bring_members(archive: Archive, members: list[RemoteFile], failures: dict[str, SourceFailed], call: _Call) -> str:
    """Bring the members of an archive by way of the archive, which is deleted afterwards."""
    path = call.folder / archive.file.path
    # A process that was killed between the download and here left it.
    origin = "cache" if not flaw_of(archive.file, call.folder) else _bring(archive.file, failures, call)
    if origin:
        try:
            extract(path, {archive.prefix + file.name: file for file in members}, call.folder)
        finally:
            path.unlink()
        for file in members:
            _partial(file, call.folder).unlink(missing_ok=True)
    return origin


def _retrieve(url: str, file: RemoteFile, call: _Call) -> None:
    """Bring the file from one URL."""
    path, partial = call.folder / file.path, _partial(file, call.folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.parent.mkdir(exist_ok=True)
    advance = call.show(file, shown(url))
    at_once = []

    def downloader(url: str, output: str, pooch: object) -> None:
        at_once.append(download(url, file.size, partial, call.connections, advance))
        shutil.move(partial, output)  # onto a file that is 0600: what the umask says is what counts now
        with Path(output).open("r+b") as whole:
            os.fsync(whole.fileno())

    for is_last in (False, True):
        try:
            _retrieve_by_pooch(url, file, path, downloader)
        except ValueError as error:  # pooch's word for a wrong checksum
            if at_once[-1] or is_last:
                raise Mismatch(f"not the registered sha256 {file.sha256}") from error
            logger.info("%s: parts of %s do not fit together; starting over", shown(url), file.path)
        else:
            sync_folder(path.parent)
            return


def _retrieve_by_pooch(url: str, file: RemoteFile, path: Path, downloader: Callable[[str, str, object], None]) -> None:
    import pooch

    log = pooch.get_logger()
    log.disabled, before = True, log.disabled  # it writes to stderr, past all handlers, what is logged here already
    try:
        pooch.retrieve(
            url, known_hash=f"sha256:{file.sha256}", fname=path.name, path=path.parent, downloader=downloader
        )
    finally:
        log.disabled = before


def _sources(file: RemoteFile, source: str) -> list[tuple[str, str]]:
    """List origins and URLs, the nearest first."""
    mirror = [("mirror", _mirror_url(file))] if source in ("auto", "mirror") and _mirror() else []
    primary = [("primary", url) for url in file.urls] if source in ("auto", "primary") else []
    return mirror + primary


def _mirror_url(file: RemoteFile) -> str:
    return f"{_mirror().rstrip('/')}/{quote(file.path)}"


def _mirror() -> str:
    url = os.environ.get("AIFS_DATA_MIRROR", "").strip()
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address, say
        parts = urlsplit("")
    is_local = parts.scheme == "file" and parts.path and (is_this_machine(parts.netloc) or os.name == "nt")
    is_remote = parts.scheme in ("http", "https") and parts.netloc and not parts.query and not parts.fragment
    if url and not is_local and not is_remote:
        safe = re.sub("//[^/@]*@", "//", url)  # without the password that it may hold
        raise DataError(
            f"AIFS_DATA_MIRROR is a URL such as https://host/data or file:///srv/data, got {safe!r}: correct it"
        )
    return url


def _offline() -> bool:
    word = os.environ.get("AIFS_OFFLINE", "").strip().lower()
    if word not in SWITCH:
        raise DataError(f"AIFS_OFFLINE is 1 or 0, got {word!r}: correct it")
    return SWITCH[word]


def _timeout() -> float:
    text = os.environ.get("AIFS_DATA_TIMEOUT", "").strip()
    try:
        return require_number("AIFS_DATA_TIMEOUT", float(text) if text else DEFAULT_TIMEOUT, above=0)
    except ValueError as error:
        raise DataError(f"AIFS_DATA_TIMEOUT is a number of seconds above 0, got {text!r}: correct it") from error


def _refusal(file: RemoteFile, failures: dict[str, SourceFailed], source: str) -> DataError:
    """Return the error that says what was tried for the file."""
    served = [file, file.archive.file] if file.archive else [file]
    origins = {origin for each in served for origin, _ in _sources(each, source)}
    tried = "; ".join(f"{shown(url)}: {failure}" for url, failure in failures.items())
    if not failures:
        tried = "AIFS_OFFLINE is set" if origins else "no address of it is known"
    what = f"cannot get {file.path} ({tried})"
    if any(isinstance(failure, Mismatch) for failure in failures.values()):
        return WrongBytes(
            f"{what}: nothing of it was kept; set AIFS_DATA_MIRROR to a mirror that has it, or take source='standin'"
        )
    url, failure = next(iter(failures.items()), ("", tried))
    reason = f"{host_of(url)}: {failure}" if host_of(url) and host_of(url) not in str(failure) else str(failure)
    if len(failures) > 1:
        reason += f", and {len(failures) - 1} more address{'es' * (len(failures) > 2)} failed"
    remedy = "set AIFS_DATA_MIRROR to a mirror that has it"
    if _offline() and origins:
        remedy = f"unset AIFS_OFFLINE, or {remedy}"
    elif "primary" in origins:
        remedy = f"connect to the internet, or {remedy}"
    return Unavailable(f"{what}: {remedy}", reason)


def flaw_of(file: RemoteFile, folder: Path) -> str:
    """Say what keeps the file in the folder from being the registered one; nothing if it is."""
    path = folder / file.path
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size} bytes instead of {file.size}"
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if digest == file.sha256 else "is damaged (its sha256 is not the registered one)"


def _partial(file: RemoteFile, folder: Path) -> Path:
    return folder / ".partial" / file.sha256


def leftovers_beside(files: Sequence[RemoteFile], folder: Path) -> Iterator[Path]:
    """Yield what killed processes left half done where these files go."""
    for parent in {(folder / file.path).parent for file in files}:
        yield from (path for path in parent.glob("*") if LEFTOVER.fullmatch(path.name) and path.is_file())


@contextmanager
def locked_folders(files: Sequence[RemoteFile], folder: Path) -> Iterator[None]:
    """Hold the locks of the top folders that these files, and the archives of them, go to."""
    served = [*files, *(file.archive.file for file in files if file.archive)]
    with ExitStack() as stack:
        for top in sorted({file.path.partition("/")[0] for file in served}):  # sorted: two calls never wait in a circle
            stack.enter_context(locked(folder / ".locks" / f"{top}.lock", str(folder / top)))
        yield
