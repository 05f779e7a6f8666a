"""Measuring a learner on data that it does not learn from."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from aifs_engine.distributed import ALONE, Processes, dealt
from aifs_engine.learner import Learner, as_loader, batch_size
from aifs_utils.exceptions import DataError
from aifs_utils.seeds import preserve_random_state


class RunningMeans:
    """Means over samples, accumulated batch by batch, whatever the batches' sizes.

    Tensors on an accelerator are only multiplied and added, so that nothing waits for them before `means` is called.
    Everything else is a number and added as such: on the host that takes a tenth of the time.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.n_samples: int = state["n_samples"] if state else 0
        self.sums: dict[str, Any] = defaultdict(float, state["sums"] if state else {})
        self.parts: list[RunningMeans] | None = None

    def add(self, metrics: Any, n_samples: int) -> None:
        """Count a batch's means with the weight of its samples."""
        self.n_samples += n_samples
        sums = self.sums
        for name, value in metrics.items():
            number = float(value) if getattr(value, "is_cpu", True) else value
            sums[name] += number * n_samples

    def means(self, prefix: str = "") -> dict[str, float]:
        """The means so far, as Python floats; DataError if there were no samples."""
        if self.n_samples == 0:
            raise DataError("there are no samples: every batch is empty")
        return {f"{prefix}{name}": float(total) / self.n_samples for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint in the middle of an epoch."""
        state: dict[str, Any] = {
            "n_samples": self.n_samples,
            "sums": {name: float(total) for name, total in self.sums.items()},
        }
        if self.parts is not None and self.n_samples:
            state["parts"] = [part.state_dict() for part in self.parts]
        return state

    @classmethod
    def of_all(cls, own: "RunningMeans", processes: Processes) -> "RunningMeans":
        """The sums of all processes together, with those of each as `parts`."""
        if processes.size == 1:
            return own
        parts = [cls(state) for state in processes.gather(own.state_dict())]
        together = cls()
        for part in parts:
            together.n_samples += part.n_samples
            for name, total in part.sums.items():
                together.sums[name] += total
        together.parts = parts
        return together

    @classmethod
    def of_one(cls, state: dict[str, Any], processes: Processes) -> "RunningMeans":
        """One process's sums of a state of all: its own, or everything in the first if there were as many then."""
        parts = state.get("parts", [state])
        if len(parts) == processes.size:
            return cls(parts[processes.rank])
        return cls(state) if processes.is_first else cls()


@dataclass(frozen=True)
class Predictions:
    """Targets, predicted labels (n,) and scores ((n,) or (n, n_classes); None if the learner has none) of a data
    set.
    """

    targets: Any
    labels: Any
    scores: Any = None


class Evaluator:
    """Measures a learner: means of its ``eval_step`` over all samples, and its predictions.

    Examples
    --------
    >>> class Constant:
    ...     def eval_step(self, batch):
    ...         X, y = batch
    ...         return {"loss": sum(abs(t) for t in y) / len(y)}
    >>> Evaluator(Constant()).evaluate([([0, 0], [1.0, 1.0]), ([0], [4.0])])
    {'loss': 2.0}
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.processes: Processes = getattr(learner, "processes", ALONE)

    def evaluate(self, loader: Any, prefix: str = "") -> dict[str, float]:
        """Means of the learner's metrics over all samples of `loader`, each name with `prefix` before it."""
        means = RunningMeans()
        eval_step = self.learner.eval_step
        with self._evaluating():
            if self.processes.size > 1:
                for metrics, n_samples in self._computed(loader, lambda batch: (eval_step(batch), batch_size(batch))):
                    means.add(metrics, n_samples)
            else:
                for batch in as_loader(loader).batches(0):
                    means.add(eval_step(batch), batch_size(batch))
        return means.means(prefix)

    def predict(self, loader: Any) -> Predictions:
        """Targets, labels and scores of all samples of `loader`, in its order.

        Raises
        ------
        AttributeError
            If the learner has no ``predict``.
        DataError
            If a batch is not inputs and targets.
        """
        import numpy as np

        learner: Any = self.learner
        score = getattr(learner, "decision_function", None)

        def predicted(batch: Any) -> tuple[Any, Any, Any]:
            X, y = _pair(batch)
            return _on_host(y), learner.predict(X), score(X) if score is not None else None

        with self._evaluating():
            parts = self._computed(loader, predicted)
        targets, labels, scores = zip(*parts, strict=True)
        return Predictions(
            np.concatenate(targets), np.concatenate(labels), None if score is None else np.concatenate(scores)
        )

    def _computed(self, loader: Any, compute: Callable[[Any], Any]) -> list[Any]:
        """What `compute` makes of each batch, in the order of the batches, whichever process has computed it."""
        if self.processes.size == 1:
            return [compute(batch) for batch in as_loader(loader).batches(0)]
        own = {number: compute(batch) for number, batch in dealt(loader, self.processes)}
        own.pop(None, None)
        everything = {
            number: value for values in self.processes.gather(_on_host(own)) for number, value in values.items()
        }
        return [everything[number] for number in sorted(everything)]

    def _evaluating(self) -> AbstractContextManager[None]:
        """What is entered around a whole pass, so that it is paid for once: random states stay what they are."""
        context: AbstractContextManager[None] = getattr(self.learner, "evaluating", preserve_random_state)()
        return context


def _pair(batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch; DataError if it has other parts."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise DataError(f"predictions are made for batches (X, y), got {type(batch).__name__} of {len(batch)} parts")
    return batch[0], batch[1]


def _on_host(value: Any) -> Any:
    """The same nest with its tensors on the CPU."""
    if isinstance(value, dict):
        return {key: _on_host(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_on_host, value))
    return value.cpu() if hasattr(value, "cpu") else value
