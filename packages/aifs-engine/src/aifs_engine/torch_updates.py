"""From a loss to moved weights: what belongs to one optimizer."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from aifs_engine.learner import NonFiniteError, batch_size
from aifs_engine.torch_ema import WeightAverage
from aifs_engine.torch_guard import Guard, Source, exact_norm, total_norm
from aifs_engine.torch_state import to_arrays, to_tensors
from aifs_utils.exceptions import CheckpointError, ConfigError

if TYPE_CHECKING:
    from aifs_engine.torch_strategies import Strategy


class Updater:
    """One optimizer with its schedule, loss scale, clipping, accumulation, guard and average.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        One that offers ``gradients()``, as those of `aifs_engine.torch_optimizers` do, is clipped and checked in a few
        calls, whatever the number of its parameters.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped once per update.
    scaler : torch.amp.GradScaler, optional
        Of losses in float16.
    guard : Guard, optional
        See `aifs_engine.torch_guard`.
    average : WeightAverage, optional
        Follows the weights, update by update.
    max_grad_norm : float, optional
        Gradients with a larger norm are scaled down to it.
    accumulate : int
        Batches per update.
    alone : bool
        Whether the optimizer has all parameters that a loss reaches. Otherwise gradients are computed for its own only.
    strategy : Strategy, optional
        How several processes make one update, see `aifs_engine.torch_strategies`.

    Attributes
    ----------
    updates : int
        Those made so far.
    """

    def __init__(
        self,
        optimizer: Any,
        scheduler: Any = None,
        *,
        scaler: Any = None,
        guard: Guard | None = None,
        average: WeightAverage | None = None,
        max_grad_norm: float | None = None,
        accumulate: int = 1,
        alone: bool = True,
        strategy: "Strategy | None" = None,
    ) -> None:
        _check_kinds(optimizer, scheduler)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scaler = scaler
        self.guard = guard
        self.average = average
        self.max_grad_norm = max_grad_norm
        self.accumulate = accumulate
        self.alone = alone
        self.strategy = strategy
        self.updates = 0
        # The gradients of this moment, to be changed in place.
        self._gradients: Callable[[], list[Any]] = getattr(optimizer, "gradients", self._separate_gradients)
        self._n_batches = 0  # in the window, the batches whose gradients make the next update
        self._n_samples = self._first_size = 0
        self._sharding = strategy if strategy is not None and strategy.shards is not None else None
        self._is_reduced = False  # whether the window's gradients are those of all processes

    def parameters(self) -> list[Any]:
        """What the optimizer moves."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def update(self, loss: Any, source: Source) -> None:
        """Add the gradients of a batch's loss to the window; once it is full, move the weights.

        Raises
        ------
        NonFiniteError
            By the guard; or if the loss scale of float16 falls below 1.
        """
        if self._n_batches == 0:
            for group in self.optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        scaled = loss if self.accumulate == 1 and self.strategy is None else self._weighted(loss, source)
        if self.scaler is not None:
            scaled = self.scaler.scale(scaled)
        if self.alone:
            scaled.backward()
        elif inputs := [parameter for parameter in self.parameters() if parameter.requires_grad]:
            scaled.backward(inputs=inputs)
        self._n_batches += 1
        try:
            if self._n_batches == self.accumulate:
                self._move(loss, source)
            elif self.guard is not None:
                are_whole = self.scaler is None and self._sharding is None
                self.guard.check(loss, self._gradients() if are_whole else [], None, source)
        except NonFiniteError:  # who catches it begins with the next batch
            self.drop_window()
            raise

    def ends_window(self) -> bool:
        """Whether the next batch is the last one of its window, as far as that is known."""
        self._is_reduced = self._n_batches + 1 == self.accumulate or (
            self.strategy is not None and self.strategy.ends_epoch
        )
        return self._is_reduced

    @property
    def between_updates(self) -> bool:
        """Whether no gradients wait for the rest of their window."""
        return self._n_batches == 0

    def drop_window(self) -> None:
        """Forget the gradients of a window that is not full."""
        self._n_batches = 0

    def finish(self) -> None:
        """Have the guard's last word, and make the update of a window that is not full."""
        if self.guard is not None:
            self.guard.flush()
        if self._n_batches > 0:
            if self.strategy is not None and not self._is_reduced:
                self.strategy.average(self.parameters())
            self._move()

    def _weighted(self, loss: Any, source: Source) -> Any:
        """The loss times the batch's size, in sizes of the window's first batch, and times this process's share."""
        size = batch_size(source[1]) if self.strategy is None else self.strategy.n_samples(source[1])
        if self._n_batches == 0:
            self._n_samples, self._first_size = 0, size
        self._n_samples += size
        weight = size / self._first_size
        if self.strategy is not None:
            weight *= self.strategy.weight
        return loss if weight == 1 else loss * weight

    def _separate_gradients(self) -> list[Any]:
        return [parameter.grad for parameter in self.parameters() if parameter.grad is not None]

    def _move(self, loss: Any = None, source: Source | None = None) -> None:
        """Update the weights from the window's gradients, checked with its last loss, and begin a new window."""
        if self._sharding is not None:
            self._sharding.shards.collect_gradients()
            if self.scaler is not None:
                self._sharding.spread_overflow(self.parameters())
        if self.scaler is not None:
            if self.guard is not None and source is not None:  # overflowing gradients are the scaler's matter
                self.guard.check(loss, [], None, source)
            self.scaler.unscale_(self.optimizer)
        gradients: list[Any] = []
        norm = None
        if self._sharding is not None:
            norm = self._norm_of_shards(is_checked=source is not None)
        if self.guard is not None or self.max_grad_norm is not None or self.accumulate > 1:
            gradients = self._gradients()
        if gradients and self.accumulate > 1 and self._n_samples != self._first_size:
            torch._foreach_mul_(gradients, self._first_size / self._n_samples)
        if self.max_grad_norm is not None:
            norm = clip(gradients, self.max_grad_norm, norm)
        self._n_batches = 0
        if self.scaler is None:
            if self.guard is not None and source is not None:
                self.guard.check(loss, gradients, norm, source)
            self.optimizer.step()
        elif not self._scaled_step():
            return
        self.updates += 1
        if self.scheduler is not None:
            self.scheduler.step()
        if self.average is not None:
            self.average.update()

    def _norm_of_shards(self, *, is_checked: bool) -> Any:
        """The norm of a window's gradients, of which each process has a part; None where nobody asks.

        Where the guard has no batch to blame, at the end of an epoch, it is looked at here.
        """
        if self.guard is None and self.max_grad_norm is None:
            return None
        norm = self._sharding.norm(self.parameters())  # type: ignore[union-attr]
        if self.accumulate > 1:
            norm = norm * (self._first_size / self._n_samples)
        number = norm.item() if norm.is_cpu or not is_checked else norm
        if self.guard is not None and not is_checked and self.scaler is None and not math.isfinite(number):
            raise NonFiniteError("a gradient of the epoch's last update is not finite")
        return number

    def _scaled_step(self) -> bool:
        """Make the update unless a gradient has overflowed; adapt the loss scale, and return whether it was made."""
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        scale = self.scaler.get_scale()
        if scale < 1:
            raise NonFiniteError(
                f"gradients overflow float16 even at a loss scale of {before:g}", remedy="train in bf16 or fp32"
            )
        return bool(scale >= before)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, but for the weights."""
        accumulated = {
            "n_batches": self._n_batches,
            "of": self.accumulate,
            "n_samples": self._n_samples,
            "first_size": self._first_size,
            "gradients": [to_arrays(parameter.grad) for parameter in self.parameters()],
        }
        if self._sharding is not None:
            optimizer = self._sharding.optimizer_state(self.optimizer)
        else:
            optimizer = to_arrays(self.optimizer.state_dict(), sort=True)
        return {
            "optimizer": optimizer,
            "scheduler": None if self.scheduler is None else to_arrays(self.scheduler.state_dict()),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "accumulated": accumulated if self._n_batches else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned."""
        own = state["optimizer"]
        if self._sharding is not None:
            own = self._sharding.own_optimizer_state(own, self.optimizer)
        saved = to_tensors(own, self.optimizer.state_dict())
        if isinstance(saved["state"], dict):  # as torch.optim has it: by the number of the parameter
            saved["state"] = {int(number): item for number, item in saved["state"].items()}
        self.optimizer.load_state_dict(saved)
        if self.scheduler is not None:
            self.scheduler.load_state_dict(to_tensors(state["scheduler"], self.scheduler.state_dict()))
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
            self.scaler.scale(torch.zeros((), device=self.parameters()[0].device))  # it takes its state at first use
        if self.guard is not None:
            self.guard.forget()
        self._load_window(state["accumulated"])

    def _load_window(self, window: dict[str, Any] | None) -> None:
        self._n_batches = 0
        if window is not None:
            if window["of"] != self.accumulate:
                raise CheckpointError(
                    f"the state is in the middle of a window of {window['of']} batches, this learner accumulates "
                    f"{self.accumulate}: go on with accumulate={window['of']}, or from the end of an epoch"
                )
            self._n_batches, self._n_samples = window["n_batches"], window["n_samples"]
            self._first_size = window["first_size"]
            for parameter, gradient in zip(self.parameters(), to_tensors(window["gradients"]), strict=True):
                parameter.grad = None if gradient is None else gradient.to(parameter.device)


def _check_kinds(optimizer: Any, scheduler: Any) -> None:
    """Refuse what cannot be stepped without more than the gradients."""
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ConfigError("LBFGS computes the loss several times per step: override train_step and call it there")
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ConfigError(
            "ReduceLROnPlateau is stepped with a metric once per epoch, other schedulers once per update: step it in a "
            "callback's on_epoch_end, and let the callback's state_dict hold its state"
        )


def clip(gradients: Sequence[Any], max_norm: float, norm: Any = None) -> Any:
    """Scale gradients down, in place, where their common norm is above `max_norm`; return the norm they had.

    On the CPU that is a number, and exact where float32 overflows; on an accelerator it is 0-d, and nothing waits.
    `norm` is given where other processes have gradients too.
    """
    number: float
    if isinstance(norm, float):
        number = norm
    else:
        norm = total_norm(gradients) if norm is None else norm
        if not norm.is_cpu:
            torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
            return norm
        number = norm.item()
        if not math.isfinite(number):
            number = exact_norm(gradients)
    if max_norm < number < math.inf:
        torch._foreach_mul_(gradients, max_norm / (number + 1e-6))
    return number
