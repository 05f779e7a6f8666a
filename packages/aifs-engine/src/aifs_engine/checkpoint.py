"""Checkpoints: one safetensors file with the arrays, and a JSON header with everything else. No pickle anywhere.

A checkpoint holds a *header* (what a reader wants to know: model, experiment, config, versions, metrics) and a
*state* (what the run needs to go on: nested dicts and lists of arrays, numbers, strings and None). The state's arrays
become the file's tensors, named by their path (``learner.weights``), so ``safetensors.numpy.load_file`` alone reads a
model's weights.

A file is written under a temporary name, flushed to the disk, read back and compared, and only then renamed. Damage
is found by a SHA-256 digest over header, state and tensors.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

from aifs_utils.exceptions import CheckpointError
from aifs_utils.files import atomic_write

FORMAT_VERSION = 1
SUFFIX = ".safetensors"
_METADATA_KEY = "aifs"
_TENSOR_KEY = "$tensor"  # {"$tensor": path} stands in the JSON state where an array was

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it was read: where from, what it is, and the state to continue from."""

    path: Path
    header: dict[str, Any]
    state: dict[str, Any]


def save_checkpoint(
    path: Path | str, state: Mapping[str, Any], header: Mapping[str, Any], *, backup: Path | None = None
) -> None:
    """Write a checkpoint atomically; the file that stood there becomes `backup` once the new one is known to be good.

    Raises
    ------
    CheckpointError
        If the state holds something that neither JSON nor safetensors can, or the file read back differs.
    OSError
        If the disk refuses (full, read-only); whatever stood at `path` is untouched.
    """
    from safetensors.numpy import save

    path = Path(path)
    tensors: dict[str, NDArray[Any]] = {}
    content = {"format_version": FORMAT_VERSION, **header, "state": _pack(dict(state), (), tensors)}
    content["digest"] = _digest(content, tensors)
    data = save(tensors, metadata={_METADATA_KEY: json.dumps(content)})

    def verify(written: Path) -> None:
        if written.read_bytes() != data:
            raise CheckpointError(f"{path}: what was read back is not what was written; the disk may be failing")
        if backup is not None and path.exists():
            _keep_as(path, backup)

    with atomic_write(path, before_replace=verify) as file:
        file.write(data)


def _keep_as(path: Path, backup: Path) -> None:
    """Give a file a second name, so that there is no moment without the first; where there are no links, rename it."""
    link = path.with_name(f".{backup.name}.{os.urandom(6).hex()}.tmp")
    try:
        link.hardlink_to(path)
    except OSError:
        path.replace(backup)
    else:
        link.replace(backup)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint and check that it is whole.

    Raises
    ------
    CheckpointError
        If there is no such file, it is not one of ours, it is of a newer format, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        content = json.loads(metadata.get(_METADATA_KEY, "null"))
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})") from error
    if not isinstance(content, dict) or "digest" not in content:
        raise CheckpointError(f"{path} holds tensors but no aifs header: it is not a checkpoint of this engine")
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {content.get('format_version')}, this engine reads {FORMAT_VERSION}: update aifs-engine"
        )
    if _digest({name: value for name, value in content.items() if name != "digest"}, tensors) != content["digest"]:
        raise CheckpointError(f"{path} is damaged: its content does not match its digest")
    return Checkpoint(path, content, _unpack(content.pop("state"), tensors))


class CheckpointFolder:
    """The checkpoints of one run: ``last``, the one before it, ``best``, and those kept by epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.last = self.folder / f"last{SUFFIX}"
        self.previous = self.folder / f"previous{SUFFIX}"
        self.best = self.folder / f"best{SUFFIX}"

    def of_epoch(self, epoch: int) -> Path:
        """Where the checkpoint kept at the end of `epoch` lies."""
        return self.folder / f"epoch-{epoch:04d}{SUFFIX}"

    def save_last(self, state: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Write the newest state; the one before it stays as a fallback."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.last, state, header, backup=self.previous)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None.

        A damaged one is named in a warning and put aside as ``….damaged``, so that it never replaces the one before it.
        """
        found = None
        for path in (self.last, self.previous):
            if found is None and path.exists():
                try:
                    found = load_checkpoint(path)
                except CheckpointError as error:
                    logger.warning("%s", error)
                    path.replace(path.with_suffix(".damaged"))
        if found is not None and found.path != self.last:
            logger.warning("going on from the checkpoint before it, %s (step %s)", found.path, found.header.get("step"))
        return found


def find_checkpoints(folder: Path) -> list[Path]:
    """Every checkpoint file below `folder`, newest first."""
    return sorted(folder.rglob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)


def check_shapes(expected: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> None:
    """Compare a learner's fresh state with that of a checkpoint.

    Raises
    ------
    CheckpointError
        If the two have different parts, or an array is missing or has another shape.
    """
    if set(found) != set(expected):
        raise CheckpointError(
            f"{path} is from another model or variant: it holds {', '.join(found) or 'nothing'}, "
            f"this experiment needs {', '.join(expected)}"
        )
    fresh: dict[str, NDArray[Any]] = {}
    saved: dict[str, NDArray[Any]] = {}
    _pack(dict(expected), (), fresh)
    _pack(dict(found), (), saved)
    for name, array in fresh.items():
        if name not in saved:
            raise CheckpointError(f"{path} has no {name!r}: it is from another model or variant")
        if saved[name].shape != array.shape:
            raise CheckpointError(
                f"{path} does not fit: {name!r} has the shape {saved[name].shape}, this experiment needs {array.shape}"
            )


def _pack(value: Any, path: tuple[str, ...], tensors: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON, its arrays moved to `tensors`."""
    if isinstance(value, np.ndarray | np.generic):
        name = ".".join(path) or "value"
        while name in tensors:  # "a.b" and "b" within "a"
            name += "~"
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise CheckpointError(f"the state's {name!r} has the dtype {value.dtype}, which a checkpoint cannot hold")
        native = value.astype(value.dtype.newbyteorder("="), copy=False)
        tensors[name] = np.ascontiguousarray(native) if value.ndim else np.array(native)
        return {_TENSOR_KEY: name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key != _TENSOR_KEY for key in value):
            raise CheckpointError(f"the state's {'.'.join(path)!r} has keys that are not names: {list(value)[:3]}")
        return {key: _pack(item, (*path, key), tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pack(item, (*path, str(index)), tensors) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(f"the state's {'.'.join(path)!r} is a {type(value).__name__}; a checkpoint cannot hold it")


def _unpack(value: Any, tensors: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if _TENSOR_KEY in value:
            return tensors[value[_TENSOR_KEY]]
        return {key: _unpack(item, tensors) for key, item in value.items()}
    return [_unpack(item, tensors) for item in value] if isinstance(value, list) else value


def _digest(content: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    from hashlib import sha256

    digest = sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data if math.prod(array.shape) else b"")
    return f"sha256:{digest.hexdigest()}"
