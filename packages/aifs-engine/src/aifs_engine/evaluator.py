"""Measuring a learner on data that it does not learn from."""

from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

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
        return {"n_samples": self.n_samples, "sums": {name: float(total) for name, total in self.sums.items()}}


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

    def evaluate(self, loader: Any, prefix: str = "") -> dict[str, float]:
        """Means of the learner's metrics over all samples of `loader`, each name with `prefix` before it."""
        means = RunningMeans()
        eval_step = self.learner.eval_step
        with self._evaluating():
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
        with self._evaluating():
            pairs = map(_pair, as_loader(loader).batches(0))
            parts = [(_on_host(y), learner.predict(X), score(X) if score is not None else None) for X, y in pairs]
        targets, labels, scores = zip(*parts, strict=True)
        return Predictions(
            np.concatenate(targets), np.concatenate(labels), None if score is None else np.concatenate(scores)
        )

    def _evaluating(self) -> AbstractContextManager[None]:
        """What is entered around a whole pass, so that it is paid for once: random states stay what they are."""
        context: AbstractContextManager[None] = getattr(self.learner, "evaluating", preserve_random_state)()
        return context


def _pair(batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch; DataError if it has other parts."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise DataError(f"predictions are made for batches (X, y), got {type(batch).__name__} of {len(batch)} parts")
    return batch[0], batch[1]


def _on_host(targets: Any) -> Any:
    return targets.cpu() if hasattr(targets, "cpu") else targets
