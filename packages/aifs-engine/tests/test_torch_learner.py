"""The learner in torch: what a step, an evaluation and a state are."""

import copy
import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from torch import nn  # noqa: E402  # only where torch is

from aifs_engine import BestSoFar, Checkpointing, Evaluator, LocalTracker, Tracking, Trainer  # noqa: E402
from aifs_engine.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from aifs_engine.learner import NonFiniteError  # noqa: E402
from aifs_engine.learning_rate_range import learning_rate_range  # noqa: E402
from aifs_engine.progress import ProgressBar  # noqa: E402
from aifs_engine.sanity_checks import overfit_one_batch  # noqa: E402
from aifs_engine.torch_guard import DeferredGuard  # noqa: E402
from aifs_engine.torch_learner import TorchLearner, accuracy  # noqa: E402
from aifs_engine.torch_optimizers import SGD, Adam  # noqa: E402
from aifs_engine.torch_schedules import one_cycle  # noqa: E402
from aifs_engine.torch_state import on_device  # noqa: E402
from aifs_utils.exceptions import CheckpointError, ConfigError  # noqa: E402

STATE = {"model", "criterion", "optimizer", "scheduler", "scaler", "ema", "accumulated", "updates"}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def xor():
    """Eight batches of 32 points (32, 2) and the classes 0 and 1 of their quadrants."""
    X = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
    return list(zip(X.split(32), (X[:, 0] * X[:, 1] > 0).long().split(32), strict=True))


def network(*between):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), *between, nn.Tanh(), nn.Linear(16, 2))


def new_learner(model=None, optimizer=Adam, lr=0.03, **options):
    model = network() if model is None else model
    options = {"metrics": {"accuracy": accuracy}, **options}
    return TorchLearner(model, optimizer(model.parameters(), lr=lr), nn.CrossEntropyLoss(), **options)


def weights_of(learner):
    return {name: parameter.detach().clone() for name, parameter in learner.model.named_parameters()}


def assert_same(one, other, **tolerances):
    torch.testing.assert_close(one, other, **({"rtol": 0, "atol": 0} | tolerances))


def test_the_learner_learns(xor):
    """A problem that no straight line solves."""
    history = Trainer(new_learner(), epochs=40).train(xor, xor)
    assert history["train_accuracy"][-1] > 0.97
    assert history["val_accuracy"][-1] > 0.97


def test_without_updates_it_does_not_learn(xor):
    """The proof that the test above can fail."""
    history = Trainer(new_learner(lr=0.0), epochs=3).train(xor, xor)
    assert history["val_loss"][0] == history["val_loss"][-1]


def test_a_step_is_that_of_the_loop_written_by_hand(xor):
    """To the bit, with torch's own optimizer in both."""
    learner, model = new_learner(optimizer=torch.optim.Adam), network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for X, y in xor:
        loss = nn.functional.cross_entropy(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert learner.train_step((X, y))["loss"] == loss
    assert_same(weights_of(learner), dict(model.named_parameters()))


def test_a_batch_from_elsewhere_is_moved_to_the_device(xor):
    """As it is nested; the meta device stands for any other than the CPU."""
    moved = on_device((xor[0][0], {"y": [xor[0][1], 3]}), torch.device("meta"))
    assert moved[0].is_meta
    assert moved[1]["y"][0].is_meta
    assert moved[1]["y"][1] == 3


def test_metrics_are_tensors_without_graph(xor):
    """Nobody has waited for them, and they keep nothing alive."""
    learner = new_learner()
    for metrics in (learner.train_step(xor[0]), learner.eval_step(xor[0])):
        assert set(metrics) == {"loss", "accuracy"}
        assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("optimizer", [SGD, Adam, torch.optim.Adam])
@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0.05}, {"guard": False}], ids=str)
def test_accumulation_equals_the_big_batch(xor, optimizer, options):
    """Whatever the sizes of the batches; also for the last window of an epoch, which is not full."""
    X, y = (torch.cat(parts) for parts in zip(*xor, strict=True))
    big = [(X[:85], y[:85]), (X[85:118], y[85:118])]
    small = [(X[i:j], y[i:j]) for i, j in ((0, 32), (32, 80), (80, 85), (85, 115), (115, 118))]
    one, other = new_learner(optimizer=optimizer, **options), new_learner(optimizer=optimizer, accumulate=3, **options)
    one_history, other_history = (Trainer(learner, epochs=3).train(b) for learner, b in ((one, big), (other, small)))
    assert one.updates == other.updates == 6
    assert_same(weights_of(one), weights_of(other), rtol=1e-6, atol=1e-6)
    assert not torch.equal(weights_of(one)["0.weight"], network()[0].weight)
    assert other_history["train_loss"] == pytest.approx(one_history["train_loss"], rel=1e-6)


def test_accumulation_that_weighed_batches_alike_would_differ(xor):
    """The proof that the test above can fail: the mean of uneven batches' means is another one."""
    X, y = xor[0]
    uneven, even, alike = (new_learner(accumulate=n, optimizer=SGD) for n in (2, 2, 1))
    for learner, cut in ((uneven, 5), (even, 16)):
        learner.train_step((X[:cut], y[:cut]))
        learner.train_step((X[cut:], y[cut:]))
    assert_same(weights_of(uneven), weights_of(even), rtol=1e-6, atol=1e-6)
    alike.minimize(lambda batch: (sum(alike.loss(part)[0] for part in batch) / 2, {}), [(X[:5], y[:5]), (X[5:], y[5:])])
    assert not torch.allclose(weights_of(alike)["0.weight"], weights_of(even)["0.weight"], rtol=1e-6, atol=1e-6)


def test_only_the_optimizers_parameters_move_and_have_gradients(xor):
    """The rest of the model may be frozen by leaving it out."""
    model = network()
    learner = TorchLearner(model, SGD(model[2].parameters(), lr=0.1), nn.CrossEntropyLoss(), ema_decay=0.5)
    Trainer(learner, epochs=1).train(xor, xor)
    assert all(parameter.grad is None for parameter in model[0].parameters())
    assert_same(model[0].weight, network()[0].weight)
    assert not torch.equal(model[2].weight, network()[2].weight)


class Restless(TorchLearner):
    """Draws from torch's random state in its loss, in training and in evaluation, as a variational autoencoder does."""

    def loss(self, batch):
        X, y = batch
        return super().loss((X + 0.1 * torch.randn_like(X), y))


def new_restless(**options):
    model = network(nn.Dropout(0.3), nn.BatchNorm1d(16))
    return Restless(model, Adam(model.parameters(), lr=0.03), nn.CrossEntropyLoss(), **options)


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"precision": "bf16"}], ids=str)
def test_evaluation_between_steps_changes_nothing(xor, options):
    """Not the random state that dropout draws from, not the running statistics, not the modes."""
    plain, evaluated = new_restless(**options), new_restless(**options)
    torch.manual_seed(1)
    for batch in xor:
        plain.train_step(batch)
    torch.manual_seed(1)
    for batch in xor:
        evaluated.train_step(batch)
        Evaluator(evaluated).evaluate(xor[:2])
        Evaluator(evaluated).predict(xor[:2])
        evaluated.eval_step(xor[0])
    for one, other in zip(plain.model.state_dict().values(), evaluated.model.state_dict().values(), strict=True):
        assert_same(one, other)


def test_evaluation_is_in_its_own_mode_and_builds_no_graph(xor):
    """Each submodule is afterwards in the mode that it was in, whatever happens."""
    learner = new_restless()
    learner.model[2].eval()  # a frozen batch norm
    modes = [module.training for module in learner.model.modules()]
    with learner.evaluating():
        assert learner.model(xor[0][0]).is_inference()
        with learner.evaluating():  # within itself, as eval_step and predict enter it
            pass
        assert not any(module.training for module in learner.model.modules())
    assert [module.training for module in learner.model.modules()] == modes
    with pytest.raises(TypeError):
        learner.eval_step(None)
    assert [module.training for module in learner.model.modules()] == modes


def test_averaged_weights_follow_the_rule_and_are_evaluated_with(xor):
    """The average is decay * average + (1 - decay) * weight after each update."""
    learner = new_learner(ema_decay=0.9)
    expected = weights_of(learner)
    for batch in xor:
        learner.train_step(batch)
        expected = {name: 0.9 * expected[name] + 0.1 * weight for name, weight in weights_of(learner).items()}
    trained = weights_of(learner)
    with learner.evaluating():
        assert_same(weights_of(learner), expected, rtol=1e-5, atol=1e-6)
        inside = learner.eval_step(xor[0])["loss"]
    assert_same(weights_of(learner), trained)
    averaged = network()
    averaged.load_state_dict(expected)
    assert inside.item() == pytest.approx(nn.functional.cross_entropy(averaged(xor[0][0]), xor[0][1]).item(), rel=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_computes_in_it_and_learns(xor, precision):
    """The weights stay float32, and training ends where float32 does, about."""
    seen = []
    learner = new_learner(precision=precision)
    learner.model[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    history = Trainer(learner, epochs=40).train(xor, xor)
    assert set(seen) == {torch.bfloat16 if precision == "bf16" else torch.float16}
    assert {parameter.dtype for parameter in learner.model.parameters()} == {torch.float32}
    assert history["val_accuracy"][-1] > 0.95
    assert learner.decision_function(xor[0][0]).dtype == np.float32


def test_float16_scales_the_loss_and_skips_what_overflows(xor):
    """A skipped update is none: the schedule and the counter wait."""
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    learner = TorchLearner(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, precision="fp16")
    learner._first.scaler.load_state_dict({**learner._first.scaler.state_dict(), "scale": 2.0**40})
    before = weights_of(learner)
    learner.train_step(xor[0])
    assert (learner.updates, learner.learning_rate) == (0, 0.1)
    assert_same(weights_of(learner), before)
    for _ in range(40):
        learner.train_step(xor[0])
    assert learner.updates > 0
    assert learner.learning_rate == pytest.approx(0.1 * 0.5**learner.updates)


def test_setting_the_learning_rate_scales_all_groups_alike(xor):
    """Their ratio is a choice of the model's author."""
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters(), "lr": 0.02}]
    learner = TorchLearner(model, SGD(groups, lr=0.1), nn.CrossEntropyLoss())
    assert learner.learning_rate == 0.1
    learner.learning_rate = 0.2
    assert [group["lr"] for group in learner.optimizer.param_groups] == pytest.approx([0.2, 0.04])
    learner.learning_rate = 0.0
    learner.learning_rate = 0.3
    assert learner.learning_rate == 0.3


def test_labels_and_scores_are_arrays(xor):
    """Of several classes the largest output, of a single logit its sign; tensors and arrays are taken."""
    X = xor[0][0]
    learner = new_learner()
    scores = learner.decision_function(X)
    assert (scores.shape, learner.predict(X.numpy()).tolist()) == ((32, 2), scores.argmax(1).tolist())
    single = TorchLearner(line := nn.Linear(2, 1), SGD(line.parameters(), lr=0.1))
    scores = single.decision_function(X)
    assert (scores.shape, single.predict(X).tolist()) == ((32,), (scores > 0).astype(int).tolist())
    predictions = Evaluator(learner).predict(xor)
    assert predictions.targets.shape == predictions.labels.shape == (256,)
    assert predictions.scores.shape == (256, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "precision must be one of 'fp32', 'bf16', 'fp16', got 'fp8'"),
        ({"accumulate": 0}, "accumulate must be a whole number"),
        ({"max_grad_norm": -1.0}, "max_grad_norm must be a finite number above 0"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options, message):
    """When the learner is made, not in the middle of a night."""
    with pytest.raises(ConfigError, match=message):
        new_learner(**options)


class LearnedScale(nn.Module):
    """A squared error divided by a variance that is learned with the weights."""

    def __init__(self):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) * torch.exp(-self.log_variance) + self.log_variance


def test_what_a_criterion_learns_is_in_the_state(xor, tmp_path):
    """Or the continued run would be another, without a word."""

    def make():
        model, criterion = network(), LearnedScale()
        return TorchLearner(model, SGD([*model.parameters(), *criterion.parameters()], lr=0.1, momentum=0.9), criterion)

    learner, other = make(), make()
    for batch in xor[:3]:
        learner.train_step(batch)
    save_checkpoint(tmp_path / "c.safetensors", {"learner": learner.state_dict()}, {})
    other.load_state_dict(load_checkpoint(tmp_path / "c.safetensors").state["learner"])
    for each in (learner, other):
        each.train_step(xor[3])
    assert_same(weights_of(learner), weights_of(other))
    assert_same(learner.criterion.log_variance, other.criterion.log_variance)


def test_parameters_that_no_checkpoint_would_hold_are_refused():
    """They belong into the model."""
    stray = nn.Parameter(torch.zeros(2))
    model = network()
    with pytest.raises(ConfigError, match="neither the model's nor the criterion's"):
        TorchLearner(model, SGD([*model.parameters(), stray], lr=0.1), nn.CrossEntropyLoss())


def test_a_parameter_has_one_average_at_most():
    """With two, each evaluation would leave one of them in the weight."""
    model = network()
    optimizers = {name: SGD(model.parameters(), lr=0.1) for name in "ab"}
    with pytest.raises(ConfigError, match="each parameter in one optimizer only"):
        TorchLearner(model, optimizers, ema_decay=0.9)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_after_a_step_that_was_stopped_the_learner_goes_on(xor, precision, accumulate):
    """Who catches the error may leave the batch out."""
    learner, clean = (new_learner(precision=precision, accumulate=accumulate) for _ in range(2))
    with pytest.raises(NonFiniteError):
        learner.train_step((xor[0][0] * float("nan"), xor[0][1]))
    for each in (learner, clean):
        for batch in xor[:4]:
            each.train_step(batch)
    assert_same(weights_of(learner), weights_of(clean))


def test_a_window_of_another_length_is_not_continued(xor):
    """Its gradients are weighed for one length."""
    learner = new_learner(accumulate=4)
    learner.train_step(xor[0])
    with pytest.raises(CheckpointError, match="window of 4 batches, this learner accumulates 2"):
        new_learner(accumulate=2).load_state_dict(learner.state_dict())


def test_a_state_that_is_refused_leaves_the_weights(xor):
    """They are loaded last."""
    learner, other = new_learner(optimizer=Adam), new_learner(optimizer=SGD)
    learner.train_step(xor[0])
    before = weights_of(other)
    with pytest.raises(CheckpointError):
        other.load_state_dict(learner.state_dict())
    assert_same(weights_of(other), before)


def test_what_cannot_be_stepped_once_per_update_is_refused():
    """Before the first step, with the way to do it."""
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(ConfigError, match="ReduceLROnPlateau is stepped with a metric"):
        TorchLearner(model, optimizer, scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer))
    with pytest.raises(ConfigError, match="LBFGS computes the loss several times"):
        TorchLearner(model, torch.optim.LBFGS(model.parameters()))


def test_plain_steps_are_one_update_each_at_an_unmoved_rate(xor):
    """For trials: the schedule and the windows are back afterwards."""
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    learner = TorchLearner(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, accumulate=4)
    with learner.plain_steps():
        learner.train_step(xor[0])
        learner.train_step(xor[1])
        assert (learner.updates, learner.learning_rate) == (2, 0.1)
    for batch in xor[:4]:
        learner.train_step(batch)
    assert (learner.updates, learner.learning_rate) == (3, 0.05)


def test_outputs_of_several_parts_reach_the_metrics(xor):
    """A recurrent network returns its state beside its outputs."""
    model = nn.RNN(2, 2, batch_first=True)
    learner = TorchLearner(
        model,
        SGD(model.parameters(), lr=0.1),
        lambda outputs, targets: nn.functional.cross_entropy(outputs[0], targets),
        metrics={"accuracy": lambda outputs, targets: accuracy(outputs[0], targets), "size": lambda o, t: o[1].mean()},
    )
    metrics = learner.train_step(xor[0])
    assert not any(metric.requires_grad for metric in metrics.values())


def test_an_optimizer_of_frozen_parameters_moves_nothing(xor):
    """One half of a network that is trained in turns."""
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2).requires_grad_(False)})
    optimizers = {name: SGD(module.parameters(), lr=0.1) for name, module in model.items()}
    learner = TorchLearner(model, optimizers, accumulate=2)
    before = weights_of(learner)
    for batch in xor[:2]:
        learner.minimize(lambda batch: (model["b"](model["a"](batch[0])).square().mean(), {}), batch, "b")
    assert_same(weights_of(learner), before)


def test_at_rate_zero_the_groups_remember_their_ratio():
    """The end of a cosine."""
    model = network()
    optimizer = SGD([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.01}], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1)
    learner = TorchLearner(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler)
    optimizer.step()
    scheduler.step()
    assert learner.learning_rate == pytest.approx(0.0)
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.0
    learner.learning_rate = 1.0
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 0.1])


def test_scores_of_a_model_in_float64_are_in_float64(xor):
    """Halves alone are widened, which NumPy lacks or dislikes."""
    learner = new_learner(network().double())
    assert learner.decision_function(xor[0][0].double()).dtype == np.float64


def test_several_optimizers_are_named(xor):
    """Also in the error, where one is not."""
    model = network()
    optimizers = {"first": SGD(model[0].parameters(), lr=0.1), "second": SGD(model[2].parameters(), lr=0.2)}
    learner = TorchLearner(model, optimizers, nn.CrossEntropyLoss())
    with pytest.raises(ConfigError, match="optimizer must be one of 'first', 'second', got None"):
        learner.train_step(xor[0])
    schedulers = {"third": torch.optim.lr_scheduler.StepLR(optimizers["first"], 1)}
    with pytest.raises(ConfigError, match="schedulers are named after optimizers, first, second; got 'third'"):
        TorchLearner(model, optimizers, scheduler=schedulers)
    with pytest.raises(ConfigError, match="there is no criterion"):
        TorchLearner(model, SGD(model.parameters(), lr=0.1)).train_step(xor[0])


def scheduled(optimizer):
    """Several schedules in one, with keys that are numbers and states within states."""
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5], gamma=0.5)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, steps], [3])


@pytest.mark.parametrize("optimizer", [Adam, torch.optim.AdamW, torch.optim.RMSprop])
@pytest.mark.parametrize(
    "options", [{}, {"precision": "fp16", "ema_decay": 0.9}, {"accumulate": 3}], ids=["plain", "fp16", "accumulated"]
)
def test_a_state_comes_through_a_file_and_goes_on_to_the_bit(tmp_path, xor, optimizer, options):
    """With torch's optimizers and schedules as with ours."""

    def new():
        learner = new_learner(optimizer=optimizer, **options)
        for updater in learner._updaters.values():
            updater.scheduler = scheduled(updater.optimizer)
        return learner

    whole, continued = new(), new()
    for batch in xor[:4]:
        whole.train_step(batch)
    state = whole.state_dict()
    assert set(state) == STATE
    save_checkpoint(tmp_path / "state.safetensors", {"learner": state}, {})
    continued.load_state_dict(load_checkpoint(tmp_path / "state.safetensors").state["learner"])
    for learner in (whole, continued):
        for batch in xor[4:]:
            learner.train_step(batch)
        learner.end_epoch()
    assert continued.updates == whole.updates
    torch.testing.assert_close(continued.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_a_state_is_of_its_own_after_it_was_loaded(xor):
    """What is loaded is copied: training on does not change the arrays."""
    learner = new_learner(ema_decay=0.9)
    learner.train_step(xor[0])
    state = copy.deepcopy(learner.state_dict())
    kept = copy.deepcopy(state)
    learner.load_state_dict(state)
    learner.train_step(xor[1])
    torch.testing.assert_close(state, kept, rtol=0, atol=0)


def test_weights_in_bfloat16_come_through_a_file(tmp_path):
    """NumPy has no such type; their bits travel, and torch reads the file as it should be."""
    from safetensors.torch import load_file

    learner = new_learner(network().bfloat16())
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, {"learner": learner.state_dict()}, {})
    other = new_learner(network().bfloat16())
    with torch.no_grad():
        other.model[0].weight.zero_()
    other.load_weights(load_checkpoint(path).state["learner"])
    assert_same(weights_of(other), weights_of(learner))
    assert_same(load_file(path)["learner.model.0.weight"], learner.model[0].weight.detach())


def test_weights_alone_begin_a_new_training(xor):
    """The averages too; not the optimizer's memory, and not the counter."""
    trained, fresh = new_learner(ema_decay=0.9), new_learner(ema_decay=0.9)
    for batch in xor:
        trained.train_step(batch)
    fresh.load_weights(trained.state_dict())
    assert_same(weights_of(fresh), weights_of(trained))
    assert_same(fresh._averages[0].averages, trained._averages[0].averages)
    assert fresh.updates == 0
    without = new_learner()
    without.load_weights(trained.state_dict())
    assert_same(weights_of(without), weights_of(trained))
    fresh.load_weights(without.state_dict())  # where there are no averages they begin at the weights
    assert_same(fresh._averages[0].averages, list(weights_of(without).values()))


def test_a_state_of_another_model_or_optimizer_is_refused(xor):
    """In one line that says which."""
    learner = new_learner()
    learner.train_step(xor[0])
    state = learner.state_dict()
    with pytest.raises(CheckpointError, match="it is from another model or variant"):
        new_learner(nn.Linear(2, 2)).load_state_dict(state)
    with pytest.raises(CheckpointError, match="the state is not of SGD"):
        new_learner(optimizer=SGD).load_state_dict(state)
    with pytest.raises(CheckpointError, match="the state is of other optimizers than this learner's"):
        new_learner(optimizer=torch.optim.SGD).load_state_dict(state)


@pytest.fixture(scope="module")
def compiler():
    """Nothing, where torch.compile works."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(3))
    except (RuntimeError, OSError, ImportError) as error:
        pytest.skip(f"torch.compile does not work here: {error}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's compiler about itself
def test_a_compiled_model_is_the_same_model(xor, compiler, tmp_path):
    """The same training, and the same names in the checkpoint, which each reads of the other."""
    eager, compiled = new_learner(ema_decay=0.9), new_learner(ema_decay=0.9, compile=True)
    assert compiled.model._compiled_call_impl is not None
    for batch in xor:
        one, other = eager.train_step(batch), compiled.train_step(batch)
        assert_same(one, other, rtol=1e-5, atol=1e-6)
    assert_same(weights_of(eager), weights_of(compiled), rtol=1e-4, atol=1e-5)
    assert_same(Evaluator(eager).evaluate(xor), Evaluator(compiled).evaluate(xor), rtol=1e-4, atol=1e-5)
    assert set(compiled.state_dict()["model"]) == set(eager.state_dict()["model"]) == set(network().state_dict())
    states = [copy.deepcopy(learner.state_dict()) for learner in (eager, compiled)]
    eager.load_state_dict(states[1])
    compiled.load_state_dict(states[0])
    torch.testing.assert_close([compiled.state_dict(), eager.state_dict()], states, rtol=0, atol=0)
    with torch.no_grad():
        compiled.model[2].bias[0] = torch.nan
    with pytest.raises(NonFiniteError, match="loss is nan") as caught:
        compiled.train_step(xor[0])
    assert "first bad tensor: weight 2.bias" in caught.value.details


CALLS = 150  # about 130 were measured


def test_a_step_takes_few_calls(tmp_path, xor):
    """With progress, history, best weights, guard, checkpoints and the local record: what a user has on by default."""
    if os.environ.get("COV_CORE_SOURCE") or sys.getprofile():
        pytest.skip("another profiler counts along")
    learner = new_learner(metrics={})
    bar = ProgressBar()
    bar.REFRESH_SECONDS = 1000.0
    tracker = LocalTracker(tmp_path / "metrics.jsonl")
    callbacks = [BestSoFar("train_loss"), bar, Tracking([tracker])]
    trainer = Trainer(learner, epochs=4, callbacks=[*callbacks, Checkpointing(tmp_path)])
    counts, n_calls, thread = [], 0, threading.get_ident()
    step = learner.train_step

    def count(frame, event, argument):
        nonlocal n_calls
        n_calls += event in ("call", "c_call") and threading.get_ident() == thread

    def counted_step(batch):
        counts.append(n_calls)
        return step(batch)

    learner.train_step = counted_step
    sys.setprofile(count)
    try:
        trainer.train(xor)
    finally:
        sys.setprofile(None)
        bar.close()
        tracker.finish({}, checkpoint=None, figures=[])
    between = sorted(after - before for before, after in itertools.pairwise(counts))
    assert between[len(between) // 2] - 2 <= CALLS  # without the two that count


RUN = """
import sys
import torch
from aifs_engine import BestSoFar, Checkpointing, Trainer, load_checkpoint
from aifs_engine.torch_learner import TorchLearner, accuracy
from aifs_engine.torch_optimizers import AdamW
from aifs_engine.torch_schedules import warmup_cosine

def new():
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    optimizer = AdamW(model.parameters())
    learner = TorchLearner(
        model, optimizer, torch.nn.CrossEntropyLoss(), metrics={"accuracy": accuracy}, ema_decay=0.9, accumulate=2,
        scheduler=warmup_cosine(optimizer, warmup_steps=2, total_steps=9), precision=sys.argv[1], max_grad_norm=1.0,
    )
    return Trainer(learner, epochs=2, callbacks=[BestSoFar("val_loss"), Checkpointing("run")])

batches = [(torch.randn(4, 2), torch.randint(0, 2, (4,))) for _ in range(3)]
new().train(batches, batches)
trainer = new()
trainer.load_state_dict(load_checkpoint("run/last.safetensors").state)
trainer.epochs = 3
trainer.train(batches, batches)
trainer.learner.predict(batches[0][0])
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_that_compiles_nothing_does_not_load_the_compiler(tmp_path, precision):
    """Its import takes about two seconds."""
    command = [sys.executable, "-W", "error", "-c", RUN, precision]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (finished.stdout, finished.stderr) == ("False\n", "")


def test_the_learner_loads_little_beside_torch():
    """So its import takes as long as torch's."""
    code = "import torch, sys; n = len(sys.modules); import aifs_engine.torch_learner; print(len(sys.modules) - n)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(finished.stdout) < 60


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_nothing_waits_and_the_guard_is_deferred(xor):
    """PyTorch raises where a step synchronizes."""
    learner = new_learner(device="cuda")
    batches = [(X.cuda(), y.cuda()) for X, y in xor]
    assert isinstance(learner._first.guard, DeferredGuard)
    learner.train_step(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        metrics = [learner.train_step(batch) for batch in batches]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(value.is_cuda for value in metrics[-1].values())
    assert Trainer(learner, epochs=30).train(batches, batches)["val_accuracy"][-1] > 0.95


def test_the_trials_before_a_run_know_neither_schedule_nor_window(xor):
    """A schedule would run out under them, and a window would make one update of many steps."""
    model = network()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    scheduler = one_cycle(optimizer, peak=0.3, total_steps=30)
    learner = TorchLearner(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, accumulate=50)
    learner.train_step(xor[0])
    before = copy.deepcopy(learner.state_dict())
    learner.learning_rate = 0.3
    result = overfit_one_batch(learner, xor[0], steps=300)
    assert len(set(result.losses)) > 30
    assert len(learning_rate_range(learner, xor, steps=40).rates) > 30
    learner.load_state_dict(before)
    assert learner.state_dict()["accumulated"]["n_batches"] == 1
