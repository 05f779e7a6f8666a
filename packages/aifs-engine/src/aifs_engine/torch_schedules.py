"""Schedules of the learning rate, each one of PyTorch's own schedulers with the settings that are usual.

A learner steps them once per update. Their state is numbers alone, so a checkpoint holds it as JSON.

Examples
--------
>>> import torch
>>> from aifs_engine.torch_optimizers import SGD
>>> from aifs_engine.torch_schedules import step_decay
>>> w = torch.tensor([1.0], requires_grad=True)
>>> optimizer = SGD([w], lr=0.5)
>>> scheduler = step_decay(optimizer, every=2, factor=0.5)
>>> for _ in range(4):
...     optimizer.step()
...     scheduler.step()
>>> optimizer.param_groups[0]["lr"]
0.125

References
----------
Loshchilov, Hutter. "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5 (the cosine).
Goyal et al. "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2 (the warm-up).
Smith, Topin. "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018 (one cycle).
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from aifs_engine.experiment import require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError


def warmup_cosine(optimizer: Optimizer, *, warmup_steps: int, total_steps: int, final: float = 0.0) -> LambdaLR:
    """Raise the learning rate in a straight line to the optimizer's, then lower it along half a cosine.

    Update t, counted from 0, is made with the rate η·(t + 1)/w while t < w, and after that with
    η·(f + (1 - f)·(1 + cos π(t - w)/(T - w))/2), where w is `warmup_steps`, T `total_steps` and f `final`. From update
    T on the rate stays at η·f.

    Parameters
    ----------
    optimizer
        Any PyTorch optimizer; its rate at this moment is η.
    warmup_steps
        Updates of the warm-up, 0 for none.
    total_steps
        Updates in all, more than `warmup_steps`.
    final
        The last rate as a part of η, in [0, 1].

    Raises
    ------
    ConfigError
        If a number is out of range.
    """
    require_positive_int("total_steps", total_steps)
    if warmup_steps:
        require_positive_int("warmup_steps", warmup_steps)
    if warmup_steps >= total_steps:
        raise ConfigError(f"warmup_steps must be fewer than the {total_steps} steps in all, got {warmup_steps}")
    if not 0 <= final <= 1:
        raise ConfigError(f"final must be a part of the learning rate, in [0, 1], got {final!r}")

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, factor)


def step_decay(optimizer: Optimizer, *, every: int, factor: float) -> StepLR:
    """Multiply the learning rate by `factor` after `every` updates, and again after as many.

    Raises
    ------
    ConfigError
        If `every` is no whole number of at least 1, or `factor` not above 0.
    """
    require_positive_int("every", every)
    require_positive("factor", factor)
    return StepLR(optimizer, step_size=every, gamma=factor)


def one_cycle(optimizer: Optimizer, *, peak: float, total_steps: int) -> OneCycleLR:
    """Raise the learning rate from peak/25 to `peak` in the first 30 % of the updates, then lower it to peak/250,000.

    Both ways follow a cosine. An optimizer with momentum (Adam's β₁ counts) has it lowered from 0.95 to 0.85 while the
    rate rises, and raised again afterwards; one without keeps none.

    Parameters
    ----------
    optimizer
        Any PyTorch optimizer; the rate that it was built with is not used.
    peak
        The highest learning rate.
    total_steps
        Updates in all. PyTorch raises ValueError when more are made.

    Raises
    ------
    ConfigError
        If `peak` is not above 0, or `total_steps` no whole number of at least 1.
    """
    require_positive("peak", peak)
    require_positive_int("total_steps", total_steps)
    has_momentum = bool(optimizer.defaults.get("momentum") or "betas" in optimizer.defaults)
    return OneCycleLR(optimizer, max_lr=peak, total_steps=total_steps, cycle_momentum=has_momentum)
