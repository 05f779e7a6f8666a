"""Optimizers to read: stochastic gradient descent with momentum, Adam and AdamW.

Each equation of the papers stands beside the line that computes it, for all parameters of a block in one call. The
results are those of `torch.optim`, to the last bit in float32 and float64 on a CPU; a step takes a fraction of the time
where the network is small. Each is a `torch.optim.Optimizer`, as PyTorch's schedulers and its `GradScaler` want it.

    θ   parameters                   in their own shapes
    g   gradient of the loss at θ    (n_values,), all of a block end to end
    η   learning rate, ``lr``
    λ   weight decay

Examples
--------
>>> import torch
>>> from aifs_engine.torch_optimizers import SGD
>>> w = torch.tensor([1.0, -2.0], requires_grad=True)
>>> optimizer = SGD([w], lr=0.25)
>>> (w**2).sum().backward()
>>> optimizer.step()
>>> w.tolist()
[0.5, -1.0]

References
----------
Polyak. "Some methods of speeding up the convergence of iteration methods", USSR Computational Mathematics and
    Mathematical Physics 4 (5), 1964, pp. 1-17.
Nesterov. "A method for solving the convex programming problem with convergence rate O(1/k²)", Soviet Mathematics
    Doklady 27 (2), 1983, pp. 372-376.
Sutskever, Martens, Dahl, Hinton. "On the importance of initialization and momentum in deep learning", ICML 2013.
Kingma, Ba. "Adam: A Method for Stochastic Optimization", ICLR 2015.
Loshchilov, Hutter. "Decoupled Weight Decay Regularization", ICLR 2019.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from aifs_engine._torch_block_optimizer import BlockOptimizer, require_between
from aifs_engine._torch_blocks import Block, Group
from aifs_utils.exceptions import ConfigError


class SGD(BlockOptimizer):
    """Stochastic gradient descent, with momentum if wanted.

    Parameters
    ----------
    params
        Tensors, or groups ``{"params": tensors, option: value, …}``.
    lr
        Learning rate η.
    momentum
        μ in [0, 1): how much of its velocity a parameter keeps (Polyak, 1964).
    nesterov
        Take the gradient's step from where the velocity will lead, as Sutskever et al. (2013, section 2.1) write the
        method of Nesterov (1983), in PyTorch's form: the parameters stand at the point looked ahead to.
    weight_decay
        λ of the penalty λ/2 ‖θ‖² on the loss.

    Raises
    ------
    ConfigError
        If an option is out of range, or `nesterov` is asked for without momentum.
    ModelError
        If a parameter is no floating-point leaf tensor, or is given twice.
    """

    options = ("lr", "momentum", "nesterov", "weight_decay")
    memories = (set(), {"velocity"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

    def _update(self, block: Block) -> None:
        lr, momentum, weight_decay = block.group["lr"], block.group["momentum"], block.group["weight_decay"]
        direction = block.gradients
        if weight_decay:
            torch._foreach_add_(direction, block.params, alpha=weight_decay)  # g ← g + λ θ
        if momentum:
            g, v = block.vectors["gradient"], block.vectors["velocity"]
            v.mul_(momentum).add_(g)  # v ← μ v + g
            if block.group["nesterov"]:
                g.add_(v, alpha=momentum)  # g ← g + μ v
            else:
                direction = block.views["velocity"]  # in g's place
        torch._foreach_add_(block.params, direction, alpha=-lr)  # θ ← θ - η g

    def _changes_gradients(self, group: Group) -> bool:
        return bool(group["momentum"] or group["weight_decay"])

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        require_between("momentum", group["momentum"], 0, 1)
        if group["nesterov"] and not group["momentum"]:
            raise ConfigError("nesterov looks ahead along the momentum, which is 0: give momentum=0.9, for example")


class Adam(BlockOptimizer):
    """Adam: a step for each parameter by the first two moments of its gradient (Kingma & Ba, 2015, Algorithm 1).

    Parameters
    ----------
    params
        Tensors, or groups ``{"params": tensors, option: value, …}``.
    lr
        Learning rate η, the paper's α.
    betas
        β₁ and β₂ in [0, 1): how much of each moment's estimate is kept.
    eps
        ε beside the root of the second moment.
    weight_decay
        λ of the penalty λ/2 ‖θ‖² on the loss, which passes through the moments; see `AdamW`.

    Raises
    ------
    ConfigError
        If an option is out of range.
    ModelError
        If a parameter is no floating-point leaf tensor, or is given twice.
    """

    options = ("lr", "betas", "eps", "weight_decay")
    memories = ({"first_moment", "second_moment"},)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _update(self, block: Block) -> None:
        weight_decay = block.group["weight_decay"]
        if weight_decay:
            torch._foreach_add_(block.gradients, block.params, alpha=weight_decay)  # g ← g + λ θ
        self._move(block)

    def _move(self, block: Block) -> None:
        lr, eps, (beta1, beta2) = block.group["lr"], block.group["eps"], block.group["betas"]
        t, g = block.step, block.vectors["gradient"]
        m, v = block.vectors["first_moment"], block.vectors["second_moment"]
        m.lerp_(g, 1 - beta1)  # m ← β₁ m + (1 - β₁) g
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)  # v ← β₂ v + (1 - β₂) g²
        torch.sqrt(v, out=g)  # g is needed no more: √v̂ + ε takes its place, where v̂ = v / (1 - β₂ᵗ)
        g.div_((1 - beta2**t) ** 0.5).add_(eps)
        # θ ← θ - η m̂ / (√v̂ + ε), where m̂ = m / (1 - β₁ᵗ)
        torch._foreach_addcdiv_(block.params, block.views["first_moment"], block.gradients, value=-lr / (1 - beta1**t))

    def _first_factor(self, group: Group) -> float:
        return float(group["lr"] / (1 - group["betas"][0]))  # m̂ = m / (1 - β₁) in the first step

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        require_between("eps", group["eps"], 0, 1)
        if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
            raise ConfigError(f"betas must be two numbers, such as (0.9, 0.999); got {group['betas']!r}")
        for name, beta in zip(("beta1", "beta2"), group["betas"], strict=True):
            require_between(name, beta, 0, 1)


class AdamW(Adam):
    """Adam with weight decay that stays out of the moments (Loshchilov & Hutter, 2019, Algorithm 2).

    Parameters
    ----------
    params, lr, betas, eps
        As in `Adam`.
    weight_decay
        λ; a step multiplies the parameters by 1 - ηλ. The paper schedules η and λ apart; here, as in PyTorch, a
        scheduler of the learning rate moves both.

    Raises
    ------
    ConfigError
        If an option is out of range.
    ModelError
        If a parameter is no floating-point leaf tensor, or is given twice.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _update(self, block: Block) -> None:
        lr, weight_decay = block.group["lr"], block.group["weight_decay"]
        if weight_decay:
            torch._foreach_mul_(block.params, 1 - lr * weight_decay)  # θ ← θ - η λ θ
        self._move(block)


_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[Group]:
    """Return a model's parameters in two groups: those whose weights decay, and those that are spared.

    Spared are biases and the parameters of norms, for shrinking them shifts or mutes a function and does not smooth it,
    and with them whatever has fewer than two dimensions, such as the scale of a layer.

    Parameters
    ----------
    model
        A module; a parameter that several of its modules share appears once.
    weight_decay
        The decay of the first group.

    Returns
    -------
    list of dict
        ``[{"params": …, "weight_decay": weight_decay}, {"params": …, "weight_decay": 0.0}]``, for any optimizer here or
        of `torch.optim`.
    """
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    spared = {id(param) for norm in norms for param in norm.parameters(recurse=False)}
    spared |= {id(param) for name, param in model.named_parameters() if param.ndim < 2 or name.endswith("bias")}
    params = list(model.parameters())
    return [
        {"params": [param for param in params if id(param) not in spared], "weight_decay": weight_decay},
        {"params": [param for param in params if id(param) in spared], "weight_decay": 0.0},
    ]
