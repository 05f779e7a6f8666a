"""One file from one URL: taken up where an earlier attempt ended, and tried again where that may help."""

from __future__ import annotations

import email.utils
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

if TYPE_CHECKING:  # it takes a tenth of a second to import
    import requests

TRIES = 3  # of one URL, without progress
PROGRESS = 256 * 1024  # bytes that count as progress
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds
LONGEST_RETRY_AFTER = 30.0  # seconds
SLOWEST = 1024  # bytes a second, on average over a time-out
MOST_REDIRECTS = 10
CHUNK = 256 * 1024  # bytes

logger = logging.getLogger(__name__)


class SourceFailed(Exception):
    """A source does not have the file, or is given up."""


class Mismatch(SourceFailed):
    """A source has other bytes under this name."""


class Passing(SourceFailed):
    """Something that may have passed when it is tried again, after `wait` seconds if the source said so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Silent(Passing):
    """The source let a time-out pass."""


@dataclass(frozen=True)
class Connections:
    """What the downloads of one call share.

    Parameters
    ----------
    session : requests.Session
    timeout : float
        Seconds without a byte before a source is given up.
    unreachable : set of str
        Hosts that are not asked again.
    """

    session: requests.Session
    timeout: float
    unreachable: set[str] = field(default_factory=set)


@contextmanager
def open_connections(timeout: float) -> Iterator[Connections]:
    """Yield connections that are closed in the end."""
    import requests

    with requests.Session() as session:
        # identity: what counts is the file's own bytes, and a gzipped file is not to be unzipped on its way.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "aifs-data"})
        yield Connections(session, timeout)


def download(url: str, size: int, partial: Path, connections: Connections, advance: Callable[[int], object]) -> bool:
    """Bring a file of `size` bytes to `partial`, which may hold its beginning.

    Parameters
    ----------
    url : str
        http, https or file.
    size : int
        In bytes. A file that turns out to have another size is given up.
    partial : Path
        Stays as it is when a source fails, for the next attempt to go on from, unless it is of no use.
    connections : Connections
    advance : callable
        Gets the number of bytes that are there.

    Returns
    -------
    bool
        Whether all bytes came in one answer; if not, parts of two versions may have met.

    Raises
    ------
    SourceFailed
        When this source is given up; `Mismatch` when what it has is not the file.
    OSError
        When `partial` cannot be written.
    """
    furthest, failures = _length(partial), 0
    while True:
        try:
            return _receive(url, size, partial, connections, advance)
        except Passing as failure:
            reached = _length(partial)
            failures = 1 if reached - furthest >= PROGRESS else failures + 1
            furthest = max(furthest, reached)
            if failures == TRIES:
                if isinstance(failure, Silent):
                    connections.unreachable.add(host_of(url))
                raise SourceFailed(f"{failure}, {TRIES} times") from failure
            wait = _back_off(failures) if failure.wait is None else failure.wait
            logger.info("%s: %s; trying again in %.1f s", shown(url), failure, wait)
        time.sleep(wait)


def host_of(url: str) -> str:
    """Return host and port."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_this_machine(netloc: str) -> bool:
    """Tell whether a file URL's place is this machine, and not a share of another (on Windows)."""
    return netloc in ("", "localhost")


def shown(url: str) -> str:
    """Return the URL as it may stand in a message: without the password that it may hold."""
    return urlunsplit(urlsplit(url)._replace(netloc=host_of(url)))


def _receive(url: str, size: int, partial: Path, connections: Connections, advance: Callable[[int], object]) -> bool:
    if urlsplit(url).scheme == "file":
        _write(_read_file(url, size), partial, 0, size, advance)
        return True
    offset = _length(partial)
    if offset > size:
        partial.unlink()
        offset = 0
    if 0 < offset == size:  # killed between the last byte and the check
        return False
    with _answer(url, {"Range": f"bytes={offset}-"} if offset else {}, connections) as response:
        start = _start_of(response, offset, size, partial)
        _write(_read_body(response, connections.timeout), partial, start, size, advance)
    return start == 0


def _write(chunks: Iterator[bytes], partial: Path, start: int, size: int, advance: Callable[[int], object]) -> None:
    """Write the chunks from byte `start` on, up to the size that is due."""
    with partial.open("ab" if start else "wb") as file:
        for chunk in chunks:
            start += len(chunk)
            if start > size:
                file.truncate(0)
                raise Mismatch(f"more than {size} bytes")
            file.write(chunk)
            advance(start)
    if start < size:
        raise Passing(f"it ended after {start} of {size} bytes")


def _read_file(url: str, size: int) -> Iterator[bytes]:
    parts = urlsplit(url)
    path = Path(url2pathname(parts.path if is_this_machine(parts.netloc) else f"//{parts.netloc}{parts.path}"))
    try:
        if not path.is_file():
            raise SourceFailed("no such file")
        length = path.stat().st_size
        if length != size:
            raise Mismatch(f"{length} bytes instead of {size}")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise SourceFailed(f"cannot be read: {error.strerror or error}") from error


def _read_body(response: requests.Response, timeout: float) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    began, received = time.monotonic(), 0
    while True:
        try:
            # read1 returns with what has come; read would wait for a whole chunk, however slowly it comes.
            chunk = response.raw.read1(CHUNK, decode_content=False)
        except ReadTimeoutError as error:
            raise Silent(f"no byte within {timeout:g} s") from error
        except HTTPError as error:
            raise Passing("the connection broke") from error
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        elapsed = time.monotonic() - began
        if elapsed >= timeout:
            if received < SLOWEST * elapsed:
                raise Silent(f"slower than {SLOWEST} bytes a second")
            began, received = time.monotonic(), 0


def _start_of(response: requests.Response, offset: int, size: int, partial: Path) -> int:
    """Return the position of the answer's first byte in the file, or say why the answer is of no use."""
    status = response.status_code
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != offset:
            partial.unlink(missing_ok=True)
            raise Passing("it sent another part than it was asked for")
        if found[2] not in ("*", str(size)):
            raise Mismatch(f"{found[2]} bytes instead of {size}")
        return offset
    if status == 200:
        length = response.headers.get("Content-Length", str(size))
        if length != str(size):
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise SourceFailed("a web page instead of the file, perhaps the login of this network")
            raise Mismatch(f"{length} bytes instead of {size}")
        return 0
    reason = f"{status} {response.reason or ''}".strip()
    if status == 416 and offset:
        partial.unlink(missing_ok=True)
        raise Passing(reason)
    if status == 429 or status >= 500:
        wait = _retry_after(response.headers.get("Retry-After", ""))
        if wait is not None and wait > LONGEST_RETRY_AFTER:
            raise SourceFailed(f"{reason}, to be asked again in {wait:.0f} s")
        raise Passing(reason, wait)
    raise SourceFailed(reason)


@contextmanager
def _answer(url: str, headers: dict[str, str], connections: Connections) -> Iterator[requests.Response]:
    """Yield the answer at the end of all redirects.

    They are followed here, since a session would read each redirect's body, whatever its length and pace.
    """
    for _ in range(MOST_REDIRECTS + 1):
        response = _ask(url, headers, connections)
        with response:
            target = connections.session.get_redirect_target(response)
            if not target:
                yield response
                return
        try:
            url = urljoin(url, target)
            scheme = urlsplit(url).scheme
        except ValueError:  # half an IPv6 address, say
            scheme = ""
        if scheme not in ("http", "https"):
            raise SourceFailed(f"it redirects to {target}")
    raise SourceFailed(f"more than {MOST_REDIRECTS} redirects")


def _ask(url: str, headers: dict[str, str], connections: Connections) -> requests.Response:
    import requests
    from urllib3.exceptions import NewConnectionError

    host, timeout, session = host_of(url), connections.timeout, connections.session
    if host in connections.unreachable:
        raise SourceFailed(f"{host} did not answer before")
    try:
        request = session.prepare_request(requests.Request("GET", url, headers))
        settings = session.merge_environment_settings(url, {}, True, None, None)  # proxies, certificates; streamed
        return session.get_adapter(url).send(request, timeout=timeout, **settings)
    except requests.ReadTimeout as error:
        raise Silent(f"no answer within {timeout:g} s") from error
    except requests.exceptions.SSLError as error:
        raise SourceFailed(f"no secure connection to {host}") from error
    except requests.ConnectionError as error:
        cause = getattr(error.args[0] if error.args else None, "reason", None)
        barred = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)
        if not barred and not isinstance(cause, NewConnectionError):
            raise Passing("the connection broke") from error
        connections.unreachable.add(host)
        raise SourceFailed(f"{host} cannot be reached") from error
    except (requests.RequestException, ValueError) as error:  # ValueError: requests lets some through for odd URLs
        raise SourceFailed(f"it cannot be asked: {type(error).__name__}") from error


def _back_off(failures: int) -> float:
    """Return the seconds to wait, more after each failure; drawn, so that a class of learners does not ask in step."""
    wait: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
    return wait * random.SystemRandom().uniform(0.5, 1)


def _retry_after(value: str) -> float | None:
    """Return the seconds that the header asks for, as a number or as a date; None without one."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _length(partial: Path) -> int:
    if partial.is_symlink():  # in a cache that others write to as well, it may lead anywhere
        partial.unlink()
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return 0
