"""The frame of the optimizers in `aifs_engine.torch_optimizers`: what surrounds the equations of a step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from aifs_engine._torch_blocks import (
    Block,
    Group,
    blocks_state,
    check_params,
    load_blocks,
    new_blocks,
    refuse_sparse,
)
from aifs_utils.exceptions import CheckpointError, ConfigError


class BlockOptimizer(torch.optim.Optimizer, ABC):  # type: ignore[misc, unused-ignore]  # torch may be absent
    """A `torch.optim.Optimizer` that updates whole blocks; a subclass writes its equations in `_update`.

    PyTorch's schedulers, its `torch.amp.GradScaler` and an optimizer's step hooks work as with its own optimizers.
    Hooks for all optimizers at once, hooks of the state and the profiler's label of a step are left out. The methods
    that PyTorch decorates with ``_disable_dynamo`` are written anew: the first call of one would import PyTorch's
    compiler, which takes about two seconds.
    """

    options: tuple[str, ...] = ("lr", "weight_decay")  # what every parameter group holds
    memories: tuple[set[str], ...] = (set(),)  # sets of vectors that may be remembered of a block

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self._blocks: list[Block] = []
        self._n_groups_in_blocks = 0
        self._gathered: list[Block] | None = None
        super().__init__(params, defaults)

    @abstractmethod
    def _update(self, block: Block) -> None:
        """Move the parameters of a block; each of them has a gradient."""

    def _changes_gradients(self, group: Group) -> bool:
        """Whether the equations work on the gradients in place, and so on copies of them."""
        return True

    def gradients(self) -> list[Tensor]:
        """Gather the gradients of this moment; the next `step` uses exactly these.

        Returns
        -------
        list of Tensor, each (n_values,)
            One flat vector per block, to be read, scaled or masked in place before `step`. `zero_grad` drops them.

        Raises
        ------
        ModelError
            If a gradient is sparse.
        """
        with torch.set_grad_enabled(False):
            self._gathered = self._collect()
            for block in self._gathered:
                block.gather()
        return [block.vectors["gradient"] for block in self._gathered]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the gradients anew and returns the loss.

        Returns
        -------
        What `closure` returned, or None.

        Raises
        ------
        ModelError
            If a gradient is sparse.
        """
        for hook in self._optimizer_step_pre_hooks.values():
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with torch.set_grad_enabled(True):
                loss = closure()
        with torch.set_grad_enabled(False):
            self._update_blocks()
        for hook in self._optimizer_step_post_hooks.values():
            hook(self, (closure,), {})
        return loss

    def _update_blocks(self) -> None:
        gathered, self._gathered = self._gathered, None
        for block in self._collect() if gathered is None else gathered:
            if gathered is None and self._changes_gradients(block.group):
                block.gather()
            block.step += 1
            self._update(block)
            block.gradients = []  # or they would outlive zero_grad

    def _collect(self) -> list[Block]:
        """Return the blocks that have gradients; one in which only some parameters have them is parted first."""
        if self._n_groups_in_blocks < len(self.param_groups):
            self._blocks += new_blocks(self.param_groups[self._n_groups_in_blocks :])
            self._n_groups_in_blocks = len(self.param_groups)
        for block in self._blocks:
            block.gradients = [param.grad for param in block.params if param.grad is not None]
            if 0 < len(block.gradients) < len(block.params):
                self._blocks = [part for block in self._blocks for part in block.parted()]
                return self._collect()
            if block.step == 0:
                refuse_sparse(block.gradients)
        return [block for block in self._blocks if block.gradients]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or fill them with zeros."""
        self._gathered = None
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own.

        Parameters
        ----------
        param_group : dict
            ``{"params": tensors, option: value, …}``; an option that is not named has the optimizer's value.

        Raises
        ------
        ConfigError
            If an option is unknown or out of range.
        ModelError
            If a parameter is no floating-point leaf tensor, or is in the optimizer already.
        """
        unknown = sorted(set(param_group) - {"params", *self.options})
        if unknown:
            raise ConfigError(f"a parameter group has {', '.join(self.options)}; got {', '.join(unknown)}")
        params = param_group["params"]
        group = {**self.defaults, **param_group, "params": [params] if isinstance(params, Tensor) else list(params)}
        check_params(group["params"], [param for other in self.param_groups for param in other["params"]])
        self._check_options(group)
        self._check_size(group)
        self.param_groups.append(group)

    def _check_options(self, group: Group) -> None:
        """Refuse options out of range; a subclass adds those of its own."""
        require_between("lr", group["lr"], 0, math.inf)
        require_between("weight_decay", group["weight_decay"], 0, math.inf)

    def _check_size(self, group: Group) -> None:
        """Refuse a rate whose step the parameters' dtype cannot express."""
        largest = min((torch.finfo(param.dtype).max for param in group["params"]), default=math.inf)
        if self._first_factor(group) > largest:
            raise ConfigError(f"lr must be so small that {largest:.3g} holds each step, got {group['lr']!r}")

    def _first_factor(self, group: Group) -> float:
        """The largest number that a gradient's direction is multiplied by."""
        return float(group["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, besides parameters and gradients.

        Returns
        -------
        dict
            ``"groups"``: of each parameter group the options, and what a scheduler put beside them. ``"state"``: of
            each block the positions of its parameters, counted through all groups, its step count and its flat
            vectors. The vectors are the optimizer's own: they change with the next step.
        """
        groups = [{name: value for name, value in group.items() if name != "params"} for group in self.param_groups]
        return {"groups": groups, "state": blocks_state(self._blocks, self.param_groups)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` returned; its vectors, tensors or NumPy arrays, are copied.

        Raises
        ------
        CheckpointError
            If the state is from another optimizer or for other parameters; nothing has changed then.
        """
        groups, state = state_dict.get("groups", []), state_dict.get("state", [])
        self._check_groups(groups)
        self._blocks, self._gathered = load_blocks(state, self.param_groups, self.memories), None
        self._n_groups_in_blocks = len(groups) if state else 0
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update({name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})

    def _check_groups(self, groups: list[Mapping[str, Any]]) -> None:
        if len(groups) != len(self.param_groups):
            raise CheckpointError(
                f"the state has {len(groups)} parameter groups, the optimizer {len(self.param_groups)}: "
                "build it with the groups that it had when the state was saved"
            )
        for group in groups:
            missing = [name for name in self.options if name not in group]
            if missing:
                raise CheckpointError(
                    f"the state is not of {type(self).__name__}, whose groups have {', '.join(self.options)}; "
                    f"it has {', '.join(group)}"
                )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: not ``step``, which a scheduler binds to the optimizer that it was built for."""
        names = ("defaults", "state", "param_groups", "_blocks", "_n_groups_in_blocks", "_gathered")
        return {name: self.__dict__[name] for name in names}

    def _patch_step_function(self) -> None:
        """Leave `step` as it is: PyTorch would wrap it in a label for its profiler, which takes as long as a step."""


def require_between(name: str, value: object, low: float, high: float) -> None:
    """Raise ConfigError unless `value` is a number with low <= value < high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < high:
        limit = "a finite number of at least 0" if high == math.inf else f"a number in [{low:g}, {high:g})"
        raise ConfigError(f"{name} must be {limit}, got {value!r}")
