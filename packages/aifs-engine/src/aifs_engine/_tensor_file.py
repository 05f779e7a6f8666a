"""The file of a checkpoint: safetensors, with one digest over every byte.

    8 bytes   n, the length of the header, little endian
    n bytes   {"__metadata__": {"digest": "xxh3_128:…", …}, name: {"dtype": …, "shape": …, "data_offsets": …}, …}
    the rest  the values of the tensors, little endian, without gaps

The digest is XXH3 with 128 bits, over the whole file with its own 32 digits as zeros. It stands first in the header, so
it has the same place in every file and is filled in after the values went by. It finds damage; it is no signature.

The format is written here and not by its library, which makes a second copy of all values in memory and could not hash
them on the way. The library reads these files like any others.

References
----------
.. [1] "Safetensors: format", https://github.com/huggingface/safetensors#format
.. [2] Y. Collet, "XXH3", https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from __future__ import annotations

import json
import math
import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import xxhash

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

METADATA = "__metadata__"  # the one name that a tensor cannot have
_DTYPES = {"BOOL": "?"} | {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
_DTYPES |= {f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)} | {"BF16": "<u2"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}

_ALGORITHM = "xxh3_128:"
_BLANK = "0" * 32
_FIRST = 8 + len(json.dumps({METADATA: {"digest": _ALGORITHM}})) - len('"}}')
_DIGITS = slice(_FIRST, _FIRST + len(_BLANK))  # where the digits of the digest stand in every file

_CHUNK = 1 << 18  # bytes that are hashed and copied at a time: they are still in the processor's cache the second time
_ALIGNMENT = 64  # bytes: where the values begin, so that each array is aligned
# Below a megabyte a copy is as fast as a mapping. Windows replaces no file that is mapped, and a run replaces its own.
_MAPPED_FROM = sys.maxsize if os.name == "nt" else 1 << 20


@dataclass(frozen=True, eq=False)
class Bfloat16:
    """Numbers in bfloat16, a type that NumPy lacks, as their bits.

    Parameters
    ----------
    bits : ndarray of uint16, any shape
        The upper half of each number as float32.

    Raises
    ------
    TypeError
        If `bits` is not an array of uint16.
    """

    bits: NDArray[np.uint16]

    def __post_init__(self) -> None:
        if not isinstance(self.bits, np.ndarray) or self.bits.dtype != np.uint16:
            got = getattr(self.bits, "dtype", type(self.bits).__name__)
            raise TypeError(f"the bits of bfloat16 are an array of uint16, got {got}: view the numbers as uint16 first")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.bits.shape

    def to_float32(self) -> NDArray[np.float32]:
        """The same numbers as float32, exactly."""
        halves = np.zeros((*self.shape, 2), dtype="<u2")
        halves[..., 1] = self.bits
        return halves.view("<f4")[..., 0]


Tensor: TypeAlias = "NDArray[Any] | Bfloat16"


def is_storable(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of a dtype, in either byte order, can be written."""
    return dtype.newbyteorder("<") in _NAMES


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write arrays and texts to an empty file, and return the digest of it.

    Values go from where they are to the file, in pieces; only an array that is not contiguous is copied, one at a time.

    Parameters
    ----------
    file
        An empty file that can be written and sought in.
    tensors : mapping of str to ndarray or Bfloat16
        Any shapes; a dtype that `is_storable`.
    metadata : mapping of str to str
        What stands in the header beside the digest.
    """
    # Wide types first: then each array begins at a multiple of its own width.
    arrays = {name: tensor.bits if isinstance(tensor, Bfloat16) else tensor for name, tensor in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header = _header({name: tensors[name] for name in order}, metadata)
    digest = xxhash.xxh3_128(header)
    file.write(header)
    for name in order:
        values = np.ascontiguousarray(arrays[name], dtype=arrays[name].dtype.newbyteorder("<"))
        data = values.reshape(-1).view("uint8").data
        for start in range(0, len(data), _CHUNK):
            digest.update(data[start : start + _CHUNK])
            file.write(data[start : start + _CHUNK])
    file.seek(_DIGITS.start)
    file.write(digest.hexdigest().encode())
    return f"{_ALGORITHM}{digest.hexdigest()}"


def digest_of(file: BufferedReader) -> str:
    """The digest of a file's content, read in pieces; the header's is the same if nothing was changed.

    Any file has one, also one that is not of this format.
    """
    digest = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_CHUNK))
    file.seek(0)
    length = file.readinto(buffer)
    buffer[_DIGITS] = _BLANK.encode()
    while length:
        digest.update(buffer[:length])
        length = file.readinto(buffer)
    return f"{_ALGORITHM}{digest.hexdigest()}"


def read_tensors(file: BufferedReader) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the header's texts and the arrays of a safetensors file.

    Arrays can be written to, and the file stays as it is. Those of a large file lie in private pages of it: they are
    read when they are used, so they survive that the file is replaced, renamed or deleted, but not that another
    program writes into it.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError, RecursionError
        If the file is not of this format, or a dtype is not known.
    """
    data = _data(file)
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    if start > len(data):
        raise ValueError(f"a header of {start - 8} bytes in a file of {len(data)}")
    entries = json.loads(data[8:start].tobytes())
    metadata = entries.pop(METADATA, {})
    tensors: dict[str, Tensor] = {}
    end = start
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = end, start + entry["data_offsets"][1]
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        if [begin - start, math.prod(entry["shape"]) * dtype.itemsize] != [entry["data_offsets"][0], end - begin]:
            raise ValueError(f"the place of tensor {name!r} does not fit its shape")
        values = data[begin:end].view(dtype).reshape(entry["shape"])
        tensors[name] = Bfloat16(values) if entry["dtype"] == "BF16" else values
    if end != len(data):
        raise ValueError(f"{len(data)} bytes, where the header speaks of {end}")
    return metadata, tensors


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The first bytes of a file, with zeros for the digits of the digest."""
    header: dict[str, Any] = {METADATA: {"digest": _ALGORITHM + _BLANK, **metadata}}
    end = 0
    for name, tensor in tensors.items():
        array = tensor.bits if isinstance(tensor, Bfloat16) else tensor
        dtype = "BF16" if isinstance(tensor, Bfloat16) else _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _data(file: BufferedReader) -> NDArray[np.uint8]:
    """All bytes of a file, (size,), that can be written to without changing it."""
    size = os.fstat(file.fileno()).st_size
    if size >= _MAPPED_FROM:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), dtype="uint8")
    file.seek(0)
    return np.fromfile(file, dtype="uint8")
