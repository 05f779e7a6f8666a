"""The files of a checkpoint in shards, as torch.distributed.checkpoint writes and reads them.

Each process writes one safetensors file, with `aifs_engine._tensor_file`. PyTorch's own ``HuggingFaceStorageWriter``
writes such files too, but refuses tied weights, holds a second copy of all values in memory, and knows no digest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import fsync
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import CheckpointException, StorageReader, StorageWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from aifs_engine._tensor_file import Tensor, digest_of, read_tensors, write_tensors
from aifs_engine.torch_state import to_arrays, to_tensors
from aifs_utils.exceptions import CheckpointError

_NOT_OURS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)  # what reading another file may raise
_PLACES = "places"  # the text in a file's header that says where its tensors belong


class ShardWriter(StorageWriter):  # type: ignore[misc, unused-ignore]  # torch may be absent
    """Writes the tensors of each process to a file of its own.

    Parameters
    ----------
    folder
        Exists, and is the same one for all processes.

    Attributes
    ----------
    digests : dict of str to str
        By its name the digest of each file; filled in the first process when all have been written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.digests: dict[str, str] = {}

    def reset(self, checkpoint_id: Any = None) -> None:
        """Nothing is kept from one use to the next."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to prepare."""

    def prepare_local_plan(self, plan: Any) -> Any:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """Tell each process the name of its file."""
        return [replace(plan, storage_data=f"shard-{rank:05d}.safetensors") for rank, plan in enumerate(plans)]

    def write_data(self, plan: Any, planner: Any) -> Any:
        """Write the tensors of this process; the file is on the disk and was read back when this returns."""
        arrays = {item.index.fqn: to_arrays(planner.resolve_data(item)) for item in plan.items}
        places = {
            item.index.fqn: {"offsets": list(item.tensor_data.chunk.offsets), "size": list(item.tensor_data.size)}
            for item in plan.items
        }
        path = self.folder / plan.storage_data
        with path.open("xb") as file:
            digest = write_tensors(file, arrays, {_PLACES: json.dumps(places)})
            file.flush()
            fsync(file.fileno())
        if check_files(self.folder, {path.name: digest}):
            raise CheckpointError(f"{path}: what was read back is not what was written; the disk may be failing")
        written = Future()
        written.set_result([WriteResult(item.index, 0, (path.name, digest)) for item in plan.items])
        return written

    def finish(self, metadata: Any, results: list[list[Any]]) -> None:
        """Note the digests; where things are stands in the files themselves."""
        self.digests = dict(result.storage_data for each in results for result in each)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Not found by a checkpoint's name."""
        return False


class ShardReader(StorageReader):  # type: ignore[misc, unused-ignore]  # torch may be absent
    """Reads tensors from the files that any number of processes have written.

    Parameters
    ----------
    folder, names
        The files. Of large ones only what is asked for is read.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        super().__init__()
        self.chunks: dict[Any, Tensor] = {}
        self.tensors: dict[str, Any] = {}
        for key, offsets, size, array in read_chunks(folder, names):
            self.chunks[MetadataIndex(key, offsets)] = array
            properties = TensorProperties(dtype=to_tensors(_rows(array, [slice(0, 0)])).dtype)
            entry = self.tensors.setdefault(key, TensorStorageMetadata(properties, torch.Size(size), []))
            entry.chunks.append(ChunkStorageMetadata(torch.Size(offsets), torch.Size(array.shape)))

    def reset(self, checkpoint_id: Any = None) -> None:
        """Nothing is kept from one use to the next."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
        """What there is, and which part of it each chunk is."""
        return Metadata(state_dict_metadata=self.tensors)

    def set_up_storage_reader(self, metadata: Any, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to prepare."""

    def prepare_local_plan(self, plan: Any) -> Any:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """The plans as they are."""
        return plans

    def read_data(self, plan: Any, planner: Any) -> Any:
        """Copy what each item asks for to where it belongs."""
        for item in plan.items:
            place = [slice(o, o + n) for o, n in zip(item.storage_offsets, item.lengths, strict=True)]
            target = planner.resolve_tensor(item).detach()
            target.copy_(to_tensors(_rows(self.chunks[item.storage_index], place)))
            planner.commit_tensor(item, target)
        done = Future()
        done.set_result(None)
        return done

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Not found by a checkpoint's name."""
        return False


def read_chunks(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, list[int], list[int], Tensor]]:
    """Of each tensor in some files its key, its offsets in the whole one, the whole one's shape, and itself.

    Raises
    ------
    CheckpointError
        If a file is not there or is no shard.
    """
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                texts, tensors = read_tensors(file)
            places: Mapping[str, Any] = json.loads(texts[_PLACES])
        except (OSError, *_NOT_OURS) as error:
            raise CheckpointError(f"{folder / name} is not a shard of a checkpoint ({error})") from error
        for key, tensor in tensors.items():
            yield key, places[key]["offsets"], places[key]["size"], tensor


def check_files(folder: Path, digests: Mapping[str, str]) -> str:
    """What is wrong with files that shall have these digests; "" if nothing is."""
    for name, digest in digests.items():
        try:
            with (folder / name).open("rb") as file:
                found = digest_of(file)
                texts, _ = read_tensors(file)
        except OSError as error:
            return f"{folder / name} cannot be read ({error})"
        except _NOT_OURS as error:
            return f"{folder / name} is damaged ({error})"
        if not found == texts.get("digest") == digest:  # the digits themselves are not part of what they are of
            return f"{folder / name} is damaged: its content does not match its digest"
    return ""


@contextmanager
def torch_errors() -> Iterator[None]:
    """Within the block an error of any process, which torch tells all of, is a CheckpointError; torch's is none.

    Raises
    ------
    CheckpointError
        With the reason that each process gave.
    """
    try:
        yield
    except CheckpointException as error:
        reasons = "; ".join(f"rank {rank}: {failure[0]}" for rank, failure in sorted(error.failures.items()))
        raise CheckpointError(f"the shards were not all written or read ({reasons})") from error


def _rows(array: Any, place: Sequence[slice]) -> Any:
    """A part of an array; all of a number."""
    if hasattr(array, "bits"):
        return type(array)(_rows(array.bits, place))
    return array[tuple(place)] if array.ndim else array
