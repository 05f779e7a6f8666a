"""The cheapest test of a model, its loss and its data: one batch must be learned by heart."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from aifs_engine.experiment import require_positive_int
from aifs_engine.learner import Learner, NonFiniteError
from aifs_utils.exceptions import ConfigError
from aifs_utils.seeds import get_random_state, restore_random_state

_SHARE = 0.05  # of the first loss, where no target is given


@dataclass(frozen=True)
class OverfitResult:
    """What came of training on a single batch; as a string, what it means.

    Parameters
    ----------
    losses : tuple of float
        The loss of each step, before its update. The last one may be NaN or infinite.
    target : float
        What the loss had to come down to.
    """

    losses: tuple[float, ...]
    target: float

    @property
    def passed(self) -> bool:
        """Whether the loss came down to the target."""
        return self.losses[-1] <= self.target

    def __str__(self) -> str:
        first, last, n_steps = self.losses[0], self.losses[-1], len(self.losses)
        if self.passed:
            return f"passed: one batch is learned, loss {first:.4g} to {last:.4g} in {n_steps} steps"
        if not math.isfinite(last):
            return (
                f"failed: the loss is {last} in step {n_steps}. Usually the learning rate is too large; "
                "otherwise the inputs are not scaled, or a log or a division meets 0"
            )
        if all(loss == first for loss in self.losses):
            return (
                f"failed: the loss is {first:.4g} in all {n_steps} steps. Usually the optimizer has other parameters "
                "than the model, the graph is cut (detach, argmax), or all units are dead; a rate of 0 looks the same"
            )
        change = f"the loss went from {first:.4g} to {last:.4g} in {n_steps} steps, the target is {self.target:.4g}"
        if last >= first:
            return (
                f"failed: {change}. Usually the learning rate is too large, or the update has the wrong sign; "
                "a criterion may also get its arguments in the wrong order"
            )
        return (
            f"failed: {change}. If it still falls, take more steps or a larger learning rate (a schedule stands still "
            "meanwhile, in a warm-up at a small one); otherwise the model is too small or regularized (dropout, weight "
            "decay), an activation stands where the criterion expects logits, or equal inputs have different targets"
        )


def overfit_one_batch(learner: Learner, batch: Any, *, steps: int = 200, target: float | None = None) -> OverfitResult:
    """Train on one batch until its loss has come down to `target`, then put everything back.

    A model that cannot do this will not learn from a million batches either, and the reason is easier to find here.
    Take about as many samples as a batch of the run has. All steps have the rate that the learner has now: a schedule
    that begins with a warm-up begins with a small one, so give the check a learner without a schedule there.

    Parameters
    ----------
    learner
        Any `aifs_engine.learner.Learner`. Its state and the global random states are afterwards what they were; a
        copy of the state is held meanwhile.
    batch
        What the learner's ``train_step`` takes.
    steps
        How many updates to give it at the most.
    target
        A twentieth of the first loss if it is not given. Name one where a loss cannot come near 0.

    Returns
    -------
    OverfitResult
        Print it: where the check failed it says what usually is wrong.

    Raises
    ------
    ConfigError
        If `steps` is no positive integer, or there is no target and the first loss is not above 0.

    Examples
    --------
    >>> class Mean:
    ...     w = 0.0
    ...     def train_step(self, batch):
    ...         error = sum(batch) / len(batch) - self.w
    ...         self.w += 0.5 * error
    ...         return {"loss": error**2}
    ...     def state_dict(self):
    ...         return {"w": self.w}
    ...     def load_state_dict(self, state):
    ...         self.w = state["w"]
    >>> learner = Mean()
    >>> result = overfit_one_batch(learner, [1.0, 3.0])
    >>> result.losses, result.passed, learner.w
    ((4.0, 1.0, 0.25, 0.0625), True, 0.0)

    References
    ----------
    Karpathy. "A Recipe for Training Neural Networks", 2019, step 2: "overfit one batch".
    """
    require_positive_int("steps", steps)
    with put_back(learner):
        losses = [train_loss(learner, batch)]
        goal = _default_target(losses[0]) if target is None else target
        while len(losses) < steps and math.isfinite(losses[-1]) and losses[-1] > goal:
            losses.append(train_loss(learner, batch))
    return OverfitResult(tuple(losses), goal)


def train_loss(learner: Learner, batch: Any) -> float:
    """The loss of one ``train_step``; NaN where the learner refuses one that is not finite."""
    try:
        return float(learner.train_step(batch)["loss"])
    except NonFiniteError:
        return math.nan


@contextmanager
def put_back(learner: Learner) -> Iterator[None]:
    """Within the block the learner may be trained; afterwards its state and the random states are what they were.

    A learner that accumulates batches or has schedules offers ``plain_steps()``: each step is then one update at the
    rate that is set.
    """
    state, random_state = deepcopy(learner.state_dict()), get_random_state()
    try:
        with getattr(learner, "plain_steps", nullcontext)():
            yield
    finally:
        learner.load_state_dict(state)
        restore_random_state(random_state)


def _default_target(first: float) -> float:
    if first <= 0:
        raise ConfigError(
            f"the loss is {first:g} before anything was learned: take a batch that the model does not know, "
            "or name the target that its loss shall come down to"
        )
    return _SHARE * first
