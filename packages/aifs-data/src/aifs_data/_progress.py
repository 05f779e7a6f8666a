"""Showing that a download goes on: a bar for each file on a terminal, a line in the log anywhere else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aifs_data.downloads import RemoteFile

Advance = Callable[[int], object]

logger = logging.getLogger(__name__)


@contextmanager
def show_progress() -> Iterator[Callable[[RemoteFile, str], Advance]]:
    """Yield ``show(file, place)``, which says where a file is being fetched from.

    It returns a function that gets the number of bytes that are there, as often as it likes. The bars are gone when the
    ``with`` block ends.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _log


def _log(file: RemoteFile, place: str) -> Advance:
    logger.info("fetching %s (%s bytes) from %s", file.path, f"{file.size:,}", place)
    return lambda there: None


@contextmanager
def _bars() -> Iterator[Callable[[RemoteFile, str], Advance]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def show(file: RemoteFile, place: str) -> Advance:
            _log(file, place)
            found = [task.id for task in progress.tasks if task.description == file.path]  # a source before this failed
            bar = found[0] if found else progress.add_task(file.path, total=file.size)
            return lambda there: progress.update(bar, completed=there)

        yield show
