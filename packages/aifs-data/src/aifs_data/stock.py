"""What the cache holds of a set: files and decoded arrays, whole or damaged; how to lay them out for others."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aifs_data.cache import (
    INDEX,
    cache_folder,
    decoded_folder,
    decoded_lock,
    files_folder,
    origin_of,
    read_arrays,
    read_index,
)
from aifs_data.downloads import Download
from aifs_data.fetch import flaw_of, leftovers_beside, locked_folders
from aifs_utils import DataError, atomic_write, write_text

if TYPE_CHECKING:
    import os


def decoded_damage(folder: Path, download: Download) -> str:
    """Return what is wrong with a folder of decoded arrays; an empty text where it is whole."""
    is_default = folder == decoded_folder(folder.parent.name, download, root=folder.parents[2])
    try:
        read_arrays(folder, download.arrays if is_default else {})
    except (DataError, OSError) as error:
        return str(error)
    return ""


def decoded_folders(name: str, root: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Return the folders of decoded arrays that there are of a set, one for each choice of options."""
    folders = (cache_folder(root) / "decoded" / name).glob("[!.]*/")
    return iter(sorted(folder for folder in folders if folder.is_dir()))


def state(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> str:
    """Return "ready", "fetched", "partly fetched", "absent" or "unreadable", judged by the names and sizes of files."""
    folder = files_folder(root)
    try:
        if (decoded_folder(name, download, root=root) / INDEX).exists():
            return "ready"
        there = sum(_has_size(folder / file.path, file.size) for file in download.files)
    except PermissionError:
        return "unreadable"
    return {0: "absent", len(download.files): "fetched"}.get(there, "partly fetched")


def lay_out(download: Download, destination: Path, root: str | os.PathLike[str] | None = None) -> None:
    """Copy a set's files to where a mirror serves them from, and add their checksums to its SHA256SUMS.

    Files that are there already, and whole, are left as they are.
    """
    for file in download.files:
        if flaw_of(file, destination):
            (destination / file.path).parent.mkdir(parents=True, exist_ok=True)
            with (files_folder(root) / file.path).open("rb") as source, atomic_write(destination / file.path) as copy:
                shutil.copyfileobj(source, copy)
    listing = destination / "SHA256SUMS"
    before = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    sums = {path: sha256 for sha256, _, path in (line.partition("  ") for line in before)}
    sums |= {file.path: file.sha256 for file in download.files}
    write_text(listing, "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items())))


@contextmanager
def at_rest(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Keep other processes from fetching and decoding a set; first wait for those that are at it."""
    with decoded_lock(name, root), locked_folders(download.files, files_folder(root)):
        yield


def check(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> dict[Path, str]:
    """Return what is wrong with each file, and each folder of decoded arrays, that there is; "" where nothing is."""
    folder = files_folder(root)
    flaws = {folder / file.path: flaw_of(file, folder) for file in download.files if (folder / file.path).is_file()}
    return flaws | {decoded: decoded_damage(decoded, download) for decoded in decoded_folders(name, root)}


def remove_damaged(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> None:
    """Remove what `check` finds wrong.

    Raises
    ------
    OSError
        When it cannot be removed.
    """
    with at_rest(name, download, root):
        for path, flaw in check(name, download, root).items():
            if flaw:
                remove(path)


def remove_leftovers(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> int:
    """Remove what no load will use, arrays of other versions and broken downloads; return the bytes that this frees."""
    if not any(_leftovers(name, download, root)):
        return 0
    with at_rest(name, download, root):
        return sum(remove(path) for path in list(_leftovers(name, download, root)))


def _leftovers(name: str, download: Download, root: str | os.PathLike[str] | None) -> Iterator[Path]:
    folder, decoded = files_folder(root), cache_folder(root) / "decoded" / name
    archives = {file.archive.file for file in download.files if file.archive}
    broken = [folder / ".partial" / file.sha256 for file in (*download.files, *archives)]
    yield from (path for path in (*broken, *(folder / file.path for file in archives)) if path.exists())
    yield from leftovers_beside(download.files, folder)
    yield from decoded.glob(".*.tmp")
    yield from (path for path in decoded_folders(name, root) if _origin_said(path) != origin_of(download))


def remove_set(
    name: str, download: Download, root: str | os.PathLike[str] | None = None, keep: Collection[str] = ()
) -> int:
    """Remove a set's files, but for the paths to keep, and its decoded arrays; return the bytes that this frees."""
    freed = remove_leftovers(name, download, root)
    if state(name, download, root) == "absent" and not any(decoded_folders(name, root)):
        return freed
    with at_rest(name, download, root):
        files = [files_folder(root) / file.path for file in download.files if file.path not in keep]
        return freed + sum(remove(path) for path in (*files, *decoded_folders(name, root)))


def _origin_said(folder: Path) -> str:
    """Return what decoded arrays say that they were made of; nothing where they cannot say."""
    try:
        return str(read_index(folder)["origin"])
    except (DataError, OSError):
        return ""


def remove(path: Path) -> int:
    """Remove a file or a folder, if it is there; return the bytes that this frees."""
    if not path.exists():
        return 0
    freed = size_of(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return freed


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
