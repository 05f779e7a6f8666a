"""Checkpoints: one safetensors file with the arrays, and a JSON header with everything else. No pickle anywhere.

A checkpoint holds a *header* (what a reader wants to know: model, experiment, config, versions, metrics) and a
*state* (what the run needs to go on: nested dicts and lists of arrays, numbers, strings and None). The state's arrays
become the file's tensors, named by their path (``learner.weights``), so ``safetensors.numpy.load_file`` alone reads a
model's weights.

A file is written under a temporary name, flushed to the disk, read back and compared, and only then renamed. Damage
is found by a digest over every byte of it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aifs_engine._tensor_file import METADATA, Tensor, digest_of, is_storable, read_tensors, write_tensors
from aifs_engine._tensor_file import Bfloat16 as Bfloat16  # this module offers it
from aifs_utils.exceptions import CheckpointError
from aifs_utils.files import atomic_write

FORMAT_VERSION = 2
SUFFIX = ".safetensors"
HEADS = ("checkpoint.head", "previous.head")  # of a checkpoint in shards, the newer one first
_METADATA_KEY = "aifs"
_TENSOR_KEY = "$tensor"  # {"$tensor": path} stands in the JSON state where an array was
_FOREIGN = "; weights of other programs are read by aifs_engine.foreign_weights.load_foreign_weights"

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

    Known to be good: the file was flushed to the disk, and what the system gives back for it has the digest of what was
    handed to it. This finds a short write, a file system that loses bytes, and a state that another thread changed
    meanwhile. It is read from the system's cache, so a disk that keeps other bytes than it was sent is found when the
    file is loaded, and not here; the one before it is kept for that.

    Parameters
    ----------
    path
        Where it goes; the folder must exist.
    state : mapping
        Nested dicts and lists of arrays, `Bfloat16`, numbers, strings and None. Arrays are not copied.
    header : mapping
        What a reader wants to know, as JSON has it.
    backup
        A second name for the file that stood at `path`.

    Raises
    ------
    CheckpointError
        If the state holds something that neither JSON nor safetensors can, or the file read back differs.
    OSError
        If the disk refuses (full, read-only); whatever stood at `path` is untouched.
    """
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    content = {"format_version": FORMAT_VERSION, **header, "state": _pack(dict(state), (), tensors)}

    def verify(written: Path) -> None:
        with written.open("rb") as file:
            found = digest_of(file)
        if found != digest:
            raise CheckpointError(f"{path}: what was read back is not what was written; the disk may be failing")
        if backup is not None and path.exists():
            _keep_as(path, backup)

    with atomic_write(path, before_replace=verify) as file:
        digest = write_tensors(file, tensors, {_METADATA_KEY: json.dumps(content)})


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

    Its arrays can be written to, which leaves the file as it is. Those of a file of a megabyte or more are not copied
    (except on Windows): they lie in private pages of the file, which the system reads when they are used. Replacing,
    renaming or deleting the file does not touch them; a program that writes into it does. Copy what shall outlive that.

    Raises
    ------
    CheckpointError
        If there is no such file, it is not one of ours, it is of another format, or it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with path.open("rb") as file:
            digest = digest_of(file)  # by reading, where a bad sector is an error; in pages of the file it is a crash
            metadata, tensors = read_tensors(file)
        content = json.loads(metadata.get(_METADATA_KEY, "null"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        hint = _FOREIGN if path.suffix in (".pt", ".pth") else ""
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error}){hint}") from error
    if not isinstance(content, dict) or "state" not in content:
        raise CheckpointError(
            f"{path} holds tensors but no aifs header: it is not a checkpoint of this engine{_FOREIGN}"
        )
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {content.get('format_version')}, this engine reads {FORMAT_VERSION}: "
            "use the version of aifs-engine that wrote it"
        )
    if metadata.get("digest") != digest:
        raise CheckpointError(f"{path} is damaged: its content does not match its digest")
    content["digest"] = digest
    return Checkpoint(path, content, _unpack(content.pop("state"), tensors))


class CheckpointFolder:
    """The checkpoints of one run: ``last``, the one before it, ``best``, and those kept by epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.last = self.folder / f"last{SUFFIX}"
        self.previous = self.folder / f"previous{SUFFIX}"
        self.best = self.folder / f"best{SUFFIX}"
        self.shards = self.folder / "shards"  # of a run in which each process has a part of the weights

    def of_epoch(self, epoch: int) -> Path:
        """Where the checkpoint kept at the end of `epoch` lies."""
        return self.folder / f"epoch-{epoch:04d}{SUFFIX}"

    def save_last(self, state: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Write the newest state; the one before it stays as a fallback."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.last, state, header, backup=self.previous)

    def remove_shards(self) -> None:
        """Remove the checkpoint in shards, if there is one."""
        if self.shards.exists():
            shutil.rmtree(self.shards)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None.

        A damaged one is named in a warning and put aside as ``….damaged``, so that it never replaces the one before it.
        Of one in shards this is the head: `is_head` says so, and its state has marks where arrays lie in shards.
        """
        found, head = self._newest_file(), self._newest_head()
        if head is not None and (found is None or head.header.get("step", 0) > found.header.get("step", 0)):
            return head
        return found

    def _newest_head(self) -> Checkpoint | None:
        for name in HEADS:
            if (self.shards / name).exists():
                try:
                    head = load_checkpoint(self.shards / name)
                except CheckpointError as error:
                    logger.warning("%s", error)
                else:
                    return Checkpoint(head.path, head.header, head.state["state"])
        return None

    def _newest_file(self) -> Checkpoint | None:
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


def is_head(checkpoint: Checkpoint) -> bool:
    """Whether it is only the head of a checkpoint in shards, see `aifs_engine.torch_sharded_checkpoint`."""
    return checkpoint.path.name in HEADS


def find_checkpoints(folder: Path) -> list[Path]:
    """Every checkpoint file below `folder`, newest first."""
    found = [path for path in folder.rglob(f"*{SUFFIX}") if not path.parent.name.startswith("shards-")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def check_shapes(expected: Mapping[str, Any], found: Mapping[str, Any], path: Path | str) -> None:
    """Compare a learner's fresh state with that of a checkpoint, which messages call by its path.

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
    fresh: dict[str, Tensor] = {}
    saved: dict[str, Tensor] = {}
    _pack(dict(expected), (), fresh)
    _pack(dict(found), (), saved)
    for name, array in fresh.items():
        if name not in saved:
            raise CheckpointError(f"{path} has no {name!r}: it is from another model or variant")
        if saved[name].shape != array.shape:
            raise CheckpointError(
                f"{path} does not fit: {name!r} has the shape {saved[name].shape}, this experiment needs {array.shape}"
            )


def _pack(value: Any, path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, its arrays moved to `tensors`."""
    if isinstance(value, np.ndarray | np.generic | Bfloat16):
        name = ".".join(path) or "value"
        while name in tensors or name == METADATA:  # "a.b" and "b" within "a"
            name += "~"
        if not isinstance(value, Bfloat16) and not is_storable(value.dtype):
            raise CheckpointError(f"the state's {name!r} has the dtype {value.dtype}, which a checkpoint cannot hold")
        tensors[name] = value if isinstance(value, Bfloat16) else np.asarray(value)
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


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR_KEY in value:
            return tensors[value[_TENSOR_KEY]]
        return {key: _unpack(item, tensors) for key, item in value.items()}
    return [_unpack(item, tensors) for item in value] if isinstance(value, list) else value
