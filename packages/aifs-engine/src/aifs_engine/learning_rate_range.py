"""Which learning rate to begin with: one short training during which the rate grows from far too small to too large."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_engine.experiment import require_positive_int
from aifs_engine.learner import Learner, as_loader
from aifs_engine.sanity_checks import put_back, train_loss
from aifs_utils.exceptions import ConfigError, TrainingError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

_EXPLODED = 4.0  # times the loss at the beginning
_WIDTH = 0.02  # of the smoothing, as a share of the sweep, and at least 1.5 steps
_NOISE = 6.0  # standard deviations of a smoothed loss: it must fall by more


@dataclass(frozen=True, eq=False)
class LearningRateRange:
    """The loss while the learning rate grew.

    Parameters
    ----------
    rates : ndarray of float64, shape (n,)
        The rate of each step, growing by the same factor from one to the next.
    losses : ndarray of float64, shape (n,)
        The loss of each step, before its update.
    smoothed : ndarray of float64, shape (n,)
        The losses averaged over neighbouring steps; those above four times the first ones count as four times.
    suggestion : float or None
        The rate at which the smoothed loss falls fastest per decade, before its lowest point; None if it never falls
        by more than its noise.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float | None

    def __str__(self) -> str:
        swept = f"rates {self.rates[0]:.1e} to {self.rates[-1]:.1e} in {len(self.rates)} steps"
        if self.suggestion is None:
            return f"{swept}: the loss never falls by more than its noise; take more steps, or look at the model"
        lowest = self.rates[int(self.smoothed.argmin())]
        return f"{swept}: the loss falls fastest at {self.suggestion:.1e}, and is lowest at {lowest:.1e}"


def learning_rate_range(
    learner: Learner, loader: Any, *, lowest: float = 1e-7, highest: float = 10.0, steps: int = 100
) -> LearningRateRange:
    """Train for some steps while the learning rate grows exponentially, then put everything back.

    The sweep ends early where the loss is not finite, or above four times what it was in the first tenth of the steps.

    Parameters
    ----------
    learner
        Any `aifs_engine.learner.Learner` with a `learning_rate` that can be set. Its state, its rate and the global
        random states are afterwards what they were; a copy of the state is held meanwhile.
    loader
        Batches to train on, as for `aifs_engine.Trainer.train`; as many epochs as it takes.
    lowest, highest
        The first and the last rate.
    steps
        How many updates lie between them, at least 20. A hundred are enough unless batches are very small.

    Returns
    -------
    LearningRateRange
        ``aifs_plotting.learning_rate_curve(result.rates, result.losses, …)`` draws it.

    Raises
    ------
    ConfigError
        If the learner has no rate to set, or the range or the number of steps makes no sense.
    TrainingError
        If the loss is not finite in the first steps already.

    Notes
    -----
    The suggestion is a rate to begin with, of the right order of magnitude: a cyclical schedule goes from a third of it
    up to it, a long run at a constant rate may end better with less.

    References
    ----------
    Smith. "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3: the range test, there with
    a rate that grows linearly and the accuracy in place of the loss.
    """
    _check(learner, lowest, highest, steps)
    rates = np.geomspace(lowest, highest, steps)
    with put_back(learner), _rate_put_back(learner):
        losses = _sweep(learner, _endless(loader), rates)
    if len(losses) < 3:
        raise TrainingError(
            f"the loss is not finite at the learning rate {rates[len(losses)]:.1e} already: "
            "this is no matter of the rate; look at the data, the initial weights and the criterion"
        )
    rates, width = rates[: len(losses)], max(1.5, _WIDTH * steps)
    smoothed = _smooth(np.minimum(losses, _limit(losses, steps)), width)
    return LearningRateRange(rates, losses, smoothed, _steepest(rates, losses, smoothed, width))


def _check(learner: Any, lowest: float, highest: float, steps: int) -> None:
    try:
        learner.learning_rate = learner.learning_rate
    except AttributeError as error:
        name = type(learner).__name__
        raise ConfigError(f"a range test needs a learner with a learning_rate to set; {name} has none") from error
    if not 0 < lowest < highest < math.inf:
        raise ConfigError(f"the rates must satisfy 0 < lowest < highest, got {lowest!r} and {highest!r}")
    require_positive_int("steps", steps)
    if steps < 20:
        raise ConfigError(f"steps must be at least 20 for a curve, got {steps}")


@contextmanager
def _rate_put_back(learner: Any) -> Iterator[None]:
    """For learners that do not count their rate among their state."""
    rate = learner.learning_rate
    try:
        yield
    finally:
        learner.learning_rate = rate


def _endless(loader: Any) -> Iterator[Any]:
    loader = as_loader(loader)
    return (batch for epoch in count() for batch in loader.batches(epoch))


def _sweep(learner: Any, batches: Iterator[Any], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The losses of one step with each rate, until they explode; shape (n,), all finite."""
    losses: list[float] = []
    for rate, batch in zip(rates.tolist(), batches, strict=False):
        learner.learning_rate = rate
        loss = train_loss(learner, batch)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        if np.mean(losses[-3:]) > _limit(losses, len(rates)):  # of three, since a single batch may be an odd one
            break
    return np.array(losses)


def _limit(losses: Sequence[float] | NDArray[np.float64], steps: int) -> float:
    """The loss from which on it counts as exploded."""
    beginning = float(np.abs(losses[: steps // 10]).mean())
    return _EXPLODED * beginning or math.inf


def _smooth(losses: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Means with Gaussian weights of so many steps. Running means would lag, and suggest a rate that is too large."""
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)  # (n, n)
    smoothed: NDArray[np.float64] = weights @ losses / weights.sum(axis=1)
    return smoothed


def _steepest(
    rates: NDArray[np.float64], losses: NDArray[np.float64], smoothed: NDArray[np.float64], width: float
) -> float | None:
    """The rate where the loss falls fastest before its lowest point, if it falls at all."""
    lowest = int(smoothed.argmin())
    some = slice(0, max(lowest + 1, len(losses) // 3))
    # A mean with these weights has the noise of so many samples.
    noise = (losses[some] - smoothed[some]).std() / math.sqrt(2 * math.sqrt(math.pi) * width)
    if lowest == 0 or losses[: len(losses) // 10 + 1].mean() - smoothed[lowest] <= _NOISE * noise:
        return None
    slopes = np.gradient(smoothed, np.log10(rates))[: lowest + 1]
    return float(rates[int(slopes.argmin())])
