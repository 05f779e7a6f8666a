"""Members of archives, taken out one by one.

A name inside an archive is only ever compared with the name that is expected, and never used as a path; and no more
bytes are read than a member may have, whatever the archive says.
"""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NoReturn

from aifs_data.downloads import RemoteFile
from aifs_utils import DataError, atomic_write

CHUNK = 256 * 1024
# What reading a damaged archive raises; NotImplementedError where a compression's number became one that nobody knows.
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def extract(archive: Path, wanted: Mapping[str, RemoteFile], folder: Path) -> None:
    """Take files out of a tar archive, compressed or not.

    Parameters
    ----------
    archive : Path
    wanted : mapping of str to RemoteFile
        By their names inside the archive. Each goes to ``folder/<its path>``, whose folder is made.
    folder : Path

    Raises
    ------
    DataError
        When the archive is damaged, or a file in it is missing, not a regular file, or has another size or checksum
        than it must have. What was extracted before then is right.
    """
    left = dict(wanted)
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                if not left:
                    break
                file = left.get(member.name)
                if file is None:
                    continue
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or member.size != file.size:
                    kind = f"{member.size} bytes" if content else "no regular file"
                    raise DataError(f"{member.name} in {archive} must have {file.size} bytes, got {kind}")
                with content:
                    _place(content, file, folder, archive)
                del left[member.name]
    except DAMAGED as error:
        _refuse(archive, error)
    if left:
        raise DataError(f"{archive} must hold {', '.join(left)}, which it does not: delete it to get another copy")


def read_zip_member(path: Path, name: str, *, limit: int) -> bytes:
    """Return one member of a zip.

    Parameters
    ----------
    path : Path
    name : str
        As it stands in the zip.
    limit : int
        The most bytes that it may have.

    Raises
    ------
    DataError
        When it is missing, larger, or damaged.
    """
    for _, content in zip_members(path, limit=limit, wanted=lambda member: member == name):
        return content
    raise DataError(f"{path} must hold {name}, which it does not: delete it to get another copy")


def zip_members(
    path: Path, *, limit: int, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of a zip's members, folders left out, in the zip's order.

    Parameters
    ----------
    path : Path
    limit : int
        The most bytes that a member may have.
    wanted : callable
        ``wanted(name)`` says whether to read a member; all by default.

    Raises
    ------
    DataError
        When a wanted member is larger, or the zip is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir() or not wanted(member.filename):
                    continue
                # Not only the size that it declares: a zip can be made to hold more.
                content = b""
                if member.file_size <= limit:
                    with archive.open(member) as file:
                        content = file.read(limit + 1)
                if max(member.file_size, len(content)) > limit:
                    raise DataError(f"{member.filename} in {path} may have {limit} bytes, got {member.file_size}")
                yield member.filename, content
    except (*DAMAGED, RuntimeError) as error:  # RuntimeError: it is encrypted
        _refuse(path, error)


def _place(content: IO[bytes], file: RemoteFile, folder: Path, archive: Path) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with atomic_write(path) as target:
        while chunk := content.read(CHUNK):  # ends with the member, whose size has been checked
            digest.update(chunk)
            target.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise DataError(f"{file.name} in {archive} must have the sha256 {file.sha256}, got {digest.hexdigest()}")


def _refuse(path: Path, error: Exception) -> NoReturn:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{path} is damaged ({reason}): delete it to get another copy") from error
