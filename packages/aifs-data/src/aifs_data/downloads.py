"""What is known beforehand about a data set that is downloaded: its files, and the arrays that they decode to.

And what goes wrong when they cannot be had: this module is imported where `aifs_data.fetch` is not needed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Blocks = Iterator[tuple[str, NDArray[Any]]]


class Unavailable(DataError):
    """No source has the file.

    Parameters
    ----------
    message : str
        Every source that was tried, and the remedy.
    reason : str
        The first failure, for where there is room for a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WrongBytes(DataError):
    """A source has other bytes than the registered ones, and no other source has the right ones."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that a server has.

    Parameters
    ----------
    path : str
        ``folder/file``, as a mirror serves it and as it lies in the cache. Sets that share files share the folder.
    size : int
        In bytes.
    sha256 : str
        Of the file's bytes, in hexadecimal.
    urls : tuple of str
        Where to get it, the best first.
    archive : Archive, optional
        What it is a member of, where it is served in an archive only.
    """

    path: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()
    archive: Archive | None = None

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.path.rpartition("/")[2]


def remote_files(folder: str, *, urls: Sequence[str], facts: Mapping[str, tuple[int, str]]) -> dict[str, RemoteFile]:
    """Return files that lie side by side on every server, by name.

    Parameters
    ----------
    folder : str
        Where they lie on a mirror and in the cache.
    urls : sequence of str
        Those of the folders that hold them, the best first, each with the slash at its end.
    facts : mapping of str to (int, str)
        The size and the SHA-256 of each file, by name.
    """
    return {
        name: RemoteFile(path=f"{folder}/{name}", size=size, sha256=sha256, urls=tuple(url + name for url in urls))
        for name, (size, sha256) in facts.items()
    }


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A tar archive (compressed or not) of files that are verified one by one.

    Parameters
    ----------
    file : RemoteFile
        The archive itself.
    prefix : str
        What stands before a file's name inside it, "cifar-10-batches-py/".
    """

    file: RemoteFile
    prefix: str


@dataclass(frozen=True, kw_only=True)
class ArrayFacts:
    """What a decoded array must be.

    Parameters
    ----------
    dtype : str
        "uint8", say.
    shape : tuple of int
    low, high : number
        The least and the greatest value that may occur.
    counts : tuple of int, optional
        How often 0, 1, … occur, where the array holds class indices.
    digest : str, optional
        `aifs_data.cache.array_digest` of it; None where no decoded copy could be measured yet.
    """

    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    counts: tuple[int, ...] | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Download:
    """How a set that is downloaded becomes arrays.

    Parameters
    ----------
    files : tuple of RemoteFile
        All that `decode` reads.
    decode : callable
        ``decode(files, **options)``, a generator of ``(name, block)``. `files` maps a file's name, without its folder,
        to its path. Blocks of one name are concatenated along their first axis as they come, so that only one block
        has to fit into memory. Its keyword-only options are a subset of the set's parameters.
    arrays : mapping of str to ArrayFacts
        What the blocks add up to with the default options.
    version : int
        Raised when `decode` gives other arrays than before.
    remark : str
        What a person must know who cannot get the files.
    """

    files: tuple[RemoteFile, ...]
    decode: Callable[..., Blocks]
    arrays: Mapping[str, ArrayFacts] = field(default_factory=dict)
    version: int = 1
    remark: str = ""

    @property
    def size(self) -> int:
        """Bytes to download, archives counted once and instead of their members."""
        sizes = {}
        for file in self.files:
            served = file.archive.file if file.archive else file
            sizes[served.path] = served.size
        return sum(sizes.values())
