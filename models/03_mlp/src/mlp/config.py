"""The multi-layer perceptron's experiments: what hidden units make possible, and what they cannot know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aifs_engine.experiment import Claim, require_choice, require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError
from aifs_utils.names import look_up
from mlp.constants import NAME


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run; they validate themselves."""

    dataset: str  # a name of aifs_data.list_datasets()
    data_options: Mapping[str, float] = field(default_factory=dict)  # n_samples, noise… of a generated set
    standardize: bool = False  # bring inputs to mean 0 and deviation 1
    frame: str = ""  # of images: "", "centred" in a larger frame, or "shifted", which moves those of the test part
    framework: str = "numpy"  # backpropagation by hand, or "torch": by PyTorch
    hidden_sizes: tuple[int, ...] = (16,)  # units of each hidden layer
    activation: str = "tanh"  # of the hidden units, or "sigmoid"
    criterion: str = "cross-entropy"  # of softmax outputs, or "squared-error" of sigmoid ones
    gain: float = 1.0  # how large the first weights are, see mlp.initial
    learning_rate: float = 0.1  # ε
    momentum: float = 0.9  # α
    epochs: int = 100  # passes over the training data
    batch_size: int = 32  # samples per update
    seed: int = 0  # of data, split, first weights and order
    claim: Claim | None = None
    next_step: str = ""  # what to run next, and why

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ConfigError(f"dataset must be the name of a data set, got {self.dataset!r}")
        if not isinstance(self.hidden_sizes, tuple):
            raise ConfigError(f"hidden_sizes must be a tuple of numbers of units, got {self.hidden_sizes!r}")
        for n_units in self.hidden_sizes:
            require_positive_int("each of hidden_sizes", n_units)
        if isinstance(self.momentum, bool) or not isinstance(self.momentum, int | float) or not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must be at least 0 and less than 1, got {self.momentum!r}")
        require_positive_int("epochs", self.epochs)
        require_positive_int("batch_size", self.batch_size)
        require_positive("learning_rate", self.learning_rate)
        require_positive("gain", self.gain)
        require_choice("frame", self.frame, ("", "centred", "shifted"))
        require_choice("framework", self.framework, ("numpy", "torch"))
        require_choice("activation", self.activation, ("sigmoid", "tanh"))
        require_choice("criterion", self.criterion, ("squared-error", "cross-entropy"))


def _strength(bound: float, reason: str) -> Claim:
    return Claim(metric="test_accuracy", at_least=bound, kind="strength", reason=reason)


def _weakness(bound: float, reason: str) -> Claim:
    return Claim(metric="test_accuracy", at_most=bound, kind="weakness", reason=reason)


def _run(experiment: str, model: str = NAME, options: str = "") -> str:
    return f"uv run --package {model} train --experiment {experiment}{options}"


_XOR = Config(  # as in the paper: sigmoids, squared error, momentum
    dataset="xor",
    hidden_sizes=(8,),
    activation="sigmoid",
    criterion="squared-error",
    gain=2.0,
    learning_rate=1.0,
    epochs=300,
    batch_size=4,
    claim=_strength(1.0, "hidden units learn the lines whose combination no single line can replace"),
    next_step=f"the same from PyTorch's gradients: {_run('xor-torch')}",
)
_DIGITS = Config(
    dataset="digits",
    framework="torch",
    hidden_sizes=(32,),
    epochs=40,
    claim=_strength(0.93, "thirty-two learned strokes and spots tell ten digits apart"),
    next_step=f"the same digits, a little to the side: {_run('shifted-digits', options=' --visualize')}",
)
_DEEP = replace(_DIGITS, framework="numpy", hidden_sizes=(32,) * 10, learning_rate=0.02)

EXPERIMENTS: dict[str, Config] = {
    "debug": replace(_XOR, epochs=3, claim=None, next_step=f"train until it is right: {_run('xor')}"),
    # strengths: boundaries that no line can draw
    "xor": _XOR,
    "xor-torch": replace(
        _XOR,
        framework="torch",
        claim=_strength(1.0, "autograd applies the same chain rule: the same run, but for rounding"),
        next_step=f"a boundary that closes on itself: {_run('circles', options=' --visualize')}",
    ),
    "circles": Config(
        dataset="circles",
        claim=_strength(0.93, "the sum of a few bent steps encloses the inner circle"),
        next_step=f"two arms wound about each other: {_run('spirals', options=' --visualize')}",
    ),
    "moons": Config(
        dataset="moons",
        claim=_strength(0.93, "the boundary bends between the moons, where a line cuts through both"),
        next_step=f"what a single line does here: {_run('moons', 'perceptron', ' --visualize')}",
    ),
    "spirals": Config(
        dataset="spirals",
        standardize=True,
        framework="torch",
        hidden_sizes=(32, 32),
        learning_rate=0.05,
        epochs=300,
        claim=_strength(0.93, "the second layer folds what the first has bent, until the arms come apart"),
        next_step=f"sixty-four inputs instead of two: {_run('digits', options=' --visualize')}",
    ),
    "iris-hard": Config(
        dataset="iris-hard",
        standardize=True,
        learning_rate=0.003,  # with sixty flowers a larger one soon learns them by heart
        claim=_strength(0.8, "where a line is almost right a network that may bend it is no worse"),
        next_step=f"the same flowers by least squares: {_run('iris-hard', 'adaline')}",
    ),
    "digits": _DIGITS,
    "centred-digits": replace(
        _DIGITS,
        frame="centred",
        claim=_strength(0.93, "with room around them the digits are as easy, as long as each stays in the centre"),
    ),
    "deep-tanh": replace(
        _DEEP,
        claim=_strength(0.93, "the slope of tanh is 1 in the middle, so the error passes through ten layers"),
        next_step=f"the same network of the paper's units: {_run('deep-sigmoid')}",
    ),
    # weaknesses: what the network cannot know, and what back-propagation cannot reach
    "shifted-digits": replace(
        _DIGITS,
        frame="shifted",
        claim=_weakness(0.2, "weights are not shared: two pixels aside, the ink meets others than those that learned"),
        next_step="one set of weights for all places: the convolution (LeNet-5, later in this series). "
        f"The same network on digits that stay in place: {_run('centred-digits')}",
    ),
    "deep-sigmoid": replace(
        _DEEP,
        activation="sigmoid",
        claim=_weakness(0.2, "a sigmoid's slope is at most 1/4, so the error fades before it has passed ten layers"),
        next_step=f"units with a steeper middle: {_run('deep-tanh')}",
    ),
}


def get_config(name: str) -> Config:
    """Return the experiment of that name; ConfigError with a suggestion if there is none."""
    return look_up(EXPERIMENTS, name, "experiment")
