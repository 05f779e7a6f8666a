"""ADALINE's experiments: what least squares is good at, and where it is misled."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from adaline.constants import NAME
from aifs_engine.experiment import Claim, require_choice, require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError
from aifs_utils.names import look_up


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run; they validate themselves."""

    dataset: str  # a name of aifs_data.list_datasets()
    data_options: Mapping[str, float] = field(default_factory=dict)  # n_samples, noise… of a generated set
    epochs: int = 30  # passes over the training data
    batch_size: int = 32  # samples per step; by the per-sample rule they are still learned one by one
    learning_rate: float = 0.01  # η
    rule: str = "per-sample"  # the rule of 1960, or "batch": one step along the mean gradient
    standardize: bool = True  # bring inputs to mean 0 and deviation 1, so that one η suits them all
    outliers: float = 0.0  # share of class 1's training samples that are moved far out, on their own side
    compare: bool = False  # train the perceptron's rule beside it
    seed: int = 0  # of data, split and order
    claim: Claim | None = None
    next_step: str = ""  # what to run next, and why

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ConfigError(f"dataset must be the name of a data set, got {self.dataset!r}")
        if not isinstance(self.outliers, int | float) or not 0 <= self.outliers <= 1:
            raise ConfigError(f"outliers must be a share, from 0 to 1, got {self.outliers!r}")
        require_positive_int("epochs", self.epochs)
        require_positive_int("batch_size", self.batch_size)
        require_positive("learning_rate", self.learning_rate)
        require_choice("rule", self.rule, ("per-sample", "batch"))


def _strength(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_least=bound, kind="strength", reason=reason)


def _weakness(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_most=bound, kind="weakness", reason=reason)


def _run(experiment: str, model: str = NAME, options: str = "") -> str:
    return f"uv run --package {model} train --experiment {experiment}{options}"


_HIDDEN_LAYER = "a hidden layer, which needs backpropagation (the multi-layer perceptron, later in this series)"

_GATE = Config(dataset="and", epochs=50, batch_size=4, learning_rate=0.1, standardize=False)
_DIGITS = Config(
    dataset="digits-0-1",
    learning_rate=0.002,
    standardize=False,
    claim=_strength(0.98, "a zero is dark where a one is bright: one weight per pixel tells them apart"),
    next_step=f"the same by the mean gradient of a batch: {_run('digits-0-1-batch', options=' --visualize')}",
)

EXPERIMENTS: dict[str, Config] = {
    "debug": replace(_GATE, epochs=3, next_step=f"train until it is right: {_run('and')}"),
    # strengths: squared distances lead to a good line
    "and": replace(
        _GATE,
        claim=_strength(1.0, "the line of least squares for AND has (1, 1) alone on its upper side"),
        next_step=f"no line will do for the same four points with other labels: {_run('xor', options=' --visualize')}",
    ),
    "or": replace(
        _GATE,
        dataset="or",
        claim=_strength(1.0, "the line of least squares for OR has (0, 0) alone on its lower side"),
        next_step=f"no line will do for the same four points with other labels: {_run('xor', options=' --visualize')}",
    ),
    "iris-easy": Config(
        dataset="iris-easy",
        claim=_strength(1.0, "setosa and versicolor are two far clouds, and least squares puts its line between them"),
        next_step=f"two species that overlap: {_run('iris-hard')}",
    ),
    "iris-hard": Config(
        dataset="iris-hard",
        epochs=50,
        claim=_strength(0.8, "the clouds touch, and the line that balances squared distances is close to the best one"),
        next_step=f"the perceptron on the same species, by their sepals: {_run('iris-hard', 'perceptron')}",
    ),
    "breast-cancer": Config(
        dataset="breast-cancer",
        learning_rate=0.001,
        claim=_strength(0.9, "thirty measurements together are almost linearly separable"),
        next_step=f"the same data, learned from mistakes only: {_run('breast-cancer', 'perceptron')}",
    ),
    "digits-0-1": _DIGITS,
    "digits-0-1-batch": replace(
        _DIGITS,
        epochs=100,
        learning_rate=0.05,
        rule="batch",
        claim=_strength(0.98, "the mean gradient of a batch leads to the same line as one sample at a time"),
        next_step=f"all ten digits, one perceptron each: {_run('digits', 'perceptron', ' --visualize')}",
    ),
    "rules-compared": Config(
        dataset="blobs",
        data_options={"n_classes": 2, "noise": 0.6, "n_samples": 2000},
        epochs=20,
        learning_rate=0.002,
        compare=True,
        claim=_strength(
            0.002,  # above zero, which is what two rules that learn nothing would have
            "where clouds overlap the perceptron's line never rests; least squares settles near the best",
            "test_advantage",
        ),
        next_step=f"the price of listening to every distance: {_run('outliers', options=' --visualize')}",
    ),
    # weaknesses: no line is right, or squared distances lead to a bad one
    "xor": replace(
        _GATE,
        dataset="xor",
        claim=_weakness(0.75, "no line separates XOR, whatever rule moves it"),
        next_step=f"XOR needs {_HIDDEN_LAYER}. The best that one line can do: {_run('xor-pocket', 'perceptron')}",
    ),
    "circles": Config(
        dataset="circles",
        data_options={"n_samples": 1000},
        learning_rate=0.005,
        claim=_weakness(0.7, "a line cannot enclose the inner circle: two samples in three is the best it can do"),
        next_step=f"a boundary that bends needs {_HIDDEN_LAYER}. Where one line is enough: {_run('breast-cancer')}",
    ),
    "outliers": Config(
        dataset="linearly-separable",
        data_options={"n_samples": 1000, "margin": 0.2},
        epochs=60,
        learning_rate=0.0005,
        standardize=False,
        outliers=0.2,
        compare=True,
        claim=_weakness(
            -0.08,
            "samples far out on the right side are errors to least squares; the perceptron ignores them",
            "test_advantage",
        ),
        next_step="an error that levels off far out mends this: the sigmoid (later in this series). "
        f"Where listening to every distance pays: {_run('rules-compared', options=' --visualize')}",
    ),
}


def get_config(name: str) -> Config:
    """Return the experiment of that name; ConfigError with a suggestion if there is none."""
    return look_up(EXPERIMENTS, name, "experiment")
