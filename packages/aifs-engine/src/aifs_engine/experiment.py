"""What a model hands to the engine: an experiment, the claim it makes and what its run brought."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aifs_utils.exceptions import ConfigError

if TYPE_CHECKING:
    from aifs_engine.callbacks import Callback
    from aifs_engine.history import History
    from aifs_engine.learner import Learner


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about an experiment's result that a machine can check.

    Parameters
    ----------
    metric
        A test metric with its prefix (``"test_accuracy"``), or a column of the history (``"train_loss"``: its value
        in the epoch of the best weights).
    at_least, at_most
        The bound, inclusive. Exactly one of the two.
    kind
        Whether the experiment shows what the model is good at or where it fails.
    reason
        Why it holds, in one sentence that ends without a full stop.

    Raises
    ------
    ConfigError
        If not exactly one finite bound is given, or the kind is unknown.

    Examples
    --------
    >>> claim = Claim(metric="test_accuracy", at_most=0.75, kind="weakness", reason="no line separates XOR")
    >>> claim.holds(0.5), claim.holds(1.0)
    (True, False)
    >>> claim.bound
    'test_accuracy ≤ 0.75'
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    kind: Literal["strength", "weakness"]
    reason: str

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        if len(bounds) != 1 or not math.isfinite(bounds[0]):
            raise ConfigError(f"a claim has one finite bound, at_least or at_most: got {self.at_least}, {self.at_most}")
        require_choice("kind", self.kind, ("strength", "weakness"))

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the bound; NaN never does."""
        return value >= self.at_least if self.at_least is not None else value <= self.at_most  # type: ignore[operator]

    @property
    def bound(self) -> str:
        """The inequality, as it is printed."""
        return (
            f"{self.metric} ≥ {self.at_least:g}" if self.at_least is not None else f"{self.metric} ≤ {self.at_most:g}"
        )


@dataclass(kw_only=True)
class Experiment:
    """The parts of one experiment, as a model's ``build(config)`` puts them together.

    Parameters
    ----------
    learner
        The model with its learning rule.
    train_loader, val_loader, test_loader
        Batches: any sized iterable, or an object with ``batches(epoch, start)`` (see `aifs_engine.learner.Loader`).
    data
        Where the data came from (name, source, whether it is a stand-in, digest); written to the manifest.
    monitor
        The metric that decides which weights are the best; "epoch" keeps the last ones.
    monitor_mode
        "min" or "max" where the metric's name does not tell.
    class_names
        How the labels 0, 1… are called, for the report of ``evaluate``.
    callbacks
        Anything beyond what every run has.
    threads
        How many threads torch computes with on the CPU, where the choice of `aifs_engine.torch_setup.set_threads` does
        not suit.
    draw
        Draws the figures of a finished run and returns their files.
    """

    learner: "Learner"
    train_loader: Any
    val_loader: Any = None
    test_loader: Any = None
    data: Mapping[str, Any] = field(default_factory=dict)
    monitor: str = "val_loss"
    monitor_mode: Literal["min", "max"] | None = None
    class_names: Sequence[str] = ()
    callbacks: "Sequence[Callback]" = ()
    threads: int | None = None
    draw: "Callable[[RunResult], Sequence[Path]] | None" = None


@dataclass(kw_only=True)
class RunResult:
    """A finished run, as the model's ``draw`` sees it. The learner holds the best weights."""

    model: str
    experiment: str
    config: Any
    learner: "Learner"
    history: "History"
    test_metrics: dict[str, float]
    data: Mapping[str, Any]
    snapshots: list[tuple[int, dict[str, Any]]]  # (epoch, the learner's state_dict), see callbacks.Snapshots
    figures_dir: Path
    seed: int


def require_positive_int(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")


def require_positive(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name} must be a finite number above 0, got {value!r}")


def require_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
