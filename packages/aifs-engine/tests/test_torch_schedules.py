"""The schedules against their equations, and through a checkpoint."""

import json
import math

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import torch_optimizers  # noqa: E402  # only where torch is
from aifs_engine.torch_schedules import one_cycle, step_decay, warmup_cosine  # noqa: E402
from aifs_utils.exceptions import ConfigError  # noqa: E402

SCHEDULES = {
    "warmup_cosine": lambda optimizer: warmup_cosine(optimizer, warmup_steps=4, total_steps=20, final=0.1),
    "step_decay": lambda optimizer: step_decay(optimizer, every=3, factor=0.5),
    "one_cycle": lambda optimizer: one_cycle(optimizer, peak=0.5, total_steps=20),
}


def make_optimizer(name="SGD", **options):
    """An optimizer of two groups, the second with twice the first's rate."""
    first, second = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
    groups = [{"params": [first], "lr": 0.2}, {"params": [second]}]
    return getattr(torch_optimizers, name)(groups, lr=0.4, **options)


def rates(optimizer, scheduler, steps):
    """What each of the next updates is made with: the rates of the groups, and the momentum of the first."""
    used = []
    for _ in range(steps):
        first = optimizer.param_groups[0]
        momentum = first["betas"][0] if "betas" in first else first["momentum"]
        used.append(([group["lr"] for group in optimizer.param_groups], momentum))
        optimizer.step()
        scheduler.step()
    return used


def test_the_warm_up_is_a_line_and_the_rest_a_cosine():
    """Every rate by hand; the first update is not wasted, and after the last one the rate stays."""
    optimizer = make_optimizer()
    used = [lr for (lr, _), _ in rates(optimizer, SCHEDULES["warmup_cosine"](optimizer), 23)]
    assert used[:5] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2])
    assert used[4:20] == pytest.approx(
        [0.2 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 16)) / 2) for step in range(16)]
    )
    assert used[20:] == pytest.approx([0.02] * 3)


def test_without_warm_up_the_cosine_begins_at_once():
    """The optimizer's own rate first, half of it in the middle."""
    optimizer = make_optimizer()
    used = [lr for (lr, _), _ in rates(optimizer, warmup_cosine(optimizer, warmup_steps=0, total_steps=10), 11)]
    assert (used[0], used[5], used[10]) == pytest.approx((0.2, 0.1, 0.0))


def test_the_rate_falls_in_steps():
    """Three updates with each rate."""
    optimizer = make_optimizer()
    used = [lr for (lr, _), _ in rates(optimizer, SCHEDULES["step_decay"](optimizer), 8)]
    assert used == pytest.approx([0.2] * 3 + [0.1] * 3 + [0.05] * 2)


@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})])
def test_one_cycle_moves_the_momentum_the_other_way(name, options):
    """The rate peaks where the momentum is lowest, and both end where they should."""
    optimizer = make_optimizer(name, **options)
    used = rates(optimizer, SCHEDULES["one_cycle"](optimizer), 20)
    peak = max(range(20), key=lambda step: used[step][0])
    assert used[peak] == ([0.5, 0.5], pytest.approx(0.85))
    assert used[0] == (pytest.approx([0.02, 0.02]), 0.95)
    assert used[-1] == (pytest.approx([2e-6, 2e-6]), pytest.approx(0.95))
    assert peak == 5


def test_one_cycle_leaves_plain_descent_without_momentum():
    """PyTorch's default would switch it on."""
    optimizer = make_optimizer()
    assert {momentum for _, momentum in rates(optimizer, SCHEDULES["one_cycle"](optimizer), 20)} == {0.0}


@pytest.mark.parametrize("name", SCHEDULES)
def test_groups_keep_their_proportions(name):
    """The second group's rate is twice the first's throughout, or the same peak for both."""
    optimizer = make_optimizer()
    for (first, second), _ in rates(optimizer, SCHEDULES[name](optimizer), 20):
        assert second == pytest.approx(first if name == "one_cycle" else 2 * first)


@pytest.mark.parametrize("steps", [0, 3, 11])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_state_survives_json(name, kind, steps):
    """From the states of scheduler and optimizer as text, the rates go on to the bit as if nothing had happened."""
    optimizer = make_optimizer(kind)
    scheduler = SCHEDULES[name](optimizer)
    rates(optimizer, scheduler, steps)
    text = json.dumps([optimizer.state_dict(), scheduler.state_dict()])
    expected = rates(optimizer, scheduler, 8)
    resumed = make_optimizer(kind)
    resumed_scheduler = SCHEDULES[name](resumed)
    of_optimizer, of_scheduler = json.loads(text)
    resumed.load_state_dict(of_optimizer)
    resumed_scheduler.load_state_dict(of_scheduler)
    assert rates(resumed, resumed_scheduler, 8) == expected
    assert len({tuple(lr) for lr, _ in expected}) > 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_torchs_optimizers_are_scheduled_alike(name):
    """The same rates with torch.optim as with ours."""
    used = []
    for module in (torch_optimizers, torch.optim):
        optimizer = module.SGD([torch.ones(2, requires_grad=True)], lr=0.2, momentum=0.9)
        used.append(rates(optimizer, SCHEDULES[name](optimizer), 12))
    assert used[0] == used[1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda o: warmup_cosine(o, warmup_steps=5, total_steps=5), "fewer than the 5 steps in all, got 5"),
        (lambda o: warmup_cosine(o, warmup_steps=-1, total_steps=5), "warmup_steps must be"),
        (lambda o: warmup_cosine(o, warmup_steps=0, total_steps=0), "total_steps must be"),
        (lambda o: warmup_cosine(o, warmup_steps=0, total_steps=5, final=2.0), "final must be"),
        (lambda o: step_decay(o, every=0, factor=0.1), "every must be"),
        (lambda o: step_decay(o, every=2, factor=0.0), "factor must be"),
        (lambda o: one_cycle(o, peak=-1.0, total_steps=5), "peak must be"),
        (lambda o: one_cycle(o, peak=0.1, total_steps=2.5), "total_steps must be"),
    ],
)
def test_numbers_out_of_range_are_refused(build, message):
    """The message names the number, what it may be and what it was."""
    with pytest.raises(ConfigError, match=message):
        build(make_optimizer())
