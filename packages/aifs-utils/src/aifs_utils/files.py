"""Files that are either whole and new, or whole and old.

A file is written under another name in the same folder, flushed to the disk, and renamed over the old one. A crash, a
signal or a full disk in the middle leaves the old file as it was.
"""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, overload

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@overload
def atomic_write(
    path: str | os.PathLike[str],
    mode: Literal["wb"] = "wb",
    *,
    before_replace: Callable[[Path], None] | None = None,
) -> "AbstractContextManager[BinaryIO]": ...
@overload
def atomic_write(
    path: str | os.PathLike[str], mode: Literal["w"], *, before_replace: Callable[[Path], None] | None = None
) -> "AbstractContextManager[TextIO]": ...
def atomic_write(
    path: str | os.PathLike[str], mode: str = "wb", *, before_replace: Callable[[Path], None] | None = None
) -> Any:
    """Open a file that replaces `path` when the ``with`` block ends without an error.

    The permissions are those of any new file (the umask decides). If `path` is a symbolic link, what it points to is
    replaced. The folder must exist. Only a regular file is replaced: not a folder, and not a device.

    Parameters
    ----------
    path : path-like
        The file to write.
    mode : {"wb", "w"}
        Bytes, or text in UTF-8 with line ends as written.
    before_replace : callable, optional
        Gets the path of the written and flushed file before it takes the old one's place, and keeps it from doing so by
        raising an error.

    Returns
    -------
    context manager of a file object
        On an error, KeyboardInterrupt included, nothing is left of what was written.

    Raises
    ------
    OSError
        When the file cannot be written; the old one is then still there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, atomic_write(f"{folder}/weights.txt", "w") as file:
    ...     written = file.write("1.0")
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"mode is 'wb' or 'w', got {mode!r}")
    return _replacing(Path(os.path.realpath(path)), mode, before_replace)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes as `atomic_write` does."""
    with atomic_write(path, "wb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text, in UTF-8, as `atomic_write` does."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Write `value` as JSON that people can read, as `atomic_write` does.

    Keys stay in their order. NaN and infinity are a ValueError, since JSON has none and other readers stop at them.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _replacing(path: Path, mode: str, before_replace: Callable[[Path], None] | None) -> Iterator[IO[Any]]:
    if path.exists() and not path.is_file():
        # A renaming would succeed: run as root, it would put a plain file where /dev/null was.
        raise FileExistsError(errno.EEXIST, "not a regular file, so it is not replaced", str(path))
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    # Not tempfile: its files are 0600, and the file would keep that.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        encoding, newline = (None, None) if mode == "wb" else ("utf-8", "")
        with os.fdopen(descriptor, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before_replace is not None:
            before_replace(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a renaming in this folder last through a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse this of a folder. The file itself is safe by now.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
