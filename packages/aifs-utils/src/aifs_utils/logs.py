"""Logging for a command: warnings on the console in one line each, everything in a file.

A library only ever calls ``logging.getLogger(__name__)``. The command that a person started calls `setup_logging`.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from aifs_utils.exceptions import ConfigError

_FILE_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_COLOURS = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}

_handlers: list[logging.Handler] = []
_previous_level: int | None = None
_captured_warnings = False


def setup_logging(
    log_file: Path | None = None,
    *,
    level: int = logging.INFO,
    console: bool = True,
    stream: TextIO | None = None,
    prefix: str = "",
    console_filter: Callable[[str], bool] | None = None,
    hold: float = 0.0,
) -> logging.Logger:
    """Send log records to the console and to a file.

    The handlers go to the root logger, beside any that are there. A second call replaces those of the first. Python
    warnings are logged as well.

    Parameters
    ----------
    log_file : Path, optional
        Gets every record from `level` up, with time and traceback. It is appended to; its folder is made.
    level : int
        The lowest level that the file gets.
    console : bool
        Whether WARNING and above go to the console, one line each and without traceback.
    stream : text stream, optional
        The console; by default whatever ``sys.stderr`` is when a record is written.
    prefix : str
        What each message on the console begins with, such as ``"[rank 1] "`` where several processes share one.
    console_filter : callable, optional
        Is asked about each warning, as in ``"warning: the disk is full"`` without the prefix, and answers whether it
        goes to the console. It may take its time: nothing else that is logged waits for it. Errors always go there, at
        once.
    hold : float
        Seconds for which warnings wait before the filter is asked, so that another process can say them first.
        `write_held_warnings` writes those that have waited; the end of logging, or of the process, writes the rest.
        Only a process that is killed loses them; its file has them.

    Returns
    -------
    logging.Logger
        The root logger.

    Raises
    ------
    ConfigError
        When the file cannot be written. The logging that was set up before then stays.
    """
    global _previous_level, _captured_warnings
    file = _open(log_file, level) if log_file is not None else None
    close_logging()
    root = logging.getLogger()
    _handlers.extend([_Console(stream, prefix, console_filter, hold)] if console else [])
    _handlers.extend([file] if file else [])
    for handler in _handlers:
        root.addHandler(handler)
    _previous_level = root.level
    root.setLevel(min(level, logging.WARNING))
    show = warnings.showwarning
    logging.captureWarnings(True)
    _captured_warnings = warnings.showwarning is not show
    return root


def close_logging() -> None:
    """Take back what `setup_logging` did; without it, do nothing."""
    global _previous_level, _captured_warnings
    root = logging.getLogger()
    while _handlers:
        handler = _handlers.pop()
        root.removeHandler(handler)
        with suppress(OSError):  # the last flush of a file whose disk is full
            handler.close()
    if _previous_level is not None:
        root.setLevel(_previous_level)
    if _captured_warnings:
        logging.captureWarnings(False)
    _previous_level, _captured_warnings = None, False


def write_held_warnings() -> None:
    """Write the warnings to the console that have waited as long as `setup_logging` was told; call it now and then."""
    for handler in _handlers:
        if isinstance(handler, _Console):
            handler.write_held()


def _open(log_file: Path, level: int) -> "_LogFile":
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        file = _LogFile(log_file, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write the log to {log_file} ({reason}): choose another folder") from error
    file.setLevel(level)
    file.setFormatter(logging.Formatter(_FILE_FORMAT))
    return file


class _LogFile(logging.FileHandler):
    """A log file that says once that it cannot be written, instead of a traceback for each record."""

    failed = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.failed:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.failed = True
        logging.getLogger(__name__).warning(
            "the log goes no further: %s cannot be written (%s)", self.baseFilename, error.strerror or error
        )


class _Console(logging.Handler):
    """One line per record: "warning: [rank 1] what happened", with the level in colour on a terminal."""

    def __init__(
        self, stream: TextIO | None, prefix: str, is_wanted: Callable[[str], bool] | None, hold: float
    ) -> None:
        super().__init__(logging.WARNING)
        self.stream, self.prefix, self.is_wanted, self.hold = stream, prefix, is_wanted, hold
        self.held: list[tuple[float, logging.LogRecord, str]] = []

    def filter(self, record: logging.LogRecord) -> bool:
        # Here and not in `emit`, which has the lock: who is asked may not answer, and that must still be logged.
        try:
            asks = self.is_wanted is not None and not self.hold and record.levelno < logging.ERROR
            return bool(super().filter(record)) and not (asks and self._is_unwanted(record, _one_line(record)))
        except Exception:  # noqa: BLE001 - as in every handler of the standard library: logging must not end a run
            self.handleError(record)
            return False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = _one_line(record)  # now: what it is about may change while it waits
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)
            return
        if self.hold and record.levelno < logging.ERROR:
            self.held.append((time.monotonic(), record, message))
        else:
            self._write(record, message)

    def write_held(self, hold: float | None = None) -> None:
        """Write the wanted ones of the warnings that have waited for `hold` seconds."""
        until = time.monotonic() - (self.hold if hold is None else hold)
        with self._alone():
            ready = [item for item in self.held if item[0] <= until]
            self.held = self.held[len(ready) :]
        for _, record, message in ready:
            if not self._is_unwanted(record, message):
                with self._alone():
                    self._write(record, message)

    def flush(self) -> None:
        self.write_held(0.0)

    def close(self) -> None:
        self.flush()
        super().close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads off, as `emit` is called."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _is_unwanted(self, record: logging.LogRecord, message: str) -> bool:
        return self.is_wanted is not None and not self.is_wanted(f"{record.levelname.lower()}: {message}")

    def _write(self, record: logging.LogRecord, message: str) -> None:
        # Looked up each time: a progress bar replaces sys.stderr while it is drawn, and prints our lines above itself.
        stream = self.stream or sys.stderr
        if stream is None:  # a process without a console, such as pythonw
            return
        try:
            level, message = record.levelname, self.prefix + message
            line = _coloured(stream, level, message) if stream.isatty() else f"{level.lower()}: {message}\n"
            stream.write(line)
            stream.flush()
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)


def _one_line(record: logging.LogRecord) -> str:
    lines = record.getMessage().strip().splitlines() or [""]
    if record.name == "py.warnings":
        # "path:line: Category: message", and below it the line of code, indented. The log file has it all.
        first = lines[0].partition(": ")[2] or lines[0]
        message = (line for line in lines[1:] if not line.startswith("  "))
        lines = [first, *message]
    return " ".join(line.strip() for line in lines)


def _coloured(stream: TextIO, level: str, message: str) -> str:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream)
    # Captured and then written to `stream`: a Console of its own would write through a progress bar, not above it.
    with console.capture() as captured:
        console.print(Text.assemble((f"{level.lower()}:", _COLOURS.get(level, "")), " ", message), soft_wrap=True)
    return captured.get()
