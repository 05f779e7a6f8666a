"""The cache of this machine: files as they were served, and the arrays that they decode to.

::

    files/<folder>/<file>            byte for byte, laid out as a mirror serves them
    decoded/<set>/<key>/*.npy        memory-mapped by every load after the first
    decoded/<set>/<key>/index.json   type, shape and digest of each array

The key depends on the files' checksums, on the decoder's version and options, and on what the arrays must be, so a
change of any of them decodes anew. A folder of decoded arrays is written under another name and renamed when it is
whole.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aifs_data._locks import locked
from aifs_data.arrays import let_go
from aifs_data.dataset import keyword_defaults
from aifs_data.downloads import ArrayFacts, Download
from aifs_utils import DataError, write_json

if TYPE_CHECKING:  # it takes milliseconds to import
    from typing import BinaryIO

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

    Arrays = dict[str, NDArray[Any]]

logger = logging.getLogger(__name__)

INDEX = "index.json"
_LAYOUT = 1  # of a folder of decoded arrays
_HASHED_AT_ONCE = 4 << 20  # bytes


class LoadedArrays(NamedTuple):
    """Decoded arrays by name, and where they came from: "cache", "mirror" or "primary"."""

    arrays: Arrays
    source: str


def cache_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of downloads: `root`, or the environment's AIFS_DATA_DIR, or the platform's cache folder.

    Raises
    ------
    DataError
        When there is none, since this user has no home.
    """
    chosen = root or os.environ.get("AIFS_DATA_DIR")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        from platformdirs import user_cache_path

        return user_cache_path("aifs-data", appauthor=False)
    except RuntimeError as error:  # there is no such user, or none at all
        raise DataError(f"no folder for downloads ({error}): set AIFS_DATA_DIR to one, got {chosen!r}") from error


def files_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the part of the cache that holds files as they were served; a mirror can serve it as it is."""
    return cache_folder(root) / "files"


def decoded_folder(
    name: str,
    download: Download,
    options: Mapping[str, Any] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the folder where the decoded arrays of a set lie, or would lie, with these options of its decoder."""
    chosen = keyword_defaults(download.decode) | dict(options or {})
    return cache_folder(root) / "decoded" / name / _digest_of((origin_of(download), sorted(chosen.items())))


def origin_of(download: Download) -> str:
    """Return a digest of all that decoded arrays depend on, beside the options: files, decoder, what they must be."""
    files = [(file.path, file.sha256) for file in download.files]
    return _digest_of((_LAYOUT, files, download.version, sorted(download.arrays.items())))


def decoded_lock(name: str, root: str | os.PathLike[str] | None = None) -> AbstractContextManager[None]:
    """Hold the lock under which the decoded arrays of a set are written and removed."""
    folder = cache_folder(root) / "decoded" / name
    return locked(folder / ".lock", str(folder))


def _digest_of(value: object) -> str:
    import hashlib

    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def load_arrays(
    name: str,
    download: Download,
    *,
    options: Mapping[str, Any] | None = None,
    root: str | os.PathLike[str] | None = None,
    source: str = "auto",
) -> LoadedArrays:
    """Return the decoded arrays of a set, fetching and decoding it if this was not done before.

    Parameters
    ----------
    name : str
        The set's name.
    download : Download
        Its files, and how they are decoded.
    options : mapping, optional
        Those of the decoder.
    root : path-like, optional
        See `cache_folder`.
    source : {"auto", "primary", "mirror", "cache"}
        Where files may come from that are not in the cache.

    Returns
    -------
    LoadedArrays
        Arrays of a file are mapped into memory: what a caller writes to them stays in its process.

    Raises
    ------
    aifs_data.Unavailable
        When no source has the files.
    DataError
        When bytes, or the arrays that they decode to, are not those of the registry.
    """
    options = keyword_defaults(download.decode) | dict(options or {})
    folder = decoded_folder(name, download, options, root)
    facts = download.arrays if options == keyword_defaults(download.decode) else {}
    arrays = _read_if_whole(folder, facts)
    if arrays is not None:
        return LoadedArrays(arrays, "cache")

    from aifs_data.fetch import fetch

    sources = []  # of files, where decoding has to be tried twice

    def decode(into: Path) -> str:
        fetched = fetch(download.files, files_folder(root), source=source)
        sources.append(fetched.source)
        write_arrays(into, download.decode(fetched.paths, **options), origin_of(download))
        read_arrays(into, facts)
        return sources[0]

    try:
        with decoded_lock(name, root):
            return _decode_into(folder, decode, facts)
    except OSError as error:
        logger.warning("the decoded arrays of %s are not kept in %s: %s", name, folder.parent, error)
        return _decode_for_once(decode, facts)


def _decode_into(folder: Path, decode: Callable[[Path], str], facts: Mapping[str, ArrayFacts]) -> LoadedArrays:
    """Decode under another name, and rename the folder when it is whole; the lock is held."""
    arrays = _read_if_whole(folder, facts, logging.WARNING)  # another process may have decoded it meanwhile
    if arrays is not None:
        return LoadedArrays(arrays, "cache")
    temporary, aside = (folder.parent / f".{folder.name}.{word}.tmp" for word in ("new", "damaged"))
    _remove(temporary, aside)  # what a killed process left
    try:
        temporary.mkdir()
        source = decode(temporary)
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
    finally:
        _remove(temporary, aside)
    return LoadedArrays(read_arrays(folder, facts), source)


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)


def _decode_for_once(decode: Callable[[Path], str], facts: Mapping[str, ArrayFacts]) -> LoadedArrays:
    """Decode where nothing can be kept, such as beside a cache that may only be read."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="aifs-data-") as temporary:
        source = decode(Path(temporary))
        return LoadedArrays(read_arrays(Path(temporary), facts, mapped=False), source)


def _read_if_whole(folder: Path, facts: Mapping[str, ArrayFacts], level: int = logging.DEBUG) -> Arrays | None:
    """Return the arrays, or None where there are none or they are damaged."""
    try:
        return read_arrays(folder, facts) if folder.exists() else None
    except (DataError, OSError) as error:
        logger.log(level, "%s is damaged and made anew: %s", folder, error)
        return None


# --- arrays on the disk -----------------------------------------------------------------------------------------------


def write_arrays(folder: Path, blocks: Blocks, origin: str = "") -> None:
    """Write ``(name, block)`` pairs as .npy files, the blocks of a name one after another along their first axis.

    An index is written beside them; `origin` is what it says they were made of, see `origin_of`.

    Raises
    ------
    OSError
        When the folder cannot be written.
    DataError
        When the blocks of a name do not fit together.
    """
    with ExitStack() as opened:
        files: dict[str, _NpyFile] = {}
        for name, block in blocks:
            if name not in files:
                files[name] = _NpyFile(opened.enter_context((folder / f"{name}.npy").open("wb")), name, block)
            files[name].append(block)
        for file in files.values():
            file.finish()
    arrays = {}
    for name, written in files.items():
        facts = {"dtype": written.dtype.str, "shape": [written.n_rows, *written.row_shape]}
        array = _load(folder / f"{name}.npy", facts)
        arrays[name] = facts | {"header": _header_digest(folder / f"{name}.npy", array), "digest": array_digest(array)}
    index = {"origin": origin, "arrays": arrays}
    write_json(folder / INDEX, index | {"digest": _digest_of(index)})


def read_arrays(folder: Path, facts: Mapping[str, ArrayFacts], *, mapped: bool = True) -> Arrays:
    """Return the arrays of a folder, checked against its index and against what they must be.

    Raises
    ------
    DataError
        When an array is not what it must be: what was expected, and what came.
    """
    index = read_index(folder)["arrays"]
    _require("the arrays", sorted(facts or index), sorted(index))
    arrays = {}
    for name, written in index.items():
        path = folder / f"{name}.npy"
        arrays[name] = _load(path, written, mapped=mapped)
        digest = array_digest(arrays[name])
        if (_header_digest(path, arrays[name]), digest) != (written["header"], written["digest"]):
            raise DataError(f"{path.name} changed: expected the digest {written['digest']}, got {digest}")
        if name in facts:
            check_array(name, arrays[name], facts[name], digest)
    return arrays


def read_index(folder: Path) -> dict[str, Any]:
    """Return what the index of a folder of decoded arrays says.

    Raises
    ------
    DataError
        When it is damaged.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        digest = index.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{INDEX} is no index of arrays ({error})") from error
    if digest != _digest_of(index):
        raise DataError(f"{INDEX} changed: expected the digest {digest}, got {_digest_of(index)}")
    return index


def array_digest(array: NDArray[Any]) -> str:
    """Return a digest of an array's type, shape and values: XXH3, 128 bits, in hexadecimal.

    It finds damage, at ten times the speed of SHA-256; what comes from a server is checked by SHA-256 before.
    """
    import xxhash

    digest = xxhash.xxh3_128(f"{array.dtype.newbyteorder('<').str}{array.shape}".encode())
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(data), _HASHED_AT_ONCE):
        digest.update(data[start : start + _HASHED_AT_ONCE])
        let_go(array)
    return digest.hexdigest()


def check_array(name: str, array: NDArray[Any], facts: ArrayFacts, digest: str) -> None:
    """Raise DataError unless a decoded array is what the registry says."""
    _require(f"the type of {name}", facts.dtype, str(array.dtype))
    _require(f"the shape of {name}", facts.shape, array.shape)
    if facts.counts is not None:
        _require(f"the samples of each class in {name}", facts.counts, tuple(np.bincount(array).tolist()))
    if facts.digest is not None:
        _require(f"the digest of {name}", facts.digest, digest)
    elif array.size and not (array.dtype == np.uint8 and (facts.low, facts.high) == (0, 255)):
        if facts.low is not None and array.min() < facts.low:
            _require(f"the least value of {name}", f"at least {facts.low}", array.min())
        if facts.high is not None and array.max() > facts.high:
            _require(f"the greatest value of {name}", f"at most {facts.high}", array.max())


def _require(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise DataError(f"{what} is not what the registry says: expected {expected}, got {got}")


def _load(path: Path, written: Mapping[str, Any], *, mapped: bool = True) -> NDArray[Any]:
    """Return the array at the end of a .npy file, of the type and shape that the index says."""
    dtype, shape = np.dtype(written["dtype"]), tuple(written["shape"])
    n_bytes = dtype.itemsize * math.prod(shape)
    offset = path.stat().st_size - n_bytes
    if offset < 0:
        raise DataError(f"{path.name} is cut short: expected {n_bytes} bytes and a header, got {offset + n_bytes}")
    if mapped and n_bytes:  # nothing cannot be mapped
        # "c": what a caller changes stays in its process.
        return np.memmap(path, dtype, mode="c", offset=offset, shape=shape)
    return np.fromfile(path, dtype, offset=offset).reshape(shape)


def _header_digest(path: Path, array: NDArray[Any]) -> str:
    with path.open("rb") as file:
        return _digest_of(file.read(path.stat().st_size - array.nbytes))


class _NpyFile:
    """A .npy file whose number of rows is known at its end only."""

    def __init__(self, file: BinaryIO, name: str, first: NDArray[Any]) -> None:
        self.file, self.name = file, name
        self.dtype, self.row_shape, self.n_rows = first.dtype, first.shape[1:], 0
        self._write_header()

    def append(self, block: NDArray[Any]) -> None:
        if (block.dtype, block.shape[1:]) != (self.dtype, self.row_shape):
            raise DataError(
                f"a block of {self.name} has rows of {block.dtype} {block.shape[1:]}, those before it "
                f"have {self.dtype} {self.row_shape}"
            )
        self.file.write(np.ascontiguousarray(block).data)
        self.n_rows += len(block)

    def finish(self) -> None:
        self.file.seek(0)
        self._write_header()
        self.file.flush()
        os.fsync(self.file.fileno())

    def _write_header(self) -> None:
        # NumPy leaves room in it for the first axis to grow, so the header keeps its length.
        shape = (self.n_rows, *self.row_shape)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
