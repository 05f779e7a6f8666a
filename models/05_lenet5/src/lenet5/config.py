"""LeNet-5's experiments: what shared weights are good at, and what one plane of 32 × 32 cannot show them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from aifs_engine.experiment import Claim, require_choice, require_positive, require_positive_int
from aifs_utils.exceptions import ConfigError
from aifs_utils.names import look_up
from lenet5.constants import NAME


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run; they validate themselves."""

    framework: ClassVar[str] = "torch"

    dataset: str  # a name of aifs_data.list_datasets()
    data_options: Mapping[str, float] = field(default_factory=dict)  # val_fraction of an official training part
    epochs: int = 12  # passes over the training data; the learning rate reaches 0 with the last step
    batch_size: int = 64  # samples whose mean gradient makes a step
    accumulate: int = 1  # batches whose gradients make one step together
    learning_rate: float = 0.002  # Adam's, at the start
    output: str = "softmax"  # what follows F6: ten logits, or the paper's "rbf"
    dropout: float = 0.0  # share of C5's outputs that F6 does not see
    rotation: float = 0.0  # degrees by which a training picture is turned at most, and
    shift: int = 0  # pixels by which it is moved at most, anew in each epoch
    test_shift: int = 0  # pixels by which every test picture is moved
    coloured: bool = False  # print the pictures in colours that are as bright as their paper
    compare: bool = False  # train a multi-layer perceptron beside it
    seed: int = 0  # of data, weights, order and augmentation
    claim: Claim | None = None
    next_step: str = ""  # what to run next, and why

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ConfigError(f"dataset must be the name of a data set, got {self.dataset!r}")
        for name in ("epochs", "batch_size", "accumulate"):
            require_positive_int(name, getattr(self, name))
        require_positive("learning_rate", self.learning_rate)
        require_choice("output", self.output, ("softmax", "rbf"))
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be a share, from 0 up to but not 1, got {self.dropout!r}")
        if not isinstance(self.rotation, int | float) or not 0 <= self.rotation <= 180:
            raise ConfigError(f"rotation must be an angle from 0 to 180 degrees, got {self.rotation!r}")
        for name in ("shift", "test_shift"):
            pixels = getattr(self, name)
            if isinstance(pixels, bool) or not isinstance(pixels, int) or not 0 <= pixels < 32:
                raise ConfigError(f"{name} must be a whole number of pixels from 0 to 31, got {pixels!r}")
        if self.compare and self.output != "softmax":
            raise ConfigError(f"compare needs output='softmax', which both networks then have, got {self.output!r}")


def _strength(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_least=bound, kind="strength", reason=reason)


def _weakness(bound: float, reason: str, metric: str = "test_accuracy") -> Claim:
    return Claim(metric=metric, at_most=bound, kind="weakness", reason=reason)


def _run(experiment: str, options: str = "") -> str:
    return f"uv run --package {NAME} train --experiment {experiment}{options}"


_DIGITS = Config(dataset="digits", epochs=15, batch_size=32)
_MNIST = Config(dataset="mnist", shift=1)

EXPERIMENTS: dict[str, Config] = {
    "debug": replace(_DIGITS, epochs=2, next_step=f"train until it reads: {_run('digits')}"),
    # strengths: what is learned about a pattern in one place is known in all
    "digits": replace(
        _DIGITS,
        claim=_strength(0.95, "a thousand small digits are enough: wherever a stroke is, it teaches the same kernels"),
        next_step=f"the handwriting of hundreds of people: {_run('mnist', ' --visualize')}",
    ),
    "mnist": replace(
        _MNIST,
        claim=_strength(0.989, "shared kernels and subsampling spend 60,000 weights on what digits have in common"),
        next_step=f"the output layer of the paper: {_run('mnist-rbf', ' --visualize')}",
    ),
    "mnist-rbf": replace(
        _MNIST,
        output="rbf",
        claim=_strength(0.989, "F6 learns to draw the digit that it reads, and the nearest drawing is the answer"),
        next_step=f"the same digits, where training never showed them: {_run('shifted-mnist')}",
    ),
    "shifted-digits": replace(
        _DIGITS,
        epochs=30,
        test_shift=2,
        compare=True,
        claim=_strength(
            0.02,
            "two pixels aside, the same kernels find the same strokes; a weight per pixel meets others",
            "test_advantage",
        ),
        next_step=f"the more handwriting it has seen, the larger its advantage: {_run('shifted-mnist')}",
    ),
    "shifted-mnist": replace(
        _MNIST,
        shift=0,
        epochs=5,
        test_shift=2,
        compare=True,
        claim=_strength(
            0.15,
            "two pixels aside, the same kernels find the same strokes; a weight per pixel meets others",
            "test_advantage",
        ),
        next_step=f"how far its patience reaches: {_run('shifted-far')}",
    ),
    # weaknesses: places that C5 has not seen, one plane of brightness, and few kernels
    "shifted-far": replace(
        _DIGITS,
        test_shift=4,
        claim=_weakness(0.4, "subsampling forgives a few pixels; C5 ties what is left to the places of the training"),
        next_step=f"two pixels, beside a network without kernels: {_run('shifted-digits')}",
    ),
    "colour-digits": replace(
        _DIGITS,
        coloured=True,
        claim=_weakness(0.2, "ink and paper differ in hue and are equally bright: the one plane of the input is blank"),
        next_step=f"pictures that are plain in grey, and still too rich for six kernels: {_run('photographs')}",
    ),
    "photographs": Config(
        dataset="cifar-10-10k",
        epochs=15,
        shift=2,
        claim=_weakness(0.55, "six first kernels and no colour are too little for birds and cars from every side"),
        next_step="more kernels, more layers and all three colours (AlexNet, later in this series). "
        f"What it was made for: {_run('mnist', ' --visualize')}",
    ),
}


def get_config(name: str) -> Config:
    """Return the experiment of that name; ConfigError with a suggestion if there is none."""
    return look_up(EXPERIMENTS, name, "experiment")
