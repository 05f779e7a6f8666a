"""The perceptron's experiments: what it learns, and where every line must fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aifs_engine.experiment import Claim, require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError
from aifs_utils.names import look_up
from perceptron.constants import NAME


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run; they validate themselves."""

    dataset: str  # a name of aifs_data.list_datasets()
    data_options: Mapping[str, float] = field(default_factory=dict)  # n_samples, noise… of a generated set
    features: tuple[str, ...] = ()  # names of the inputs to use; none: all of them
    standardize: bool = False  # whether inputs are first brought to mean 0 and deviation 1
    epochs: int = 100  # passes over the training data at most; one without a mistake is the last
    batch_size: int = 4096  # samples per step; they are learned one by one, so no weight depends on it
    learning_rate: float = 1.0  # scales the weights, which begin at zero, and so changes no answer
    pocket: bool = False  # whether the best weights so far are kept aside (Gallant, 1990)
    seed: int = 0  # of data, split and order
    claim: Claim | None = None
    next_step: str = ""  # what to run next, and why

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ConfigError(f"dataset must be the name of a data set, got {self.dataset!r}")
        require_positive_int("epochs", self.epochs)
        require_positive_int("batch_size", self.batch_size)
        require_positive("learning_rate", self.learning_rate)


def _strength(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_least=bound, kind="strength", reason=reason)


def _weakness(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_most=bound, kind="weakness", reason=reason)


def _run(experiment: str, model: str = NAME, options: str = "") -> str:
    return f"uv run --package {model} train --experiment {experiment}{options}"


_HIDDEN_LAYER = (
    "a hidden layer: two lines and a unit that combines them (the multi-layer perceptron, later in this series)"
)

_AND = Config(
    dataset="and",
    claim=_strength(1.0, "a line separates the one true point from the three others, so the rule finds one"),
    next_step=f"the same four points with other labels, which no line separates: {_run('xor', options=' --visualize')}",
)
_XOR = Config(
    dataset="xor",
    epochs=30,  # its weights go round in circles: nothing new would come
    claim=_weakness(0.75, "a line is right about three of the four points at most"),
    next_step=f"XOR needs {_HIDDEN_LAYER}. The best that one line can do: {_run('xor-pocket', options=' --visualize')}",
)
_MOONS = Config(
    dataset="moons",
    data_options={"n_samples": 2000},  # so many that a bound can be tight: 400 to test on
    epochs=50,
    claim=_weakness(0.92, "a line cuts through both moons, and the rule leaves it wherever the last mistake took it"),
    next_step=f"is it the rule or the line? Keep its best weights: {_run('moons-pocket', options=' --visualize')}",
)
_IRIS_EASY = Config(
    dataset="iris-easy",
    standardize=True,
    claim=_strength(0.95, "setosa lies far from versicolor: a wide margin takes few corrections (Novikoff)"),
    next_step=f"two species that overlap: {_run('iris-hard', options=' --visualize')}",
)
_IRIS_HARD = Config(
    dataset="iris-hard",
    # With all four measurements the training part of every second split is separable, and there is nothing to see.
    features=("sepal length (cm)", "sepal width (cm)"),
    # On the training part, in the last pass: twenty test flowers cannot tell 0.6 from 0.8.
    claim=_weakness(
        0.75, "by their sepals the two species overlap, and the rule never comes to rest", "train_accuracy"
    ),
    next_step=f"is it the rule or the line? Keep its best weights: {_run('iris-hard-pocket', options=' --visualize')}",
)

EXPERIMENTS: dict[str, Config] = {
    "debug": Config(dataset="and-cloud", epochs=3, next_step=f"train until it is right: {_run('and')}"),
    # strengths: a line is enough
    "and": _AND,
    "or": replace(
        _AND,
        dataset="or",
        claim=_strength(1.0, "a line separates the one false point from the three others, so the rule finds one"),
    ),
    "linearly-separable": Config(
        dataset="linearly-separable",
        claim=_strength(0.95, "the classes are a margin apart, so the rule makes finitely many mistakes (Novikoff)"),
        next_step=f"classes that no line separates: {_run('circles', options=' --visualize')}",
    ),
    "iris-easy": _IRIS_EASY,
    "digits-0-1": Config(
        dataset="digits-0-1",
        claim=_strength(0.95, "in 64 dimensions zeros and ones are linearly separable"),
        next_step=f"all ten digits, one output each: {_run('digits', options=' --visualize')}",
    ),
    "digits": Config(
        dataset="digits",
        epochs=30,
        claim=_strength(0.9, "ten outputs, each telling one digit from the rest, go a long way on 8 × 8 pixels"),
        next_step=f"a rule that also learns from right answers: {_run('digits-0-1', 'adaline', ' --visualize')}",
    ),
    "breast-cancer": Config(
        dataset="breast-cancer",
        standardize=True,
        claim=_strength(0.85, "in thirty standardized measurements a plane separates nearly all tumours"),
        next_step=f"the same data, learned from the size of the error: {_run('breast-cancer', 'adaline')}",
    ),
    # weaknesses: no line is
    "xor": _XOR,
    "iris-hard": _IRIS_HARD,
    "circles": Config(
        dataset="circles",
        data_options={"n_samples": 2000},
        epochs=50,
        claim=_weakness(0.7, "a line cannot enclose the inner circle: two samples in three is the best it can do"),
        next_step=f"classes that a line nearly separates: {_run('moons', options=' --visualize')}",
    ),
    "moons": _MOONS,
    # the rule's best weights kept aside: as good as a line gets, so what is left is the line's weakness
    "xor-pocket": replace(
        _XOR,
        pocket=True,
        epochs=1000,
        claim=_strength(0.75, "the pocket keeps weights that are right about three of four, and no line does better"),
        next_step=f"XOR needs {_HIDDEN_LAYER}. Where one line is enough: {_run('breast-cancer')}",
    ),
    "moons-pocket": replace(
        _MOONS,
        pocket=True,
        claim=_strength(0.82, "its best weights are as good as a line gets here, about seven samples in eight"),
        next_step=f"curved classes need {_HIDDEN_LAYER}. A rule that comes to rest where no line is right: "
        f"{_run('rules-compared', 'adaline', ' --visualize')}",
    ),
    "iris-hard-pocket": replace(
        _IRIS_HARD,
        pocket=True,
        epochs=500,
        claim=_strength(
            0.65, "its best weights are about as good as a line gets on these sixty flowers", "train_pocket_accuracy"
        ),
        next_step=f"where a plane does well: {_run('breast-cancer')}",
    ),
}


def get_config(name: str) -> Config:
    """Return the experiment of that name; ConfigError with a suggestion if there is none."""
    return look_up(EXPERIMENTS, name, "experiment")
