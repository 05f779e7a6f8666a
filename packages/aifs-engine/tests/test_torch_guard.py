"""A loss or a gradient that is not finite stops the run before its update is kept, and is told of precisely."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from torch import nn  # noqa: E402  # only where torch is

from aifs_engine import Callback, Checkpointing, NonFiniteError, Trainer, load_checkpoint  # noqa: E402
from aifs_engine.torch_guard import NOT_AGAIN, DeferredGuard, exact_norm, explain  # noqa: E402
from aifs_engine.torch_learner import TorchLearner  # noqa: E402
from aifs_engine.torch_optimizers import SGD, Adam  # noqa: E402
from aifs_engine.torch_updates import clip  # noqa: E402

OPTIMIZERS = {
    "ours": lambda parameters: Adam(parameters, lr=0.01),
    "ours, in place": lambda parameters: SGD(parameters, lr=0.01),
    "torch's": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
}


class Distance(TorchLearner):
    """The distance between outputs and targets: where it is 0, it is finite and its gradient is not."""

    def loss(self, batch):
        X, y = batch
        return (self.model(X) - y).square().sum().sqrt(), {}


class DeferredDistance(Distance):
    """The same with the guard of accelerators, on the CPU."""

    def _new_guard(self):
        return DeferredGuard(self._explain)


class Batches:
    """Six batches of four samples; the one numbered `bad` has the model's own outputs as its targets."""

    def __init__(self, learner, bad=3):
        self.learner, self.bad = learner, bad

    def __len__(self):
        return 6

    def batches(self, epoch, start=0):
        for number in range(start, 6):
            generator = torch.Generator().manual_seed(number)
            X, y = torch.randn(4, 3, generator=generator), torch.randn(4, 1, generator=generator)
            yield X, self.outputs(X) if number == self.bad else y

    def outputs(self, X):
        return torch.from_numpy(self.learner.decision_function(X))[:, None]

    def batch_indices(self, epoch, batch):
        return np.arange(4) + 10 * batch


def new_learner(kind=Distance, optimizer="ours", **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return kind(model, OPTIMIZERS[optimizer](model.parameters()), nn.MSELoss(), **options)


def weights_of(learner):
    return {name: parameter.detach().clone() for name, parameter in learner.model.named_parameters()}


def are_finite(learner):
    return all(bool(torch.isfinite(parameter).all()) for parameter in learner.model.parameters())


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def bad_batch(learner):
    return next(iter(Batches(learner, bad=0).batches(0)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 1.0}, {"precision": "bf16"}, {"accumulate": 2}], ids=str)
def test_a_gradient_that_is_not_finite_stops_the_run_before_its_update(optimizer, options):
    """Though the loss is finite; the weights are those from before the step."""
    learner = new_learner(optimizer=optimizer, **options)
    before = weights_of(learner)
    with pytest.raises(NonFiniteError, match="a gradient is not finite at loss 0") as caught:
        learner.train_step(bad_batch(learner))
    assert caught.value.details == "gradient norm nan; first bad tensor: gradient of 2.bias"
    assert_same(weights_of(learner), before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_not_finite_stops_the_run_before_its_update(value, precision):
    """Whatever its gradients are, and though a scaler would pass over them in silence."""
    learner = new_learner(TorchLearner, precision=precision)
    before = weights_of(learner)
    learner.criterion = lambda outputs, targets: outputs.mean() * 0 + value
    with pytest.raises(NonFiniteError, match=f"loss is {value}") as caught:
        learner.train_step(bad_batch(learner))
    assert caught.value.details.endswith("first bad tensor: the loss itself, of finite outputs")
    assert_same(weights_of(learner), before)


def test_without_the_guard_the_weights_are_spoiled():
    """The proof that the tests above can fail."""
    learner = new_learner(guard=False)
    learner.train_step(bad_batch(learner))
    assert not are_finite(learner)


@pytest.mark.parametrize("kind", [Distance, DeferredDistance])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 1.0}, {"accumulate": 2}], ids=str)
def test_the_error_names_the_step_its_samples_and_what_went_wrong(kind, optimizer, options):
    """At once, or one step later; either way no weight is spoiled."""
    learner = new_learner(kind, optimizer, **options)
    trainer = Trainer(learner, epochs=2)
    with pytest.raises(NonFiniteError) as caught:
        trainer.train(Batches(learner))
    moved_on = kind is DeferredDistance and optimizer == "ours"  # Adam's momentum
    first_bad = NOT_AGAIN if moved_on else "gradient of 2.bias"
    assert str(caught.value) == (
        "training diverged: a gradient is not finite at loss 0 in epoch 1, step 4, at learning rate 0.01, "
        f"on samples 30, 31, 32, 33 (4 in the batch); gradient norm nan; first bad tensor: {first_bad}; "
        "last good checkpoint: none; try a smaller learning rate"
    )
    assert trainer.step == (3 if kind is Distance else 4)
    assert are_finite(learner)


@pytest.mark.parametrize("number", [0, 5])
def test_the_deferred_guard_has_its_last_word_at_the_end_of_an_epoch(number):
    """So the epoch's means, and what is validated and saved then, are sound."""
    learner = new_learner(DeferredDistance)
    with pytest.raises(NonFiniteError, match=f"in epoch 1, step {number + 1}, .* on samples {10 * number}, "):
        Trainer(learner, epochs=1).train(Batches(learner, number))


def test_the_deferred_guard_lets_no_bad_state_be_saved(tmp_path):
    """A checkpoint that comes between the bad step and the next one is not written."""
    learner = new_learner(DeferredDistance)
    checkpointing = Checkpointing(tmp_path)

    class SaveAlways(Callback):
        def on_step_end(self, trainer):
            checkpointing.save(trainer)

    with pytest.raises(NonFiniteError, match=r"step 4, .*last good checkpoint: .*last\.safetensors"):
        Trainer(learner, epochs=1, callbacks=[SaveAlways(), checkpointing]).train(Batches(learner))
    assert load_checkpoint(tmp_path / "last.safetensors").header["step"] == 3


def test_a_state_loaded_after_a_bad_step_is_not_blamed_for_it():
    """What the deferred guard still had to say was about other weights."""
    learner = new_learner(DeferredDistance)
    state, before = learner.state_dict(), weights_of(learner)
    state["model"] = {name: array.copy() for name, array in state["model"].items()}
    learner.train_step(bad_batch(learner))
    learner.load_state_dict(state)
    learner.end_epoch()
    assert_same(weights_of(learner), before)


class Steep(torch.autograd.Function):
    """A loss of 1 whose gradients are 3e38 each, which float32 just holds."""

    @staticmethod
    def forward(context, weights):
        return torch.ones(())

    @staticmethod
    def backward(context, gradient):
        return torch.full((1, 2), 3e38)


@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 1.0}], ids=str)
@pytest.mark.parametrize("optimizer", [SGD, torch.optim.SGD])
def test_gradients_whose_sum_overflows_are_not_taken_for_bad(optimizer, options):
    """Neither is their norm, which clipping brings down to what was asked for."""
    model = nn.Linear(2, 1, bias=False)
    learner = TorchLearner(model, optimizer(model.parameters(), lr=1e-38), **options)
    learner.loss = lambda batch: (Steep.apply(model.weight), {})
    before = weights_of(learner)["weight"]
    learner.train_step((torch.zeros(4, 2), None))
    expected = 1e-38 * (0.5**0.5 if options else 3e38)
    assert learner.updates == 1
    torch.testing.assert_close(before - model.weight.detach(), torch.full((1, 2), expected), rtol=1e-5, atol=1e-30)


def test_float16_that_overflows_at_any_scale_stops_the_run():
    """Each update is skipped and the loss scale halved; with a finite loss this would go on for ever."""
    learner = new_learner(precision="fp16")
    before = weights_of(learner)
    with pytest.raises(NonFiniteError, match="gradients overflow float16 even at a loss scale of 1") as caught:
        Trainer(learner, epochs=1).train([bad_batch(learner)] * 100)
    assert caught.value.remedy == "train in bf16 or fp32"
    assert learner.updates == 0
    assert_same(weights_of(learner), before)


def explanation(model, X, y=None):
    batch = (X, torch.zeros(len(X)) if y is None else y)
    return explain(model, lambda: (model(X).sum(1) - batch[1]).square().mean(), batch)


@pytest.fixture
def model():
    """Two layers, the first in a block of its own."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Linear(4, 2))


def test_a_replay_names_what_the_batch_holds(model):
    """Then not the learning rate is to blame, and the error says so."""
    X = torch.ones(2, 3)
    X[1, 2] = math.inf
    found = explanation(model, X)
    assert found.first_bad == "the batch[0]"
    assert found.error("loss is nan").remedy == "look at these samples"
    assert explanation(model, torch.ones(2, 3), torch.tensor([1.0, math.nan])).first_bad == "the batch[1]"


def test_a_replay_names_the_first_weight_or_output(model):
    """Though all that comes after it is as bad."""
    with torch.no_grad():
        model[0][0].weight[2] = 3e38
    assert explanation(model, 10 * torch.ones(2, 3)).first_bad == "output of 0.0 (Linear)"
    with torch.no_grad():
        model[1].bias[1] = math.nan
        model[0][0].weight[2] = 1.0
    found = explanation(model, torch.ones(2, 3))
    assert found.first_bad == "weight 1.bias"
    assert math.isnan(found.norm)


def test_a_replay_in_which_nothing_is_bad_says_so_and_leaves_no_hooks(model):
    """The norm is that of all gradients together."""
    X = torch.ones(2, 3)
    found = explanation(model, X)
    assert found.first_bad == NOT_AGAIN
    model(X).sum(1).square().mean().backward()
    assert found.norm == pytest.approx(exact_norm(parameter.grad for parameter in model.parameters()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
@pytest.mark.parametrize("optimizer", [Adam, torch.optim.Adam])
def test_clipping_is_that_of_torch(model, max_norm, optimizer):
    """To the last bits of float32."""
    learner = TorchLearner(model, optimizer(model.parameters(), lr=0.1))
    model(torch.ones(2, 3)).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    norm = torch.nn.utils.get_total_norm(expected)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    gradients = learner._first._gradients()
    assert clip(gradients, max_norm) == pytest.approx(norm.item())
    together = torch.cat([gradient.flatten() for gradient in gradients])
    torch.testing.assert_close(together, torch.cat([gradient.flatten() for gradient in expected]) * scale)


class OneGraph(TorchLearner):
    """A graph that is made outside of the loss: a replay cannot go through it again."""

    def train_step(self, batch):
        outputs = self.model(batch)
        return self.minimize(lambda batch: (outputs.sum() * math.inf, {}), batch)


def test_a_replay_that_fails_does_not_hide_the_error():
    """It says that nothing could be found, and why."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
    learner = OneGraph(model, SGD(model.parameters(), lr=0.1))
    with pytest.raises(NonFiniteError, match=r"loss is inf .* could not be computed again"):
        Trainer(learner, epochs=1).train([torch.ones(3, 2)])


def test_a_replay_counts_no_batch_twice():
    """The running statistics of a norm are those from before it."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    explain(model, lambda: model(torch.ones(3, 2)).sum(), torch.ones(3, 2))
    assert model[0].num_batches_tracked == 0
    assert model[0].running_mean.tolist() == [0.0, 0.0]


def test_complex_parameters_are_checked_as_well():
    """torch.optim moves them."""
    w = nn.Parameter(torch.ones(1, dtype=torch.complex64))
    model = nn.Module()
    model.w = w
    learner = TorchLearner(model, torch.optim.SGD([w], lr=0.1))
    learner.minimize(lambda batch: ((w * batch).abs().square().sum(), {}), torch.ones(1))
    with pytest.raises(NonFiniteError):
        learner.minimize(lambda batch: ((w * batch).abs().square().sum(), {}), torch.full((1,), math.nan))
