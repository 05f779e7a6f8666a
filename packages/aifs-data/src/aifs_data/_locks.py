"""Locks between processes: whoever dies lets go, and whoever waits says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aifs_utils import DataError

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file, which stays when it is released: a process that waits for it knows it by its inode.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made if they are not there.
    what : str
        What it guards, for the log line of a process that has to wait.

    Raises
    ------
    OSError
        When the file cannot be made.
    DataError
        When the file system has no locks.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            logger.info("waiting for another process that is at work on %s", what)
            lock.acquire()
    except NotImplementedError as error:  # what filelock raises where the file system has no locks
        raise DataError(f"{path.parent} lies on a file system without locks: set AIFS_DATA_DIR to another") from error
    try:
        yield
    finally:
        lock.release()
