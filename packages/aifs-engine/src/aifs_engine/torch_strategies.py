"""How one model is trained by several processes: each with a copy of it (DDP), or with a part of its weights (FSDP)."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from aifs_engine.distributed import Processes
from aifs_engine.launch import Launch
from aifs_engine.torch_processes import TorchProcesses, processes_of
from aifs_utils.exceptions import ConfigError


class Call(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent
    """Calls a function that uses an owner's parameters.

    What torch wraps is this, and not the model: a loss may then call the model's parts one by one, or several times.
    """

    def __init__(self, owner: Any, buffers: Sequence[Any] = ()) -> None:
        super().__init__()
        self.owner = owner
        for number, buffer in enumerate(buffers):
            self.register_buffer(str(number), buffer)

    def forward(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """``function(argument)``."""
        return function(argument)


class Strategy:
    """What all ways have in common.

    Parameters
    ----------
    processes
        Those that train together.
    model : torch.nn.Module
        Its buffers, such as a batch norm's running statistics, are the first process's.
    """

    shards: Any = None  # where a process has only a part of the weights, its `aifs_engine.torch_fsdp.Shards`

    def __init__(self, processes: TorchProcesses, model: Any) -> None:
        self.processes = processes
        self.buffers = list(model.buffers())

    @property
    def weight(self) -> float:
        """What this process's loss counts, in means over the processes."""
        return self.processes.weight

    @property
    def ends_epoch(self) -> bool:
        """Whether the batch at hand is known to be the epoch's last."""
        return self.processes.part is not None and self.processes.part.is_last

    def n_samples(self, batch: Any) -> int:
        """Samples of the whole batch, of which this process has a piece."""
        return self.processes.n_samples(batch)

    def share_buffers(self) -> None:
        """Give all processes the first one's buffers."""
        if self.buffers:
            self.processes.share_tensors(self.buffers)

    def call(self, optimizer: Any, function: Callable[[Any], Any], argument: Any, *, reduces: bool) -> Any:
        """``function(argument)``; the backward pass averages the gradients of the optimizer, or only adds them up."""
        raise NotImplementedError

    def predict(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """``function(argument)``, of which no gradients are wanted."""
        return function(argument)

    def release_weights(self) -> None:
        """Let go of weights that were brought together, before their parts are read or changed."""

    def norm(self, parameters: Sequence[Any]) -> Any:
        """Euclidean norm of the gradients of all processes together, 0-d."""
        raise NotImplementedError

    def spread_overflow(self, parameters: Sequence[Any]) -> None:
        """Let all processes know of a gradient that is not finite in one: they scale their losses alike."""
        raise NotImplementedError

    def model_state(self, model: Any) -> dict[str, Any]:
        """The state of a model in shards, as one process would have it, with leaves in pieces."""
        raise NotImplementedError

    def parameter_state(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors that a process keeps of its parts of parameters, by name, in the same way."""
        raise NotImplementedError

    def load(self, model: Any, weights: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
        """Take over this process's parts of the weights; return those of other tensors of the same names."""
        raise NotImplementedError

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """The state of the optimizer, as one process would have it, with leaves in pieces."""
        raise NotImplementedError

    def own_optimizer_state(self, state: Mapping[str, Any], optimizer: Any) -> Any:
        """What this process keeps of such a state, or of one in whole arrays."""
        raise NotImplementedError

    def average(self, parameters: Sequence[Any]) -> None:
        """Average gradients that were only added up."""
        raise NotImplementedError


class DDP(Strategy):
    """Each process has the whole model; gradients are averaged while they are computed.

    Parameters
    ----------
    processes
        Those that train together.
    model : torch.nn.Module
        Its buffers are the first process's, from step to step. An attribute ``has_unused_parameters = True`` says that
        a loss may not depend on all of its parameters, which are then searched for in each step.
    optimizers : sequence of torch.optim.Optimizer
        Their parameters are averaged, those of each by itself.

    References
    ----------
    Li et al. "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", PVLDB 13 (12), 2020.
    """

    def __init__(self, processes: TorchProcesses, model: Any, optimizers: Sequence[Any]) -> None:
        super().__init__(processes, model)
        self._calls: dict[int, Any] = {}
        for optimizer in optimizers:
            trained = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
            call = Call(torch.nn.ParameterList(trained), () if self._calls else self.buffers)
            self._calls[id(optimizer)] = torch.nn.parallel.DistributedDataParallel(
                call,
                gradient_as_bucket_view=True,
                find_unused_parameters=getattr(model, "has_unused_parameters", False),
            )

    def call(self, optimizer: Any, function: Callable[[Any], Any], argument: Any, *, reduces: bool) -> Any:
        """``function(argument)``; the backward pass averages the gradients of the optimizer, or only adds them up."""
        call = self._calls[id(optimizer)]
        self.processes.position += 1  # before each place where one waits for the others: buffers, gradients
        with nullcontext() if reduces else call.no_sync():
            result = call(function, argument)
        self.processes.position += 1
        return result

    def average(self, parameters: Sequence[Any]) -> None:
        """Average gradients that were only added up."""
        for parameter in parameters:
            if parameter.grad is not None:
                self.processes.sum_(parameter.grad).div_(self.processes.size)


class FSDP(Strategy):
    """Each process has a part of the weights; a block's are brought together while it computes.

    Parameters
    ----------
    processes
        Those that train together.
    model : torch.nn.Module
        On its device; its parameters become parts of what they were.
    optimizer : torch.optim.Optimizer
        Gets other parameters, see `aifs_engine.torch_fsdp.Shards`.
    precision : {"fp32", "bf16", "fp16"}
        See `aifs_engine.torch_fsdp.shard_model`.
    """

    def __init__(self, processes: TorchProcesses, model: Any, optimizer: Any, *, precision: str) -> None:
        from aifs_engine.torch_fsdp import Shards, shard_model, sync_gradients

        super().__init__(processes, model)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        device = next(model.parameters()).device
        processes.share_tensors([*model.parameters(), *self.buffers])
        self._call = Call(model)
        shard_model(model, device=device, precision=precision, root=self._call)
        self.shards = Shards(model)
        self.shards.rebind(optimizer, names)
        self._sync_gradients, self._reduces = sync_gradients, True
        for block in self._call.modules():
            if isinstance(block, torch.distributed.fsdp.FSDPModule):
                block.register_forward_pre_hook(self._note_progress, prepend=True)
        processes.is_sharded = True

    def _note_progress(self, *call: Any) -> None:
        """Before a block waits for its weights: a process that stands still is behind those that wait."""
        self.processes.position += 1

    def call(self, optimizer: Any, function: Callable[[Any], Any], argument: Any, *, reduces: bool) -> Any:
        """``function(argument)``; the backward pass averages the gradients of the optimizer, or only adds them up."""
        self.processes.position += 1
        if reduces != self._reduces:
            self._sync_gradients(self._call, reduces)
            self._reduces = reduces
        self.share_buffers()
        result = self._call(function, argument)
        self.processes.position += 1
        return result

    def predict(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """``function(argument)``, of which no gradients are wanted."""
        return self._call(function, argument)

    def release_weights(self) -> None:
        """Let go of weights that were brought together: a forward without a backward pass keeps the last ones."""
        from aifs_engine.torch_fsdp import reshard

        reshard(self._call)

    def norm(self, parameters: Sequence[Any]) -> Any:
        """Euclidean norm of the gradients of all processes together, 0-d."""
        cut = [p.grad for p in parameters if p.grad is not None and (self.shards.is_cut(p) or self.processes.is_first)]
        squares = [torch.linalg.vector_norm(gradient.float()).square() for gradient in cut]
        total = torch.stack(squares).sum() if squares else torch.zeros((), device=parameters[0].device)
        return self.processes.sum_(total).sqrt()

    def spread_overflow(self, parameters: Sequence[Any]) -> None:
        """Let all processes know of a gradient that is not finite in one: they scale their losses alike."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        is_bad = torch.stack([torch.isfinite(gradient).all().logical_not() for gradient in gradients]).any()
        n_bad = self.processes.sum_(is_bad.float())
        biggest = max(gradients, key=torch.Tensor.numel)
        biggest.masked_fill_(n_bad > 0, math.inf)

    def model_state(self, model: Any) -> dict[str, Any]:
        """The state of a model in shards, as one process would have it, with leaves in pieces."""
        from aifs_engine.torch_sharded_state import model_state

        self.release_weights()
        return model_state(model.state_dict())

    def parameter_state(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors that a process keeps of its parts of parameters, by name, in the same way."""
        from aifs_engine.torch_sharded_state import sharded

        return {name: sharded(self.shards, name, tensor) for name, tensor in tensors.items()}

    def load(self, model: Any, weights: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
        """Take over this process's parts of the weights; return those of other tensors of the same names."""
        from aifs_engine.torch_sharded_state import is_sharded, local_state, module_tensors, slice_model

        parts, own = (
            state if is_sharded(state) else slice_model(state, model, self.shards) for state in (weights, others)
        )
        self.release_weights()
        model.load_state_dict(module_tensors(parts))
        local: dict[str, Any] = local_state(own)
        return local

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """The state of the optimizer, as one process would have it, with leaves in pieces."""
        from aifs_engine.torch_sharded_state import optimizer_state

        return optimizer_state(optimizer, self.shards)

    def own_optimizer_state(self, state: Mapping[str, Any], optimizer: Any) -> Any:
        """What this process keeps of such a state, or of one in whole arrays."""
        from aifs_engine.torch_sharded_state import is_sharded, local_state, slice_optimizer

        return local_state(state if is_sharded(state) else slice_optimizer(state, optimizer, self.shards))

    def average(self, parameters: Sequence[Any]) -> None:
        """Refuse what cannot be done."""
        raise ConfigError(
            "with strategy 'fsdp' only aifs_engine.Trainer can end an epoch with a window of accumulation that is not "
            "full: train with it, or accumulate a number that divides the number of batches"
        )


def make_strategy(
    name: str, launch: Launch, model: Any, optimizer: Any, *, precision: str = "fp32"
) -> tuple[Processes, Strategy]:
    """The processes of a launch, and how they train a model.

    Parameters
    ----------
    name : {"ddp", "fsdp"}
    launch
        Of several processes.
    model : torch.nn.Module
        On its device already.
    optimizer : torch.optim.Optimizer, or dict of str to one
        "fsdp" gives it other parameters.
    precision : {"fp32", "bf16", "fp16"}
        Of the model's computations.

    Raises
    ------
    ConfigError
        If "fsdp" is given several optimizers.
    """
    processes = processes_of(launch)
    processes.seed = processes.broadcast(torch.initial_seed() % 2**32)
    if name == "ddp":
        optimizers = list(optimizer.values()) if isinstance(optimizer, Mapping) else [optimizer]
        return processes, DDP(processes, model, optimizers)
    if isinstance(optimizer, Mapping):
        raise ConfigError("strategy 'fsdp' is for one optimizer, this learner has several: take 'ddp'")
    return processes, FSDP(processes, model, optimizer, precision=precision)
