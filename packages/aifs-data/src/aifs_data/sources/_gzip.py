"""Gzipped files, read as a stream."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_gzip(path: Path) -> Iterator[IO[bytes]]:
    """Open a gzipped file to read from.

    Raises
    ------
    DataError
        When the file is damaged, or when who reads it says so of what is in it: the message then names the file.
    """
    import gzip
    import zlib

    try:
        with gzip.open(path) as file:
            yield cast("IO[bytes]", file)
    except (gzip.BadGzipFile, EOFError, zlib.error, DataError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it to get another copy") from error
