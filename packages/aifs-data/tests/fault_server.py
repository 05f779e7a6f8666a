"""A web server on loopback that does to each path what it is told: the whole internet's bad days, on one machine."""

import gzip
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class FaultServer:
    """Serves bytes by path, well unless it is told otherwise.

    An order is a set of keywords:

    - ``status=503``, ``headers={"Retry-After": "1"}``: what to answer; other headers go with any answer
    - ``redirect="/other"``: a path or a URL
    - ``stall="headers"`` or ``stall=1000``: fall silent before the answer, or after so many bytes of it
    - ``cut=1000``: break the connection after so many bytes; with ``reset=True`` as a crash does
    - ``corrupt=True``: another byte in the middle; ``longer=5``, ``shorter=5``: another size; ``empty=True``: no bytes
    - ``drip=(10, 0.1)``: ten bytes each tenth of a second
    - ``zipped=True``: compress the answer although nobody asked for it
    - ``ranges=False``: ignore Range; ``content_range="bytes 7-9/10"``: say this instead of the truth
    - ``length=False``: do not say how long the answer is; ``chunked=True``: send it in chunks

    Attributes
    ----------
    url : str
        "http://127.0.0.1:port".
    requests : list of (path, range)
        All that were asked, in order; the range is the header's text or None.
    bytes_sent : int
        Of contents, headers left out.
    """

    def __init__(self):
        self.requests, self.bytes_sent = [], 0
        self._contents, self._always, self._next, self._folder = {}, {}, {}, None
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.faults = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def serve(self, path, content):
        """Serve these bytes at ``/path`` and return the URL."""
        self._contents[path.lstrip("/")] = content
        return f"{self.url}/{path.lstrip('/')}"

    def serve_folder(self, folder):
        """Serve the files of a folder too, by their paths in it."""
        self._folder = Path(folder)

    def always(self, path, **order):
        """Obey this order at each request of the path."""
        self._always[path.lstrip("/")] = order

    def once(self, path, *orders):
        """Obey these orders, dicts, at the next requests of the path, one each."""
        self._next.setdefault(path.lstrip("/"), []).extend(orders)

    def count(self, path):
        """Return how often the path was asked for."""
        return [asked for asked, _ in self.requests].count(path.lstrip("/"))

    def close(self):
        """Stop serving; what stalls is let go."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def order_of(self, path, range_header):
        """Note a request and return the order that it falls under."""
        with self._lock:
            self.requests.append((path, range_header))
            waiting = self._next.get(path)
            return waiting.pop(0) if waiting else self._always.get(path, {})

    def content_of(self, path):
        """Return the bytes at the path, or None."""
        if path in self._contents:
            return self._contents[path]
        file = self._folder / path if self._folder and ".." not in path.split("/") else None
        return file.read_bytes() if file and file.is_file() else None

    def note_sent(self, n_bytes):
        """Count bytes that went out."""
        with self._lock:
            self.bytes_sent += n_bytes

    def stall(self):
        """Wait until the server is closed."""
        self._closing.wait(60)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """Say nothing: clients that hang up are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Write nothing to stderr."""

    def do_GET(self):
        faults = self.server.faults
        path, asked = unquote(urlsplit(self.path).path).lstrip("/"), self.headers.get("Range")
        order, content = faults.order_of(path, asked), faults.content_of(path)
        if order.get("stall") == "headers":
            faults.stall()
            self.close_connection = True
        elif "redirect" in order:
            self._answer(order.get("status", 302), b"moved", order, {"Location": order["redirect"]})
        elif "status" in order:
            self._answer(order["status"], b"not today", order, {})
        elif content is None:
            self._answer(404, b"not here", order, {})
        else:
            self._answer(*_part(content, asked, order))

    def _answer(self, status, body, order, headers):
        headers = headers | order.get("headers", {})
        if order.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        elif order.get("length", True):
            headers.setdefault("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send_body(body, order)

    def _send_body(self, body, order):
        end = min(len(body), *(order[key] for key in ("cut", "stall") if key in order), len(body))
        step, pause = order.get("drip", (64 * 1024, 0))
        for start in range(0, end, step):
            chunk = body[start : min(start + step, end)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if order.get("chunked") else chunk)
            self.wfile.flush()
            self.server.faults.note_sent(len(chunk))
            time.sleep(pause)
        if "stall" in order:
            self.server.faults.stall()
        if "cut" in order or "stall" in order:
            self._hang_up(reset=order.get("reset", False))
        elif order.get("chunked"):
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self, reset):
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _part(content, asked, order):
    """Return status, body, order and headers of the answer to a request for all or the rest of the content."""
    total, status, headers, start = len(content), 200, {}, 0
    found = re.fullmatch(r"bytes=(\d+)-", asked or "") if order.get("ranges", True) else None
    if found and int(found[1]) >= total:
        return 416, b"", order, {"Content-Range": f"bytes */{total}"}
    if found:
        start, status = int(found[1]), 206
        headers["Content-Range"] = order.get("content_range", f"bytes {start}-{total - 1}/{total}")
    body = content[start:]
    if order.get("corrupt"):
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    body = body[: len(body) - order.get("shorter", 0)] + b"\0" * order.get("longer", 0)
    if order.get("empty"):
        body = b""
    if order.get("zipped"):
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    return status, body, order, headers
