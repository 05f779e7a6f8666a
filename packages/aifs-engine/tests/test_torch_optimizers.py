"""Our optimizers against `torch.optim`'s plainest form, to the last bit."""

import copy
import json
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from safetensors.torch import load, save  # noqa: E402  # only where torch is
from torch import nn  # noqa: E402

from aifs_engine import torch_optimizers as ours  # noqa: E402
from aifs_utils.exceptions import CheckpointError, ConfigError, ModelError  # noqa: E402

SHAPES = [(7, 5), (7,), (3, 7), (3,), (), (2, 3, 2, 2), (1, 33)]  # odd sizes: kernels finish with a loop for the rest
CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd-decay": ("SGD", {"lr": 0.1, "weight_decay": 0.03}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "momentum-decay": ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.03}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "nesterov-decay": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.03}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam-decay": ("Adam", {"lr": 0.01, "betas": (0.7, 0.95), "eps": 1e-6, "weight_decay": 0.03}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw-decay": ("AdamW", {"lr": 0.02, "betas": (0.85, 0.98), "eps": 1e-7, "weight_decay": 0.2}),
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_params(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in SHAPES]


def set_gradients(params, generator, missing=0.0):
    """Give random gradients, of very different sizes, to most parameters and None to the others."""
    for param in params:
        size = 10 ** (6 * torch.rand((), generator=generator) - 4)
        gradient = torch.randn(param.shape, generator=generator, dtype=param.dtype) * size
        param.grad = None if torch.rand((), generator=generator) < missing else gradient


def run(optimizer, params, steps, missing=0.0, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        set_gradients(params, generator, missing)
        optimizer.step()


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other), (one - other).abs().max()


@pytest.mark.parametrize("missing", [0.0, 0.1], ids=["all-gradients", "some-missing"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_are_those_of_torch_to_the_last_bit(case, dtype, missing):
    """Every option, with parameters that now and then have no gradient, against torch.optim one tensor at a time."""
    name, options = CASES[case]
    params, expected = make_params(dtype), make_params(dtype)
    run(getattr(ours, name)(params, **options), params, 100, missing)
    run(getattr(torch.optim, name)(expected, foreach=False, **options), expected, 100, missing)
    assert_same(params, expected)
    assert not any(torch.equal(param, start) for param, start in zip(params, make_params(dtype), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_gathered_gradients_lead_to_the_same_step(case):
    """gradients() before a step changes nothing in it, and leaves each parameter's own gradient alone."""
    name, options = CASES[case]
    params, expected = make_params(), make_params()
    optimizer, other = getattr(ours, name)(params, **options), getattr(ours, name)(expected, **options)
    for step in range(5):
        set_gradients(params, torch.Generator().manual_seed(step), missing=0.2)
        set_gradients(expected, torch.Generator().manual_seed(step), missing=0.2)
        flat = torch.cat(optimizer.gradients())
        own = torch.cat([param.grad.flatten() for param in params if param.grad is not None])
        assert torch.equal(flat.sort().values, own.sort().values)
        optimizer.step()
        other.step()
        assert_same([p.grad for p in params if p.grad is not None], [p.grad for p in expected if p.grad is not None])
    assert_same(params, expected)


@pytest.mark.parametrize("case", CASES)
def test_a_step_uses_the_gathered_gradients_as_they_were_changed(case):
    """Halving the flat vectors is the same as halving the gradients."""
    name, options = CASES[case]
    params, expected = make_params(), make_params()
    optimizer, other = getattr(ours, name)(params, **options), getattr(ours, name)(expected, **options)
    for step in range(3):
        set_gradients(params, torch.Generator().manual_seed(step))
        set_gradients(expected, torch.Generator().manual_seed(step))
        for gradient in optimizer.gradients():
            gradient.mul_(0.5)
        for param in expected:
            param.grad.mul_(0.5)
        optimizer.step()
        other.step()
    assert_same(params, expected)


def test_zero_grad_drops_gathered_gradients():
    """Gradients that were gathered for a step that was not made are not used in the next one."""
    params, expected = make_params(), make_params()
    optimizer, other = ours.SGD(params, 0.1), ours.SGD(expected, 0.1)
    run(optimizer, params, 1)
    run(other, expected, 1)
    set_gradients(params, torch.Generator().manual_seed(5))
    optimizer.gradients()
    optimizer.zero_grad()
    assert all(param.grad is None for param in params)
    optimizer.step()
    assert_same(params, expected)


@pytest.mark.parametrize("gathered", [False, True])
def test_zero_grad_frees_the_memory_of_gradients(gathered):
    """The optimizer holds on to none of them: they are as large as the model."""
    params = make_params()
    optimizer = ours.SGD(params, 0.1)
    set_gradients(params, torch.Generator().manual_seed(0))
    gradient = weakref.ref(params[0].grad)
    if gathered:
        optimizer.gradients()
    optimizer.step()
    optimizer.zero_grad()
    assert gradient() is None


def test_zero_grad_can_fill_with_zeros():
    """With set_to_none=False a parameter keeps a gradient of zeros, and momentum goes on moving it."""
    params, expected = make_params(), make_params()
    optimizer, other = ours.SGD(params, 0.1, momentum=0.9), torch.optim.SGD(expected, 0.1, momentum=0.9, foreach=False)
    for optim, tensors in ((optimizer, params), (other, expected)):
        run(optim, tensors, 2)
        optim.zero_grad(set_to_none=False)
        assert all(not tensor.grad.any() for tensor in tensors)
        optim.step()
    assert_same(params, expected)


def test_gradients_that_carry_a_graph_leave_none_behind():
    """After backward(create_graph=True), as second derivatives need it, the step is torch's and nothing is tracked."""
    params, expected = make_params(torch.float64), make_params(torch.float64)
    optimizer, other = ours.Adam(params), torch.optim.Adam(expected, foreach=False)
    for tensors in (params, expected):
        gradients = torch.autograd.grad(sum((tensor**3).sum() for tensor in tensors), tensors, create_graph=True)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient
    assert not any(flat.requires_grad for flat in optimizer.gradients())
    optimizer.step()
    other.step()
    assert_same(params, expected)


def test_a_closure_computes_the_loss_with_gradients():
    """step(closure) calls it with gradients enabled and returns its loss."""
    w = torch.tensor([2.0], requires_grad=True)
    optimizer = ours.SGD([w], 0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert w.item() == 1.0


def test_groups_have_options_of_their_own():
    """Rate, decay and momentum differ by group, and a group added later is updated too."""
    params, expected = make_params(), make_params()
    made = []
    for factory, tensors in ((ours.SGD, params), (torch.optim.SGD, expected)):
        groups = [{"params": tensors[:2], "lr": 0.5}, {"params": tensors[2:5], "momentum": 0.9, "weight_decay": 0.1}]
        optimizer = factory(groups, lr=0.1)
        run(optimizer, tensors, 2)
        optimizer.add_param_group({"params": tensors[5:], "lr": 0.02})
        run(optimizer, tensors, 3)
        made.append(optimizer)
    assert_same(params, expected)
    assert [group["lr"] for group in made[0].param_groups] == [0.5, 0.1, 0.02]


def test_options_are_read_at_every_step():
    """What a scheduler writes into a group, momentum from zero included, counts from the next step on."""
    params, expected = make_params(), make_params()
    for optimizer, tensors in ((ours.SGD(params, 0.1), params), (torch.optim.SGD(expected, 0.1), expected)):
        run(optimizer, tensors, 2)
        optimizer.param_groups[0].update(lr=0.03, momentum=0.7)
        run(optimizer, tensors, 3)
    assert_same(params, expected)


def test_mixed_dtypes_are_updated_apart():
    """A group with float32 and float64 parameters is as torch updates it."""
    params = make_params(torch.float32) + make_params(torch.float64, seed=1)
    expected = make_params(torch.float32) + make_params(torch.float64, seed=1)
    optimizer = ours.AdamW(params, 0.01)
    run(optimizer, params, 10)
    run(torch.optim.AdamW(expected, 0.01, foreach=False), expected, 10)
    assert_same(params, expected)
    assert {gradient.dtype for gradient in optimizer.gradients()} == {torch.float32, torch.float64}


def test_parameters_that_are_not_contiguous_are_updated_in_place():
    """A transposed leaf and an image filter in channels_last keep their layout and get torch's values."""

    def make():
        filters = torch.arange(54.0).view(2, 3, 3, 3).to(memory_format=torch.channels_last)
        return [torch.arange(6.0).view(2, 3).t().requires_grad_(), filters.requires_grad_()]

    params, expected = make(), make()
    run(ours.Adam(params, 0.1), params, 5)
    run(torch.optim.Adam(expected, 0.1, foreach=False), expected, 5)
    assert_same(params, expected)
    assert params[1].is_contiguous(memory_format=torch.channels_last)


def test_a_half_used_network_learns_as_with_torch():
    """A network whose second head is used in every other step, through real backward passes."""

    def train(factory):
        torch.manual_seed(0)
        body, heads = nn.Linear(4, 8), nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 2)])
        optimizer = factory([*body.parameters(), *heads.parameters()], 0.01)
        for step in range(20):
            optimizer.zero_grad()
            heads[step % 2](body(torch.randn(5, 4)).tanh()).square().mean().backward()
            optimizer.step()
        return [*body.parameters(), *heads.parameters()]

    assert_same(train(ours.Adam), train(lambda params, lr: torch.optim.Adam(params, lr, foreach=False)))


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=6),
    case=st.sampled_from(sorted(CASES)),
    seed=st.integers(0, 999),
)
def test_any_shapes_are_updated_as_torch_updates_them(shapes, case, seed):
    """Scalars, empty tensors and single numbers among the parameters."""
    name, options = CASES[case]
    params = [torch.ones(shape, requires_grad=True) for shape in shapes]
    expected = [torch.ones(shape, requires_grad=True) for shape in shapes]
    run(getattr(ours, name)(params, **options), params, 6, missing=0.3, seed=seed)
    run(getattr(torch.optim, name)(expected, foreach=False, **options), expected, 6, missing=0.3, seed=seed)
    assert_same(params, expected)


# State


def through_a_file(state):
    """What is left of a state after JSON for the numbers and safetensors for the tensors."""
    tensors = {}

    def pack(value, path):
        if isinstance(value, torch.Tensor):
            tensors[path] = value
            return {"tensor": path}
        if isinstance(value, dict):
            return {key: pack(item, f"{path}.{key}") for key, item in value.items()}
        return [pack(item, f"{path}.{i}") for i, item in enumerate(value)] if isinstance(value, list | tuple) else value

    def unpack(value):
        if isinstance(value, dict):
            return loaded[value["tensor"]] if "tensor" in value else {key: unpack(item) for key, item in value.items()}
        return [unpack(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(pack(state, "state"))
    loaded = load(save(tensors))
    return unpack(json.loads(text))


@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["all-gradients", "some-missing"])
@pytest.mark.parametrize("case", CASES)
def test_a_saved_state_goes_on_to_the_same_bits(case, missing):
    """Seven steps, a file, five more: the same parameters, and the same flat gradients, as twelve in one go."""
    name, options = CASES[case]
    expected = make_params()
    whole = getattr(ours, name)(expected, **options)
    run(whole, expected, 7, missing)
    state = through_a_file(whole.state_dict())
    params = [param.detach().clone().requires_grad_() for param in expected]
    resumed = getattr(ours, name)(params, lr=1.0)
    resumed.load_state_dict(state)
    run(whole, expected, 5, missing, seed=2)
    run(resumed, params, 5, missing, seed=2)
    assert_same(params, expected)
    assert_same(resumed.gradients(), whole.gradients())
    assert resumed.state_dict()["groups"] == whole.state_dict()["groups"]


def test_a_state_may_hold_arrays():
    """NumPy arrays in the place of tensors load as well, and are copied."""
    params = make_params()
    optimizer = ours.Adam(params)
    run(optimizer, params, 2)
    state = optimizer.state_dict()
    entry = {name: np.asarray(value) if name.endswith("moment") else value for name, value in state["state"][0].items()}
    fresh = ours.Adam(make_params())
    fresh.load_state_dict({"groups": state["groups"], "state": [entry]})
    loaded = fresh.state_dict()["state"][0]["first_moment"]
    assert np.array_equal(loaded.numpy(), entry["first_moment"])
    assert not np.shares_memory(loaded.numpy(), entry["first_moment"])


def test_a_state_from_before_the_first_step_is_loaded():
    """An optimizer that has done nothing can be saved, and takes the place of one that has."""
    params = make_params()
    optimizer = ours.Adam(params)
    run(optimizer, params, 2)
    optimizer.load_state_dict(through_a_file(ours.Adam(make_params()).state_dict()))
    expected = [param.detach().clone().requires_grad_() for param in params]
    run(optimizer, params, 2)
    run(torch.optim.Adam(expected, foreach=False), expected, 2)
    assert_same(params, expected)


def _adam_state():
    params = make_params()
    optimizer = ours.Adam(params)
    run(optimizer, params, 1)
    return optimizer.state_dict()


def _without(state, name):
    del state["state"][0][name]
    return state


def _with(state, name, value):
    state["state"][0][name] = value
    return state


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: {}, "0 parameter groups"),
        (lambda state: {**state, "groups": state["groups"] * 2}, "2 parameter groups, the optimizer 1"),
        (lambda state: {**state, "groups": [{"lr": 0.1, "momentum": 0.9}]}, "not of Adam"),
        (lambda state: {**state, "state": state["state"] * 2}, "14 parameters, the optimizer has 7"),
        (lambda state: _with(state, "params", [0, 1, 2]), "3 parameters, the optimizer has 7"),
        (lambda state: _without(state, "second_moment"), "remembers first_moment after 1 steps"),
        (lambda state: _with(state, "velocity", torch.zeros(3)), "from another optimizer"),
        (lambda state: _with(state, "first_moment", torch.zeros(3)), r"first_moment has the shape \(3,\)"),
        (lambda state: _with(state, "step", 0), "after 0 steps"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    """Other groups, other parameters, another optimizer's vectors."""
    params = make_params()
    optimizer = ours.Adam(params, 0.5)
    run(optimizer, params, 3)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(CheckpointError, match=message):
        optimizer.load_state_dict(spoil(copy.deepcopy(_adam_state())))
    after = optimizer.state_dict()
    assert after["groups"] == before["groups"]
    assert after["state"][0]["step"] == 3
    assert torch.equal(after["state"][0]["first_moment"], before["state"][0]["first_moment"])


def test_a_state_for_other_groups_is_refused():
    """A block of the state must lie in one group here."""
    params = make_params()
    optimizer = ours.Adam([{"params": params[:4]}, {"params": params[4:]}])
    state = _adam_state()
    with pytest.raises(CheckpointError, match="differ in group"):
        optimizer.load_state_dict({**state, "groups": state["groups"] * 2})


def test_a_copy_goes_its_own_way():
    """copy.deepcopy takes parameters and state along, also under a scheduler, and leaves the original alone."""
    params = make_params()
    optimizer = ours.Adam(params)
    torch.optim.lr_scheduler.StepLR(optimizer, 10)
    run(optimizer, params, 3)
    before = [param.detach().clone() for param in params]
    twin = copy.deepcopy(optimizer)
    copies = twin.param_groups[0]["params"]
    run(twin, copies, 2)
    assert_same(params, before)
    run(optimizer, params, 2)
    assert_same(params, copies)


# Within PyTorch


def test_step_hooks_are_called():
    """Hooks before and after a step, as torch documents them."""
    params, calls = make_params(), []
    optimizer = ours.SGD(params, 0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append(("before", params[1][0].item())))
    optimizer.register_step_post_hook(lambda *_: calls.append(("after", params[1][0].item())))
    run(optimizer, params, 1)
    assert [name for name, _ in calls] == ["before", "after"]
    assert calls[0][1] != calls[1][1]


def test_a_grad_scaler_unscales_and_skips():
    """torch.amp.GradScaler divides the gradients before a step and leaves out one with an infinite gradient."""
    w = torch.tensor([1.0], requires_grad=True)
    optimizer = ours.SGD([w], 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((w**2).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert w.item() == 0.0
    w.grad = torch.tensor([float("inf")])
    scaler.step(optimizer)
    scaler.update()
    assert w.item() == 0.0
    assert scaler.get_scale() == 512.0


USES_OF_AN_OPTIMIZER = """
import sys, torch
from torch.optim import lr_scheduler as torch_schedulers
from aifs_engine import torch_optimizers, torch_schedules
torch.set_num_threads(1)
for name, options in (("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {}), ("AdamW", {})):
    model = torch.nn.Linear(2, 1)
    optimizer = getattr(torch_optimizers, name)(torch_optimizers.parameter_groups(model, 0.01), **options)
    schedulers = [
        torch_schedules.warmup_cosine(optimizer, warmup_steps=2, total_steps=9),
        torch_schedules.step_decay(optimizer, every=2, factor=0.5),
        torch_schedules.one_cycle(optimizer, peak=0.1, total_steps=9),
        torch_schedulers.SequentialLR(
            optimizer,
            [torch_schedulers.LinearLR(optimizer), torch_schedulers.CosineAnnealingLR(optimizer, 5)],
            milestones=[2],
        ),
    ]
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).sum().backward()
        optimizer.gradients()
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    optimizer.load_state_dict(optimizer.state_dict())
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(torch.ones(3, 2)).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
print("torch._dynamo" in sys.modules)
"""


def test_nothing_that_an_optimizer_is_used_for_imports_torchs_compiler():
    """Steps, schedulers, states and a GradScaler, in a fresh process; torch.optim's own import it at once."""
    script = [sys.executable, "-c", USES_OF_AN_OPTIMIZER]
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout.split() == ["False"]


def calls(function):
    """How many calls, into Python and into C, a function makes."""
    count = 0

    def tally(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tally)
    function()
    sys.setprofile(None)
    return count


@pytest.mark.parametrize("case", CASES)
def test_the_calls_of_a_step_do_not_grow_with_the_layers(case):
    """Twenty times as many parameters, the same number of calls, and fewer than half of torch's for four of them."""
    name, options = CASES[case]
    counts = {}
    for module in (ours, torch.optim):
        for n_params in (4, 80):
            params = [torch.ones(3, requires_grad=True) for _ in range(n_params)]
            optimizer = getattr(module, name)(params, **options)
            run(optimizer, params, 2)
            counts[module, n_params] = calls(optimizer.step)
    assert counts[ours, 4] == counts[ours, 80]
    assert 2 * counts[ours, 4] < counts[torch.optim, 4]


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda params: ours.SGD(params, -0.1), "lr must be a finite number of at least 0, got -0.1"),
        (lambda params: ours.SGD(params, float("nan")), "lr must be a finite number"),
        (lambda params: ours.SGD(params, "0.1"), "lr must be a finite number of at least 0, got '0.1'"),
        (lambda params: ours.SGD(params, 0.1, momentum=1.0), r"momentum must be a number in \[0, 1\), got 1.0"),
        (lambda params: ours.SGD(params, 0.1, nesterov=True), "nesterov looks ahead"),
        (lambda params: ours.SGD(params, 0.1, weight_decay=-1), "weight_decay must be"),
        (lambda params: ours.Adam(params, betas=(0.9, 1.0)), "beta2 must be"),
        (lambda params: ours.Adam(params, betas=0.9), "betas must be two numbers"),
        (lambda params: ours.AdamW(params, eps=-1e-8), "eps must be"),
        (lambda params: ours.SGD([{"params": params, "momentun": 0.9}], 0.1), "got momentun"),
        (lambda params: ours.SGD(params, 1e308), "lr must be so small that 3.4e.38 holds each step, got 1e.308"),
        (lambda params: ours.Adam(params, 1e38), "lr must be so small"),
    ],
)
def test_options_out_of_range_are_refused(make, message):
    """The message names the option, what it may be and what it was."""
    with pytest.raises(ConfigError, match=message):
        make(make_params())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([torch.zeros(2, dtype=torch.complex64, requires_grad=True)], "complex64"),
        ([torch.zeros(2, requires_grad=True) * 2], "computed from others"),
        (list(nn.Linear(1, 1).named_parameters()), "got a tuple"),
        ([torch.ones(3, requires_grad=True)] * 2, "given to the optimizer twice"),
    ],
)
def test_parameters_that_cannot_be_optimized_are_refused(params, message):
    """Complex tensors, results of a computation, names, and one parameter twice."""
    with pytest.raises(ModelError, match=message):
        ours.SGD(params, 0.1)


@pytest.mark.parametrize("factory", [lambda params: ours.SGD(params, 0.1), ours.Adam], ids=["sgd", "adam"])
def test_sparse_gradients_are_refused(factory):
    """The message names the remedy; nothing is updated."""
    embedding = nn.Embedding(5, 2, sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = factory(embedding.parameters())
    embedding(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(ModelError, match="sparse=False"):
        optimizer.step()
    assert torch.equal(embedding.weight, before)


# Parameter groups


def test_biases_and_norms_do_not_decay():
    """Every parameter is in one of the two groups, shared ones once."""
    model = nn.ModuleDict(
        {
            "conv": nn.Conv2d(3, 4, 3),
            "batch_norm": nn.BatchNorm2d(4),
            "image_norm": nn.LayerNorm([4, 6, 6]),
            "attention": nn.MultiheadAttention(4, 2),
            "embedding": nn.Embedding(9, 4),
            "head": nn.Linear(4, 9),
        }
    )
    model["head"].weight = model["embedding"].weight
    decayed, spared = ours.parameter_groups(model, 0.1)
    names = {id(param): name for name, param in model.named_parameters()}
    assert [names[id(param)] for param in decayed["params"]] == [
        "conv.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "embedding.weight",
    ]
    assert len(spared["params"]) == len(names) - 4
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_parameter_groups_are_for_torchs_optimizers_too():
    """Ours and torch's AdamW take them and agree, also where a group is empty."""

    def train(factory, model):
        optimizer = factory(ours.parameter_groups(model, 0.3), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).square().sum().backward()
            optimizer.step()
        return list(model.parameters())

    for bias in (True, False):
        model = nn.Linear(3, 2, bias=bias)
        expected = train(torch.optim.AdamW, copy.deepcopy(model))
        assert_same(train(ours.AdamW, model), expected)
