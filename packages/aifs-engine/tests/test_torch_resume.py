"""A run with torch that is stopped anywhere ends in the same bytes as one that was not."""

import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import Callback, Interrupted, Trainer, load_checkpoint  # noqa: E402  # only where torch is
from aifs_engine.torch_learner import TorchLearner  # noqa: E402
from aifs_engine.torch_optimizers import Adam  # noqa: E402
from aifs_utils.seeds import get_random_state, set_random_seed  # noqa: E402

PROGRAM = Path(__file__).parent / "torch_resume_program.py"
program = SimpleNamespace(**runpy.run_path(str(PROGRAM)))


class StopAt(Callback):
    """Stops the run as Ctrl-C does, after so many steps."""

    def __init__(self, step):
        self.target = step

    def on_step_end(self, trainer):
        if trainer.step == self.target:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures():
    """The loaders of training and validation."""
    return program.Pictures(), list(program.Pictures().batches(0))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pictures):
    """A function that returns the folder of the run that is never stopped."""
    folders = {}

    def train(model, precision):
        if (model, precision) not in folders:
            folder = folders[model, precision] = tmp_path_factory.mktemp("whole")
            program.new_trainer(folder, model, precision).train(*pictures)
        return folders[model, precision]

    return train


def stopped(folder, pictures, model, precision, step):
    """The state of a run that is stopped after so many steps."""
    with pytest.raises(Interrupted):
        program.new_trainer(folder, model, precision, StopAt(step)).train(*pictures)
    return load_checkpoint(folder / "last.safetensors").state


def assert_same_files(one, other):
    for name in ("last.safetensors", "best.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# 1 and 2: within the first window of accumulation. 8: at the epoch's end, its last window not yet applied.
@pytest.mark.parametrize("step", [1, 2, 3, 8, 13, 24])
@pytest.mark.parametrize(
    ("model", "precision"), [("mlp", "fp32"), ("mlp", "bf16"), ("mlp", "fp16"), ("convolutional", "fp32")]
)
def test_a_run_stopped_at_any_step_and_continued_ends_in_the_same_bytes(
    tmp_path, whole, pictures, model, precision, step
):
    """Weights, optimizer, schedule, loss scale, averages, history and best epoch."""
    state = stopped(tmp_path, pictures, model, precision, step)
    trainer = program.new_trainer(tmp_path, model, precision)
    set_random_seed(99)  # another process would not be in the same random state
    trainer.load_state_dict(state)
    assert trainer.step == step
    trainer.train(*pictures)
    assert_same_files(tmp_path, whole(model, precision))


OF_THE_LEARNER = ["model", "optimizer", "scheduler", "scaler", "ema", "accumulated", "updates"]
OF_THE_TRAINER = ["position", "means", "history", "callbacks", "random"]


@pytest.mark.parametrize("left_out", OF_THE_LEARNER + OF_THE_TRAINER)
def test_each_piece_of_the_state_is_needed(tmp_path, whole, pictures, left_out):
    """The proof that the test above can fail: without any one piece the continued run differs."""
    state = stopped(tmp_path, pictures, "mlp", "fp16", 13)
    trainer = program.new_trainer(tmp_path, "mlp", "fp16")
    fresh = trainer.state_dict()
    set_random_seed(99)
    fresh["random"] = get_random_state()
    if left_out in OF_THE_LEARNER:
        assert state["learner"][left_out] is not None
        state["learner"][left_out] = fresh["learner"][left_out]
    else:
        state[left_out] = fresh[left_out]
    trainer.load_state_dict(state)
    trainer.train(*pictures)
    files = [(folder / "last.safetensors").read_bytes() for folder in (tmp_path, whole("mlp", "fp16"))]
    assert files[0] != files[1]


class Adversarial(TorchLearner):
    """The smallest generative adversarial network: a line that is to hit a cloud of points."""

    def discriminator_loss(self, batch):
        made = self.model["generator"](torch.randn(len(batch), 2)).detach()
        judged = self.model["discriminator"](torch.cat([batch, made]))[:, 0]
        real = torch.cat([torch.ones(len(batch)), torch.zeros(len(batch))])
        return torch.nn.functional.binary_cross_entropy_with_logits(judged, real), {}

    def generator_loss(self, batch):
        judged = self.model["discriminator"](self.model["generator"](torch.randn(len(batch), 2)))[:, 0]
        return torch.nn.functional.softplus(-judged).mean(), {}

    def train_step(self, batch):
        loss = self.minimize(self.discriminator_loss, batch, "discriminator")["loss"]
        return {"loss": loss, "generator_loss": self.minimize(self.generator_loss, batch, "generator")["loss"]}


def new_adversarial(**options):
    set_random_seed(0)
    generator, discriminator = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    model = torch.nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    optimizers = {
        "discriminator": Adam(discriminator.parameters(), lr=0.05),
        "generator": Adam(generator.parameters(), lr=0.02),
    }
    return Adversarial(model, optimizers, ema_decay=0.9, **options)


@pytest.fixture
def points():
    """Six batches of points around (3, 3)."""
    return list((3 + torch.randn(48, 2, generator=torch.Generator().manual_seed(0))).split(8))


def test_two_optimizers_make_one_step_and_each_moves_its_own(points):
    """The generator's gradients flow through the discriminator and leave nothing there."""
    learner = new_adversarial()
    before = learner.state_dict()["model"]["generator.weight"].copy()
    learner.minimize(learner.discriminator_loss, points[0], "discriminator")
    assert (learner.state_dict()["model"]["generator.weight"] == before).all()
    kept = [parameter.grad.clone() for parameter in learner.model["discriminator"].parameters()]
    learner.minimize(learner.generator_loss, points[0], "generator")
    now = [parameter.grad for parameter in learner.model["discriminator"].parameters()]
    assert all(torch.equal(one, other) for one, other in zip(kept, now, strict=True))
    assert (learner.state_dict()["model"]["generator.weight"] != before).all()
    trainer = Trainer(learner, epochs=1)
    trainer.train(points)
    assert (trainer.step, learner.updates) == (6, 7)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_two_optimizers_resume_to_the_bit(points, accumulate):
    """In the middle of an epoch, and of both windows."""
    whole = Trainer(new_adversarial(accumulate=accumulate), epochs=3)
    whole.train(points)
    first = Trainer(new_adversarial(accumulate=accumulate), epochs=3, callbacks=[StopAt(9)])
    with pytest.raises(Interrupted):
        first.train(points)
    state = first.state_dict()
    second = Trainer(new_adversarial(accumulate=accumulate), epochs=3)
    set_random_seed(99)
    second.load_state_dict({**state, "callbacks": {}})
    second.train(points)
    assert second.history == whole.history
    torch.testing.assert_close(
        second.learner.state_dict(), whole.learner.state_dict(), rtol=0, atol=0, check_device=False
    )


def start(folder, *arguments):
    """Start the program, and return it with the step it goes on from."""
    command = [sys.executable, "-W", "error", str(PROGRAM), str(folder), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("model", "precision"), [("mlp", "fp32"), ("mlp", "bf16"), ("mlp", "fp16"), ("convolutional", "fp32")]
)
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(tmp_path, model, precision, threads):
    """SIGKILL, three times in each run."""
    arguments = (model, precision, threads)
    process, _ = start(tmp_path / "whole", *arguments)
    began = time.perf_counter()
    process.communicate()
    duration = time.perf_counter() - began
    chance = random.Random(f"{arguments}")
    went_on_from = []
    for _ in range(3):
        process, step = start(tmp_path / "killed", *arguments)
        went_on_from.append(step)
        time.sleep(chance.uniform(0, duration / 2))
        process.kill()
        process.communicate()
    process, step = start(tmp_path / "killed", *arguments)
    process.communicate()
    assert process.returncode == 0
    assert max([*went_on_from, step]) > 0  # at least one kill came after a checkpoint
    assert_same_files(tmp_path / "whole", tmp_path / "killed")
