"""Python 2 pickles of plain data, read without ``pickle``, which does whatever a file tells it to.

A pickle is a program for a machine with a stack. The machine here knows the instructions of protocol 2 that put
numbers, byte strings, lists, tuples and dicts together, and six names; it has none that calls anything. What a file
says of an array is only written down, and the array is then built from it: type, shape and bytes have to fit each
other. CPython's ``Lib/pickletools.py`` describes the instructions, whose names stand beside them below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_NAMES = (
    "numpy.core.multiarray _reconstruct",
    "numpy ndarray",
    "numpy dtype",
    "scipy.sparse.csr csr_matrix",
    "collections defaultdict",
    "__builtin__ list",
)
_LONGEST_NAME = 255  # bytes of a line
_NUMBERS = {f"{kind}{size}".encode() for kind in "iu" for size in (1, 2, 4, 8)} | {b"f4", b"f8"}


def read_pickle(path: Path) -> Any:
    """Return what a Python 2 pickle of plain data holds.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object
        Integers, lists, tuples, dicts and byte strings as ``bytes``; but the keys of a dict that are byte strings come
        as ``str``. An array is read-only and shares its memory with the bytes that were read. A defaultdict is a
        dict, and a csr_matrix a ``scipy.sparse.csr_array``.

    Raises
    ------
    DataError
        When the file is damaged, or holds anything else.
    """
    with path.open("rb") as file:
        machine = _Machine(file, path.stat().st_size)
        try:
            return machine.run()
        # What instructions in a senseless order come to: an empty stack, no such number, a list as a key, …
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(
                f"{path} is damaged or no pickle of plain data ({error}): delete it to get another copy"
            ) from error


@dataclass(frozen=True)
class _Name:
    """One of the names that a file may mention."""

    text: str


@dataclass(frozen=True, eq=False)
class _Unbuilt:
    """An object that the file has begun to describe; BUILD brings the rest."""

    name: str
    arguments: Any


class _Machine:
    """The stack, the marks on it, and the memo of objects that are used again."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        if self.take(2) != b"\x80\x02":
            raise DataError("it does not begin as protocol 2 does")
        while (code := self.take(1)) != b".":
            if code not in _INSTRUCTIONS:
                raise DataError(f"it has the instruction {code!r}")
            _INSTRUCTIONS[code](self)
        return _finished(self.stack.pop())

    def take(self, n_bytes: int) -> bytes:
        # Not asked for where there cannot be so many: room would be made for all of them first.
        data = self.file.read(n_bytes) if 0 <= n_bytes <= self.size else b""
        if len(data) != n_bytes:
            raise DataError("it is cut short")
        return data

    def number(self, n_bytes: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(n_bytes), "little", signed=signed)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self, n: int) -> tuple[Any, ...]:
        if len(self.stack) < n:
            raise DataError("it takes more from the stack than there is")
        values = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        return values

    def pop_to_mark(self) -> tuple[Any, ...]:
        return self.pop(len(self.stack) - self.marks.pop())

    def name(self) -> None:
        module, name = (self.file.readline(_LONGEST_NAME).decode("ascii").removesuffix("\n") for _ in range(2))
        text = f"{module} {name}"
        if text not in _NAMES:
            raise DataError(f"it wants {module}.{name}, which no pickle of plain data needs")
        self.push(_Name(text))

    def extend(self, values: tuple[Any, ...]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise DataError("it appends to what is no list")
        target.extend(map(_finished, values))

    def set_items(self, values: tuple[Any, ...]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise DataError("it sets items of what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, bytes | int):
                raise DataError("it has a key that is neither a text nor a number")
            target[key.decode("ascii") if isinstance(key, bytes) else key] = _finished(value)

    def begin(self) -> None:
        match self.pop(2):
            case _Name("collections defaultdict"), (_Name("__builtin__ list"),):
                self.push({})
            case _Name(text), tuple(arguments):
                self.push(_Unbuilt(text, arguments))
            case _:
                raise DataError("it calls what is no name")

    def build(self) -> None:
        unbuilt, state = self.pop(2)
        built = _build(unbuilt, state)
        self.push(built)
        self.memo.update({key: built for key, value in self.memo.items() if value is unbuilt})


# What a pickler of protocol 2 writes for the data above, and nothing else.
_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),  # NEWTRUE
    b"\x89": lambda machine: machine.push(False),  # NEWFALSE
    b"K": lambda machine: machine.push(machine.number(1)),  # BININT1
    b"M": lambda machine: machine.push(machine.number(2)),  # BININT2
    b"J": lambda machine: machine.push(machine.number(4, signed=True)),  # BININT
    b"U": lambda machine: machine.push(machine.take(machine.number(1))),  # SHORT_BINSTRING
    b"T": lambda machine: machine.push(machine.take(machine.number(4, signed=True))),  # BINSTRING
    b"]": lambda machine: machine.push([]),  # EMPTY_LIST
    b"}": lambda machine: machine.push({}),  # EMPTY_DICT
    b")": lambda machine: machine.push(()),  # EMPTY_TUPLE
    b"\x85": lambda machine: machine.push(machine.pop(1)),  # TUPLE1
    b"\x86": lambda machine: machine.push(machine.pop(2)),  # TUPLE2
    b"\x87": lambda machine: machine.push(machine.pop(3)),  # TUPLE3
    b"(": lambda machine: machine.marks.append(len(machine.stack)),  # MARK
    b"t": lambda machine: machine.push(machine.pop_to_mark()),  # TUPLE
    b"a": lambda machine: machine.extend(machine.pop(1)),  # APPEND
    b"e": lambda machine: machine.extend(machine.pop_to_mark()),  # APPENDS
    b"s": lambda machine: machine.set_items(machine.pop(2)),  # SETITEM
    b"u": lambda machine: machine.set_items(machine.pop_to_mark()),  # SETITEMS
    b"q": lambda machine: machine.memo.update({machine.number(1): machine.stack[-1]}),  # BINPUT
    b"r": lambda machine: machine.memo.update({machine.number(4): machine.stack[-1]}),  # LONG_BINPUT
    b"h": lambda machine: machine.push(machine.memo[machine.number(1)]),  # BINGET
    b"j": lambda machine: machine.push(machine.memo[machine.number(4)]),  # LONG_BINGET
    b"c": _Machine.name,  # GLOBAL
    b"R": _Machine.begin,  # REDUCE
    b"\x81": _Machine.begin,  # NEWOBJ
    b"b": _Machine.build,  # BUILD
}


def _finished(value: Any) -> Any:
    if isinstance(value, _Name | _Unbuilt):
        raise DataError("it has an object that is not described to its end")
    return value


def _build(unbuilt: Any, state: Any) -> Any:
    """Return the object that a file describes, if it is a type of numbers, an array of them, or a sparse matrix."""
    match unbuilt, state:
        case (
            _Unbuilt("numpy dtype", (bytes(code), 0, 1)),
            (3, b"<" | b">" | b"|" as order, None, None, None, -1, -1, 0),
        ) if code in _NUMBERS:
            return np.dtype((order + code).decode("ascii"))
        case (
            _Unbuilt("numpy.core.multiarray _reconstruct", (_Name("numpy ndarray"), _, _)),
            (1, tuple(shape), np.dtype() as dtype, is_fortran, bytes(data)),
        ):
            return _array(shape, dtype, "F" if is_fortran else "C", data)
        case _Unbuilt("scipy.sparse.csr csr_matrix", ()), {"_shape": (int(), int()) as shape, **arrays}:
            return _sparse(shape, *(arrays.get(name) for name in ("data", "indices", "indptr")))
    raise DataError("it describes an object in a way that is not known")


def _array(shape: tuple[Any, ...], dtype: np.dtype[Any], order: Any, data: bytes) -> NDArray[Any]:
    fits = all(isinstance(length, int) for length in shape) and math.prod(shape) * dtype.itemsize == len(data)
    if not fits:
        raise DataError(f"the bytes of an array of {dtype} are not as many as its shape wants")
    return np.ndarray(shape, dtype, data, order=order)


def _sparse(shape: tuple[int, int], *parts: Any) -> Any:
    from scipy.sparse import csr_array

    if not all(isinstance(part, np.ndarray) and part.ndim == 1 for part in parts):
        raise DataError("a sparse matrix consists of the arrays data, indices and indptr")
    if any(part.dtype.kind not in "iu" for part in parts[1:]):
        raise DataError("the indices of a sparse matrix are integers")
    matrix = csr_array(parts, shape=shape, copy=True)
    matrix.check_format(full_check=True)
    return matrix
