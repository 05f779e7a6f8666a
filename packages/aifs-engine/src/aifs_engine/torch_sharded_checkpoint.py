"""Checkpoints of a model in shards: each process writes its own, and the first one what holds them together.

    FOLDER/checkpoint.head      what `aifs_engine.checkpoint.save_checkpoint` writes: the header, the arrays that all
                                processes have, and where the shards are; written last
    FOLDER/previous.head        the one before it
    FOLDER/shards-NAME/         the shards, a safetensors file of each process

A checkpoint is there from the moment in which its head is: a crash before that leaves the one before. The head knows
the digest of each shard, so damage is found. Any number of processes can load what any other has saved, and one
process alone can put together what one process would have saved (`consolidate`).

References
----------
"Distributed checkpoint", https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed
from torch.distributed import checkpoint
from torch.distributed.tensor import Replicate, Shard, zeros

from aifs_engine._torch_shard_files import ShardReader, ShardWriter, check_files, read_chunks, torch_errors
from aifs_engine.checkpoint import HEADS, Bfloat16, Checkpoint, load_checkpoint, save_checkpoint
from aifs_engine.torch_sharded_state import Sharded
from aifs_utils.exceptions import CheckpointError
from aifs_utils.files import sync_folder

HEAD, PREVIOUS = HEADS
_SHARDS = "shards-"
_MARK = "$sharded"  # stands in the head's state where a Sharded was

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


def save_sharded(folder: Path | str, state: Mapping[str, Any], header: Mapping[str, Any], *, group: Any = None) -> None:
    """Write a checkpoint, whose place is `folder`; all processes call this alike.

    The checkpoint that was there is kept as the previous one, and the one before that goes.

    Parameters
    ----------
    folder
        The same one for all processes, in a file system that they share.
    state : mapping
        Nested dicts and lists of `Sharded`, arrays, numbers, strings and None. What is not `Sharded` is the first
        process's.
    header : mapping
        What a reader wants to know, as JSON has it.
    group : ProcessGroup, optional
        By which the processes agree.

    Raises
    ------
    CheckpointError
        In all processes, if one could not write its part.
    """
    folder = Path(folder)
    leaves: dict[str, Any] = {}
    skeleton = _marked(dict(state), (), leaves)
    shards = folder / _from_first(lambda: _new_shards(folder), group)
    writer = ShardWriter(shards)
    with torch_errors():
        checkpoint.save(leaves, storage_writer=writer, process_group=group)

    def finish() -> None:
        sync_folder(shards)
        content = {"state": skeleton, "shards": {"folder": shards.name, "digests": writer.digests}}
        save_checkpoint(folder / HEAD, content, header, backup=folder / PREVIOUS)
        _remove_unused(folder)

    _from_first(finish, group)


def load_sharded(
    folder: Path | str, mesh: Any, *, name: str = HEAD, group: Any = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint into the shards of this number of processes; all of them call this alike.

    Parameters
    ----------
    folder
        What `save_sharded` was given.
    mesh : DeviceMesh
        The processes, as `aifs_engine.torch_fsdp.Shards` has them.
    name
        `HEAD`, or `PREVIOUS` for the one before.
    group : ProcessGroup, optional
        By which the processes agree.

    Returns
    -------
    state, header : dict
        As they were saved; the leaves are `Sharded` as a model on this mesh is.

    Raises
    ------
    CheckpointError
        In all processes, if the checkpoint is missing or damaged.
    """
    rank, size = distributed.get_rank(group), distributed.get_world_size(group)
    damages = [""] * size
    distributed.all_gather_object(damages, _damage(folder, name, rank, size), group=group)
    _raise_if(next(filter(None, damages), ""))
    head, shards = _head(folder, name)
    leaves: dict[str, Any] = {}

    def unmark(mark: dict[str, Any]) -> Sharded:
        pieces = [_empty(shape, _dtype(mark), mesh) for shape in mark["shapes"]]
        leaves.update(zip(mark["keys"], pieces, strict=True))
        return Sharded(tuple(mark["names"]), pieces, mark["flat"])

    state = _unmarked(head.state["state"], unmark)
    with torch_errors():
        checkpoint.load(leaves, storage_reader=ShardReader(shards, _digests(head)), process_group=group)
    return state, head.header


def load_newest(folder: Path | str, mesh: Any, *, group: Any = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The newest checkpoint in `folder` that is whole, as `load_sharded` reads it, or None.

    A damaged one is named in a warning and put aside as ``….damaged``, so that it never replaces the one before it.
    """
    for path in (Path(folder, HEAD), Path(folder, PREVIOUS)):
        if _from_first(path.exists, group):
            try:
                return load_sharded(folder, mesh, name=path.name, group=group)
            except CheckpointError as error:
                logger.warning("%s", error)
                _from_first(partial(path.replace, path.with_name(f"{path.name}.damaged")), group)
    return None


def consolidate(folder: Path | str, *, name: str = HEAD) -> Checkpoint:
    """Put a checkpoint together to what one process would have saved; no other process takes part.

    Parameters
    ----------
    folder
        What `save_sharded` was given.
    name
        `HEAD`, or `PREVIOUS` for the one before.

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or damaged.
    """
    _raise_if(_damage(folder, name))
    head, shards = _head(folder, name)
    wholes: dict[str, Any] = {}

    def unmark(mark: dict[str, Any]) -> Any:
        sizes = [math.prod(shape) for shape in mark["shapes"]]
        is_bfloat16 = mark["dtype"] == "bfloat16"
        values = np.empty(sum(sizes), "uint16" if is_bfloat16 else mark["dtype"])
        for key, shape, part in zip(mark["keys"], mark["shapes"], np.split(values, np.cumsum(sizes)[:-1]), strict=True):
            wholes[key] = part.reshape(shape)  # of the same memory: the pieces are read to where they belong
        whole = values if mark["flat"] else values.reshape(mark["shapes"][0])
        return Bfloat16(whole) if is_bfloat16 else whole

    state = _unmarked(head.state["state"], unmark)
    for key, offsets, _, chunk in read_chunks(shards, _digests(head)):
        place = tuple(slice(o, o + n) for o, n in zip(offsets, chunk.shape, strict=True))
        wholes[key][place] = chunk.bits if isinstance(chunk, Bfloat16) else chunk
    return Checkpoint(head.path, head.header, state)


def consolidate_newest(folder: Path | str) -> Checkpoint:
    """The newest checkpoint in `folder` that is whole, as `consolidate` puts it together.

    Raises
    ------
    CheckpointError
        If none is.
    """
    try:
        return consolidate(folder)
    except CheckpointError as error:
        logger.warning("%s", error)
        return consolidate(folder, name=PREVIOUS)


def read_sharded_header(folder: Path | str, *, name: str = HEAD) -> dict[str, Any]:
    """The header of a checkpoint.

    Raises
    ------
    CheckpointError
        If the checkpoint's head is missing or damaged.
    """
    return _head(folder, name)[0].header


def is_whole(folder: Path | str, *, name: str = HEAD) -> bool:
    """Whether there is a checkpoint in `folder` that nothing has happened to. Reads all of it."""
    return not _damage(folder, name)


def _marked(value: Any, path: tuple[str, ...], leaves: dict[str, Any]) -> Any:
    """A nest with marks in the place of its `Sharded`, whose pieces go to `leaves`."""
    if isinstance(value, Sharded):
        key = ".".join(path)
        keys = [f"{key}.{number}" for number in range(len(value.pieces))] if value.flat else [key]
        while not leaves.keys().isdisjoint(keys):  # "a.b" and "b" within "a"
            keys = [f"{key}~" for key in keys]
        leaves.update(zip(keys, value.pieces, strict=True))
        dtype = str(value.pieces[0].dtype).removeprefix("torch.")
        shapes = [list(piece.shape) for piece in value.pieces]
        return {_MARK: {"keys": keys, "names": value.names, "flat": value.flat, "shapes": shapes, "dtype": dtype}}
    if isinstance(value, Mapping):
        return {key: _marked(item, (*path, str(key)), leaves) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item, (*path, str(number)), leaves) for number, item in enumerate(value)]
    return value


def _unmarked(value: Any, unmark: Callable[[dict[str, Any]], Any]) -> Any:
    """A nest with `unmark` of each mark in its place."""
    if isinstance(value, Mapping):
        return unmark(value[_MARK]) if _MARK in value else {key: _unmarked(item, unmark) for key, item in value.items()}
    return [_unmarked(item, unmark) for item in value] if isinstance(value, list) else value


def _dtype(mark: Mapping[str, Any]) -> Any:
    return getattr(torch, mark["dtype"])


def _empty(shape: list[int], dtype: Any, mesh: Any) -> Any:
    return zeros(*shape, dtype=dtype, device_mesh=mesh, placements=[Shard(0) if shape else Replicate()])


def _head(folder: Path | str, name: str) -> tuple[Checkpoint, Path]:
    """A checkpoint's head, and the folder of its shards."""
    head = load_checkpoint(Path(folder, name))
    if "shards" not in head.state:
        raise CheckpointError(f"{head.path} is no head of a checkpoint in shards: load it with load_checkpoint")
    return head, Path(folder, head.state["shards"]["folder"])


def _digests(head: Checkpoint) -> dict[str, str]:
    """By the name of each shard the digest that it had when it was written."""
    digests: dict[str, str] = head.state["shards"]["digests"]
    return digests


def _damage(folder: Path | str, name: str, rank: int = 0, size: int = 1) -> str:
    """What is wrong with a head, or with this process's share of the shards; "" if nothing is."""
    try:
        head, shards = _head(folder, name)
    except CheckpointError as error:
        return str(error)
    return check_files(shards, dict(list(_digests(head).items())[rank::size]))


def _raise_if(damage: str) -> None:
    if damage:
        raise CheckpointError(damage)


def _new_shards(folder: Path) -> str:
    """Make a folder for shards and return its name; what a save that was cut off has left goes before."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unused(folder)
    shards = folder / f"{_SHARDS}{os.urandom(6).hex()}"
    shards.mkdir()
    return shards.name


def _remove_unused(folder: Path) -> None:
    """Delete shards that no head speaks of."""
    used = set()
    for name in (HEAD, PREVIOUS):
        if (folder / name).exists():
            try:
                used.add(_head(folder, name)[1].name)
            except CheckpointError as error:
                logger.warning("%s; shards without a head are kept", error)
                return
    for shards in folder.glob(f"{_SHARDS}*"):
        if shards.name not in used:
            shutil.rmtree(shards, ignore_errors=True)


def _from_first(function: Callable[[], _T], group: Any) -> _T:
    """Call a function in the first process only, and return its result everywhere, or raise its error."""
    told: list[Any] = [None, None]
    failure: OSError | None = None
    if distributed.get_rank(group) == 0:
        try:
            told[0] = function()
        except OSError as error:
            failure, told[1] = error, str(error)
    distributed.broadcast_object_list(told, group=group, group_src=0)
    if told[1] is not None:
        raise failure or CheckpointError(f"the first process could not write the checkpoint: {told[1]}")
    result: _T = told[0]
    return result
