"""States of a model in shards: the nests of one process, with `Sharded` in the place of arrays that lie in pieces.

    model.state_dict()      → model_state        ┐
    optimizer.state_dict()  → optimizer_state    ├→ nest → local_state, module_tensors: what loading takes
    arrays of one process   → slice_…            ┘       → full_state: arrays, as one process has them

`aifs_engine.torch_sharded_checkpoint` writes and reads such nests.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from aifs_engine.checkpoint import Bfloat16
from aifs_engine.torch_fsdp import Shards, from_part, local_part
from aifs_engine.torch_state import to_arrays, to_tensors
from aifs_utils.exceptions import CheckpointError, ConfigError


@dataclass(frozen=True, eq=False)
class Sharded:
    """An array of a state that lies in pieces in several processes.

    Attributes
    ----------
    names : tuple of str
        The parameters that it belongs to, one for each piece.
    pieces : list of DTensor
        Whole arrays as torch.distributed has them; each process holds its part.
    flat : bool
        Whether the array is the pieces' values end to end, (n_values,), as an optimizer's block has them. Otherwise
        there is one piece, and the array is that.
    """

    names: tuple[str, ...]
    pieces: list[Any]
    flat: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole array."""
        return (sum(piece.numel() for piece in self.pieces),) if self.flat else tuple(self.pieces[0].shape)

    def local(self) -> Any:
        """The part in this process, a Tensor; it shares the memory unless it is flat."""
        return self._joined([local_part(piece) for piece in self.pieces])

    def whole(self) -> Any:
        """The whole array, a Tensor, in each process. All of them have to call this."""
        with torch.no_grad():
            return self._joined([piece.full_tensor() for piece in self.pieces])

    def _joined(self, tensors: list[Any]) -> Any:
        return torch.cat([tensor.reshape(-1) for tensor in tensors]) if self.flat else tensors[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Sharded":
        return Sharded(self.names, [piece.detach().clone() for piece in self.pieces], self.flat)


def map_sharded(state: Any, function: Callable[[Sharded], Any]) -> Any:
    """A nest of dicts and lists with `function` of each `Sharded` in its place."""
    if isinstance(state, Sharded):
        return function(state)
    if isinstance(state, Mapping):
        return {key: map_sharded(item, function) for key, item in state.items()}
    if isinstance(state, list | tuple):
        return [map_sharded(item, function) for item in state]
    return state


def is_sharded(state: Any) -> bool:
    """Whether there is a `Sharded` in a nest."""
    if isinstance(state, Mapping):
        return any(map(is_sharded, state.values()))
    return any(map(is_sharded, state)) if isinstance(state, list | tuple) else isinstance(state, Sharded)


def local_state(state: Any) -> Any:
    """A nest with this process's part of each `Sharded`, as an array: what an optimizer's loading takes."""
    return map_sharded(state, lambda leaf: to_arrays(leaf.local()))


def full_state(state: Any) -> Any:
    """A nest with the whole array of each `Sharded`, in each process. All of them have to call this."""
    return map_sharded(state, lambda leaf: to_arrays(leaf.whole()))


def outline(state: Any) -> Any:
    """A nest with an array of the shape of each `Sharded`, without its values and their memory: to compare shapes."""
    return map_sharded(state, lambda leaf: np.broadcast_to(np.float32(0), leaf.shape))


def sharded(shards: Shards, name: str, values: Any) -> Sharded:
    """Values that each process keeps of its part of a parameter, such as an average, as a leaf of a state.

    Parameters
    ----------
    shards : Shards
    name
        The parameter's.
    values : Tensor
        In the shape of its local part; not copied.
    """
    return Sharded((name,), [shards.whole(shards.locals[name], values)])


def model_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A module's ``state_dict()`` with arrays for its tensors, and `Sharded` for those in shards.

    Nothing is copied: on the CPU, the memory is the module's.
    """
    return {
        name: Sharded((name,), [tensor.detach()]) if isinstance(tensor, DTensor) else to_arrays(tensor)
        for name, tensor in state.items()
    }


def module_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a sharded module's ``load_state_dict`` takes, of a state as `model_state` returns it."""
    return {name: leaf.pieces[0] if isinstance(leaf, Sharded) else to_tensors(leaf) for name, leaf in state.items()}


def optimizer_state(optimizer: Any, shards: Shards) -> dict[str, Any]:
    """The state of an optimizer that has the local parameters, as one process would have it, with leaves in pieces.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        See `Shards.rebind`.
    shards : Shards

    Returns
    -------
    dict
        Arrays, numbers and `Sharded`, sorted, as ``to_arrays(optimizer.state_dict(), sort=True)`` returns them. On the
        CPU, the memory is the optimizer's.

    Raises
    ------
    ConfigError
        If the optimizer's equations are not elementwise: it keeps arrays of another shape than the parameter's.
    """

    def of_block(params: list[Any], values: Any) -> Sharded:
        parts = torch.split(values, [param.numel() for param in params])
        pieces = [shards.whole(param, part.view(param.shape)) for param, part in zip(params, parts, strict=True)]
        return Sharded(tuple(map(shards.name, params)), pieces, flat=True)

    def of_one(param: Any, value: Any) -> Any:
        if not shards.is_cut(param) or not getattr(value, "shape", ()):
            return value
        if value.shape != param.shape:
            raise ConfigError(
                f"the optimizer keeps an array of the shape {tuple(value.shape)} for a shard of {tuple(param.shape)}: "
                "with strategy 'fsdp' its equations must be elementwise, as those of Adam and SGD are"
            )
        return Sharded((shards.name(param),), [shards.whole(param, value)])

    arrays: dict[str, Any] = to_arrays(_map_entries(optimizer, optimizer.state_dict(), of_block, of_one), sort=True)
    return arrays


def slice_optimizer(state: Mapping[str, Any], optimizer: Any, shards: Shards) -> dict[str, Any]:
    """Of an optimizer's state in whole arrays, as one process saves it, the parts of this process.

    Raises
    ------
    CheckpointError
        If an array does not fit the parameters.
    """

    def part(param: Any, values: Any) -> Any:
        _check_shape(values, shards.shape(param), shards.name(param))
        mine = _rows(values, shards) if shards.is_cut(param) else values
        return shards.whole(param, to_tensors(mine).to(param.device))

    def of_block(params: list[Any], values: Any) -> Sharded:
        shapes = [shards.shape(param) for param in params]
        ends = list(accumulate(math.prod(shape) for shape in shapes))
        _check_shape(values, (ends[-1],), "a block of parameters")
        pieces = [
            part(param, _values(values, end - math.prod(shape), end, shape))
            for param, shape, end in zip(params, shapes, ends, strict=True)
        ]
        return Sharded(tuple(map(shards.name, params)), pieces, flat=True)

    def of_one(param: Any, value: Any) -> Any:
        if not shards.is_cut(param) or not getattr(value, "shape", ()):
            return value
        return Sharded((shards.name(param),), [part(param, value)])

    return _map_entries(optimizer, state, of_block, of_one)


def slice_model(state: Mapping[str, Any], model: Any, shards: Shards) -> dict[str, Any]:
    """Of a model's state in whole arrays, as one process saves it, the parts of this process.

    Raises
    ------
    CheckpointError
        If an array does not fit its parameter.
    """

    def part(name: str, array: Any, like: Any) -> Any:
        if not isinstance(like, DTensor):
            return array
        _check_shape(array, tuple(like.shape), name)
        return Sharded((name,), [from_part(to_tensors(_rows(array, shards)).to(like.device), like)])

    likes = model.state_dict()
    return {name: part(name, array, likes.get(name)) for name, array in state.items()}


def _map_entries(
    optimizer: Any, state: Mapping[str, Any], of_block: Callable[..., Any], of_one: Callable[..., Any]
) -> dict[str, Any]:
    """An optimizer's state with other values for what it keeps of its blocks, or of its parameters."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    entries = state["state"]
    if isinstance(entries, list):  # of aifs_engine.torch_optimizers
        mapped: Any = [
            {
                key: value if key in ("params", "step") else of_block([params[i] for i in entry["params"]], value)
                for key, value in entry.items()
            }
            for entry in entries
        ]
    else:
        mapped = {
            number: {key: of_one(params[int(number)], value) for key, value in entry.items()}
            for number, entry in entries.items()
        }
    return {**state, "state": mapped}


def _values(array: Any, start: int, end: int, shape: tuple[int, ...]) -> Any:
    """Values of a flat array in the shape of their parameter."""
    if isinstance(array, Bfloat16):
        return Bfloat16(_values(array.bits, start, end, shape))
    return array[start:end].reshape(shape)


def _rows(array: Any, shards: Shards) -> Any:
    """The rows of an array that are this process's."""
    if isinstance(array, Bfloat16):
        return Bfloat16(_rows(array.bits, shards))
    return array[slice(*shards.rows(len(array)))]


def _check_shape(values: Any, expected: tuple[int, ...], name: str) -> None:
    if tuple(values.shape) != expected:
        raise CheckpointError(
            f"the state has the shape {tuple(values.shape)} for {name}, this model needs {expected}: "
            "it is from another model or variant"
        )
