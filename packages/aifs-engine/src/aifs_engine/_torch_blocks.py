"""Blocks: the parameters of a group, with what an optimizer keeps of them in flat vectors.

A network has many small parameters and its update is a handful of equations. Parameter by parameter, most of a step
goes into calling PyTorch. So the parameters stay where they are, while their gradients, and what the equations remember
(a velocity, moments), lie end to end in flat vectors: an equation is one call then, whatever the number of layers.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from aifs_utils.exceptions import CheckpointError, ModelError

Group = dict[str, Any]  # "params" and the options; schedulers write into it


class _Vectors(dict[str, Tensor]):
    """Flat vectors by name, each of zeros when it is first asked for."""

    def __init__(self, params: list[Tensor]) -> None:
        self.params = params

    def __missing__(self, name: str) -> Tensor:
        like = self.params[0]
        n_values = sum(param.numel() for param in self.params)
        self[name] = torch.zeros(n_values, dtype=like.dtype, device=like.device)
        return self[name]


class _Views(dict[str, list[Tensor]]):
    """The parts of flat vectors by name, in the shapes of the parameters."""

    def __init__(self, vectors: _Vectors) -> None:
        self.vectors = vectors

    def __missing__(self, name: str) -> list[Tensor]:
        params = self.vectors.params
        parts = torch.split(self.vectors[name], [param.numel() for param in params])
        self[name] = [part.view(param.shape) for part, param in zip(parts, params, strict=True)]
        return self[name]


class Block:
    """Parameters of one group, dtype and device that have had their gradients together so far.

    Attributes
    ----------
    group : dict
        The parameter group that they belong to.
    params : list of Tensor
        The parameters.
    step : int
        Their updates so far.
    gradients : list of Tensor
        While a step is being made: each parameter's own gradient, or, once gathered, the views of the flat one.
    vectors, views : dict
        By name a flat vector (n_values,), and its parts in the shapes of the parameters.
    """

    def __init__(self, group: Group, params: list[Tensor], step: int = 0) -> None:
        self.group = group
        self.params = params
        self.step = step
        self.gradients: list[Tensor] = []
        self.vectors = _Vectors(params)
        self.views = _Views(self.vectors)

    def gather(self) -> None:
        """Copy the gradients into ``vectors["gradient"]``, where the equations may change them."""
        views = self.views["gradient"]
        torch._foreach_copy_(views, self.gradients)
        self.gradients = views

    def remembered(self) -> dict[str, Tensor]:
        """The vectors that the next step depends on."""
        return {name: vector for name, vector in self.vectors.items() if name != "gradient"}

    def parted(self) -> list["Block"]:
        """The block itself, or, where only some of its parameters have a gradient, those with one and those without."""
        present = [param.grad is not None for param in self.params]
        if all(present) or not any(present):
            return [self]
        return [self._part(present), self._part([not has_gradient for has_gradient in present])]

    def _part(self, chosen: list[bool]) -> "Block":
        part = Block(self.group, list(compress(self.params, chosen)), self.step)
        for name in self.remembered():
            torch._foreach_copy_(part.views[name], list(compress(self.views[name], chosen)))
        return part


def new_blocks(groups: Sequence[Group]) -> list[Block]:
    """Return one block for each group, dtype and device."""
    parts: dict[tuple[Any, ...], list[Tensor]] = {}
    for number, param, _ in _numbered(groups):
        parts.setdefault((number, param.dtype, param.device), []).append(param)
    return [Block(groups[number], params) for (number, *_), params in parts.items()]


def _numbered(groups: Sequence[Group]) -> list[tuple[int, Tensor, Group]]:
    """Return each parameter of all groups, with the number of its group and the group."""
    return [(number, param, group) for number, group in enumerate(groups) for param in group["params"]]


def check_params(params: Sequence[Any], known: Collection[Tensor]) -> None:
    """Refuse what cannot be optimized.

    Raises
    ------
    ModelError
        If a parameter is no floating-point leaf tensor, or stands among `params` or `known` already.
    """
    seen = {id(param) for param in known}
    for param in params:
        if not isinstance(param, Tensor):
            raise ModelError(f"an optimizer takes tensors, such as model.parameters(); got a {type(param).__name__}")
        if not param.is_leaf:
            raise ModelError("an optimizer takes parameters; got a tensor that was computed from others")
        if not param.is_floating_point():
            raise ModelError(f"the optimizer is for real parameters; got one of {param.dtype}")
        if id(param) in seen:
            raise ModelError(f"a parameter of the shape {tuple(param.shape)} is given to the optimizer twice")
        seen.add(id(param))


def refuse_sparse(gradients: Sequence[Tensor]) -> None:
    """Raise ModelError if a gradient is sparse."""
    for gradient in gradients:
        if gradient.layout is not torch.strided:
            raise ModelError(
                f"the optimizer is for dense gradients; one of the shape {tuple(gradient.shape)} is {gradient.layout}. "
                "Build the embedding with sparse=False, or use torch.optim.SparseAdam"
            )


def blocks_state(blocks: Sequence[Block], groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return for each block the positions of its parameters, counted through all groups, its step and its vectors."""
    position = {id(param): index for index, (_, param, _) in enumerate(_numbered(groups))}
    return [
        {"params": [position[id(param)] for param in block.params], "step": block.step, **block.remembered()}
        for block in blocks
    ]


def load_blocks(
    state: Sequence[Mapping[str, Any]], groups: Sequence[Group], memories: Collection[set[str]]
) -> list[Block]:
    """Return the blocks that `blocks_state` described.

    The blocks, and not only their values, are restored: a norm over a flat vector adds up in the vector's order.

    Parameters
    ----------
    state
        What `blocks_state` returned; the vectors may be tensors or NumPy arrays, and are copied.
    groups
        The parameter groups of the optimizer.
    memories
        The sets of vectors that the optimizer may remember of a block that it has updated.

    Raises
    ------
    CheckpointError
        If the state is for other parameters or from another optimizer.
    """
    params = _numbered(groups)
    positions = sorted(index for entry in state for index in entry["params"])
    if state and positions != list(range(len(params))):
        raise CheckpointError(f"the state is for {len(positions)} parameters, the optimizer has {len(params)}")
    return [_load_block(entry, [params[index] for index in entry["params"]], memories) for entry in state]


def _load_block(
    entry: Mapping[str, Any], params: list[tuple[int, Tensor, Group]], memories: Collection[set[str]]
) -> Block:
    if len({(number, param.dtype, param.device) for number, param, _ in params}) != 1:
        raise CheckpointError(
            "the state keeps parameters together that differ in group, dtype or device here: "
            "build the optimizer as it was when the state was saved"
        )
    block = Block(params[0][2], [param for _, param, _ in params], entry["step"])
    names = entry.keys() - {"params", "step"}
    if names not in (memories if block.step else [set()]):
        expected = " or ".join(" and ".join(sorted(memory)) or "nothing" for memory in memories)
        raise CheckpointError(
            f"the state remembers {' and '.join(sorted(names)) or 'nothing'} after {block.step} steps, this optimizer "
            f"remembers {expected}: it is from another optimizer"
        )
    for name in sorted(names):
        saved, vector = torch.as_tensor(entry[name]), block.vectors[name]
        if saved.shape != vector.shape:
            raise CheckpointError(
                f"the state's {name} has the shape {tuple(saved.shape)}, these parameters need {tuple(vector.shape)}"
            )
        vector.copy_(saved)
    return block
