"""What the cache holds of a set: files and decoded arrays, whole or damaged; how to lay them out for others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aifs_data.cache import cache_folder, decoded_folder, files_folder, read_arrays
from aifs_data.downloads import Download
from aifs_data.fetch import flaw_of
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
    """Return "ready", "fetched", "partly fetched" or "absent", judged by the names and sizes of files."""
    if (decoded_folder(name, download, root=root) / "index.json").exists():
        return "ready"
    folder = files_folder(root)
    there = sum(_has_size(folder / file.path, file.size) for file in download.files)
    return {0: "absent", len(download.files): "fetched"}.get(there, "partly fetched")


def leftovers(downloads: Mapping[str, Download], root: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Return what no load will use: broken downloads, and arrays that other versions or options decoded."""
    yield files_folder(root) / ".partial"
    for name, download in downloads.items():
        current = decoded_folder(name, download, root=root)
        yield from (folder for folder in decoded_folders(name, root) if folder != current)
        yield from current.parent.glob(".*.tmp")


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
    lines = {*before, *(f"{file.sha256}  {file.path}" for file in download.files)}
    write_text(listing, "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line.partition("  ")[2])))


def remove_set(name: str, download: Download, root: str | os.PathLike[str] | None = None) -> int:
    """Remove a set's files and decoded arrays from the cache; return the bytes that this frees."""
    files = [files_folder(root) / file.path for file in download.files]
    freed = sum(remove(path) for path in files)
    return freed + remove(cache_folder(root) / "decoded" / name)


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
