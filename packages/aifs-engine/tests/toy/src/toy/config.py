"""Experiments of a model that exists only to test the engine's commands."""

from dataclasses import dataclass

from aifs_engine.experiment import Claim, require_positive, require_positive_int


@dataclass(frozen=True, kw_only=True)
class Config:
    epochs: int = 5
    batch_size: int = 8
    learning_rate: float = 0.1
    seed: int = 0
    n_features: int = 3
    step_seconds: float = 0.0
    fails_in: str = ""
    data_from_seed: bool = False
    claim: Claim | None = None
    next_step: str = ""

    def __post_init__(self):
        require_positive_int("epochs", self.epochs)
        require_positive_int("batch_size", self.batch_size)
        require_positive("learning_rate", self.learning_rate)


EXPERIMENTS = {
    "line": Config(
        claim=Claim(metric="test_accuracy", at_least=0.9, kind="strength", reason="the classes are separable"),
        next_step="try the wide one",
    ),
    "wide": Config(n_features=7),
    "slow": Config(epochs=40, step_seconds=0.004),
    "long": Config(epochs=900, step_seconds=0.002),
    "redrawn": Config(data_from_seed=True),
    "broken-data": Config(fails_in="data"),
    "broken-step": Config(fails_in="step"),
    "explodes": Config(fails_in="nan"),
}
