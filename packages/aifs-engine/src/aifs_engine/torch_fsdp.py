"""A model in shards: each process keeps a part of every parameter, and of what the optimizer remembers of it.

PyTorch's ``fully_shard`` (FSDP2) cuts parameters along their first dimension and brings a block's weights together
while they are needed. What is added here:

- which modules are blocks (`shard_model`);
- parameters for optimizers, plain tensors in the shards' memory (`Shards`): the optimizers of this package keep flat
  vectors, and elementwise equations need not know that there are other processes.

States are the matter of `aifs_engine.torch_sharded_state`.

This module imports the parts of torch.distributed that ``import torch`` does not; import it where it is used.

References
----------
Rajbhandari et al. "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", SC 2020, arXiv:1910.02054.
Zhao et al. "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", PVLDB 16 (12), 2023, arXiv:2304.11277.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate

from aifs_utils.exceptions import ConfigError, ModelError

_CONTAINERS = (nn.ModuleList, nn.ModuleDict)  # they have no forward, so nothing could gather their weights
_OF_WHOLE_PARAMETERS = ("Adafactor", "LBFGS", "Muon")  # of torch.optim


def shard_model(model: Any, *, device: Any, precision: str = "fp32", root: Any = None) -> None:
    """Cut a model's parameters into shards, one for each process of torch.distributed.

    The weights of a block are brought together while it computes, those of the rest while the model does. Blocks are
    the modules of the classes in the model's attribute ``shard_units``, a tuple; if it has none, the elements of its
    ModuleLists; if there are none of these, its children. A block whose parameters are also used elsewhere (tied
    weights) is left to the rest. A block's parameters are used within its forward only.

    Parameters
    ----------
    model : torch.nn.Module
        On its device; the same weights in all processes.
    device
        Of the model. With "cuda" each process has set its own as the current one.
    precision : {"fp32", "bf16", "fp16"}
        In "bf16" weights travel, and are computed with, in bfloat16; gradients are averaged in float32. Otherwise
        both are as they are, and autocast decides about the computations.
    root : torch.nn.Module, optional
        What is called in each step, if it is not the model but has it inside.

    Raises
    ------
    ModelError
        If parameters belong to a ModuleList or ModuleDict that is itself called in each step.
    """
    size = torch.distributed.get_world_size()
    options: dict[str, Any] = {
        "mesh": init_device_mesh(torch.device(device).type, (size,)),
        # A single number cannot be cut: `Shards` averages its gradient.
        "ignored_params": {parameter for parameter in model.parameters() if parameter.ndim == 0},
    }
    if precision == "bf16":
        options["mp_policy"] = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in _blocks(model):
        fully_shard(block, **options)
    if root is not None or not isinstance(model, _CONTAINERS):
        fully_shard(model if root is None else root, **options)
    elif not all(isinstance(parameter, DTensor) or parameter.ndim == 0 for parameter in model.parameters()):
        raise ModelError(
            f"a {type(model).__name__} has no forward that could bring its own or tied parameters together: "
            "make it a module with a forward, whose blocks shard_units names"
        )
    _gather_once(model if root is None else root)


def _gather_once(model: Any) -> None:
    """Bring each block's weights together: their memory is made now, and not in a first forward in inference mode.

    What is made there cannot be written to outside of it, so no training could follow.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.unshard()
            module.reshard()


def _blocks(model: Any) -> list[Any]:
    """The modules that are sharded by themselves, inner ones first."""
    classes = getattr(model, "shard_units", None)
    inside: set[int] = set()
    if classes is not None:
        found: list[Any] = [module for module in model.modules() if isinstance(module, tuple(classes))]
    else:
        lists: list[Any] = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
        found = [element for each in lists for element in _elements(each)] or list(_elements(model))
        inside = {id(part) for module in found for part in module.modules() if part is not module}
    uses = _names(model.named_parameters(remove_duplicate=False))
    paths = _names(model.named_modules(remove_duplicate=False))
    blocks = {
        id(module): module
        for module in reversed(found)
        if module is not model and id(module) not in inside and _is_alone(module, paths[id(module)], uses)
    }
    return list(blocks.values())


def _elements(module: Any) -> Iterator[Any]:
    """The children that have a forward and parameters."""
    for child in module.children():
        if isinstance(child, _CONTAINERS):
            yield from _elements(child)
        elif any(True for _ in child.parameters()):
            yield child


def _names(named: Iterator[tuple[str, Any]]) -> dict[int, list[str]]:
    """All names of each thing, by its id."""
    names: dict[int, list[str]] = {}
    for name, thing in named:
        names.setdefault(id(thing), []).append(name)
    return names


def _is_alone(block: Any, paths: Sequence[str], uses: Mapping[int, Sequence[str]]) -> bool:
    """Whether nothing outside of a block uses its parameters."""
    within = tuple(f"{path}." for path in paths)
    return all(name.startswith(within) for parameter in block.parameters() for name in uses[id(parameter)])


def sync_gradients(model: Any, enabled: bool) -> None:
    """Choose whether the next backward passes average gradients, or keep their sums: a window of accumulation."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(enabled, recurse=False)


def reshard(model: Any) -> None:
    """Let go of weights that were brought together.

    The last ones of a forward without backward are kept; call this before shards are changed otherwise than by an
    update, or the next forward would take the old ones.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


class Shards:
    """The shards of a model's parameters in this process, as parameters of their own, for an optimizer.

    Each shares the memory of its DTensor's part, so whoever changes one changes the other.

    Parameters
    ----------
    model : torch.nn.Module
        After `shard_model`, before its first forward.
    names : sequence of str, optional
        Of parameters; by default all.

    Attributes
    ----------
    locals : dict of str to Parameter
        By name this process's part, which is empty where there are fewer rows than processes.
    mesh : DeviceMesh
        The processes.

    Raises
    ------
    ModelError
        If the model has no parameter that was cut.
    """

    def __init__(self, model: Any, names: Sequence[str] | None = None) -> None:
        parameters = dict(model.named_parameters())
        meshes = [parameter.device_mesh for parameter in parameters.values() if isinstance(parameter, DTensor)]
        if not meshes:
            raise ModelError("the model has no parameter in shards: call shard_model first, on one that has vectors")
        self.mesh = meshes[0]
        self.locals: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._wholes: dict[int, Any] = {}  # of a local parameter its DTensor
        self._copies: list[Any] = []  # parameters that each process has whole
        for name in parameters if names is None else names:
            self._add(name, parameters[name])

    def _add(self, name: str, parameter: Any) -> None:
        if isinstance(parameter, DTensor):
            local = nn.Parameter(local_part(parameter), requires_grad=parameter.requires_grad)
            self._wholes[id(local)] = parameter
        else:
            local = parameter
            self._copies.append(parameter)
        self.locals[name] = local
        self._names[id(local)] = name

    def collect_gradients(self) -> None:
        """Move what the last backward pass found to the gradients of the local parameters; all processes call this.

        What is there already is added to. Gradients of parameters that were not cut are averaged here.
        """
        with torch.no_grad():
            for local in self.locals.values():
                whole = self._wholes.get(id(local))
                if whole is not None and whole.grad is not None:
                    gradient = whole.grad.to_local()
                    local.grad = gradient if local.grad is None else local.grad.add_(gradient)
                    whole.grad = None
            for copy in self._copies:
                if copy.grad is not None:  # the mean of a mean is itself, so a window may be averaged batch by batch
                    torch.distributed.all_reduce(copy.grad, group=self.mesh.get_group())
                    copy.grad.div_(self.mesh.size())

    def rebind(self, optimizer: Any, names_before: Mapping[int, str]) -> None:
        """Give an optimizer the local parameters in place of those that it was built for.

        Its groups stay the same dicts, so a scheduler goes on with them. Parameters without a name, such as a
        criterion's, stay as they are, and `collect_gradients` averages their gradients.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            With elementwise equations, as most of torch's and all of `aifs_engine.torch_optimizers` have.
        names_before : mapping of int to str
            By the ``id`` of a parameter before `shard_model` its name.

        Raises
        ------
        ConfigError
            If its equations are known not to be elementwise; or if it is of `aifs_engine.torch_optimizers` and has
            made updates.
        """
        if type(optimizer).__name__ in _OF_WHOLE_PARAMETERS:
            raise ConfigError(
                f"{type(optimizer).__name__} computes with whole parameters, of which each process has a part: take an "
                "elementwise optimizer such as AdamW, or strategy 'ddp'"
            )
        if isinstance(optimizer.state_dict()["state"], list) and optimizer.state_dict()["state"]:
            raise ConfigError("the optimizer has made updates already: give its state to load_state_dict afterwards")
        for group in optimizer.param_groups:
            for position, before in enumerate(group["params"]):
                name = names_before.get(id(before))
                if name is None:
                    self._copies.append(before)
                    continue
                group["params"][position] = local = self.locals[name]
                if before in optimizer.state:
                    state = optimizer.state.pop(before)
                    optimizer.state[local] = {key: self._cut_like(local, value) for key, value in state.items()}

    def _cut_like(self, local: Any, value: Any) -> Any:
        """Of a parameter's state what belongs to its local part."""
        whole = self._wholes.get(id(local))
        if whole is None or getattr(value, "shape", None) != whole.shape:
            return value
        return value[slice(*self.rows(len(value)))].clone()

    def rows(self, n_rows: int) -> tuple[int, int]:
        """The first row of this process's part, and the one after its last: the rule of torch.chunk."""
        each = -(-n_rows // self.mesh.size())
        rank = self.mesh.get_local_rank()
        return min(rank * each, n_rows), min((rank + 1) * each, n_rows)

    def is_cut(self, local: Any) -> bool:
        """Whether a parameter of the optimizer is a part of one of the model's."""
        return id(local) in self._wholes

    def name(self, local: Any) -> str:
        """The name of a parameter of the optimizer; "" if it is not the model's."""
        return self._names.get(id(local), "")

    def shape(self, local: Any) -> tuple[int, ...]:
        """The whole shape of a parameter of the optimizer."""
        return tuple(self._wholes.get(id(local), local).shape)

    def whole(self, local: Any, values: Any) -> Any:
        """A DTensor of values that each process keeps of a parameter, in the shape of its local part; not copied."""
        like = self._wholes.get(id(local))
        if like is None:
            return DTensor.from_local(values.detach(), self.mesh, [Replicate()], run_check=False)
        return from_part(values.detach(), like)


def from_part(part: Any, like: Any) -> Any:
    """A DTensor cut as `like` is, of which this process has `part`."""
    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def local_part(tensor: Any) -> Any:
    """A DTensor's part in this process, without graph, in the same memory."""
    with torch.no_grad():
        return tensor.to_local()
