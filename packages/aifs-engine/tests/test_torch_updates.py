"""From gradients to moved weights, for one optimizer."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.torch_optimizers import SGD  # noqa: E402  # only where torch is
from aifs_engine.torch_updates import Updater, clip  # noqa: E402


def test_gradients_above_the_norm_are_scaled_down_to_it_together():
    """As torch's clip_grad_norm_ does, which is the oracle."""
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    expected = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    assert float(clip(gradients, 1.0)) == pytest.approx(float(expected)) == 5.0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_gradients_below_the_norm_stay_to_the_bit():
    """Clipping is not normalizing."""
    gradients = [torch.tensor([0.3, 0.4])]
    clip(gradients, 1.0)
    assert torch.equal(gradients[0], torch.tensor([0.3, 0.4]))


def test_a_norm_that_overflows_float32_is_computed_again():
    """The squares overflow long before the values do."""
    gradients = [torch.tensor([1e30, 0.0])]
    assert float(clip(gradients, 1.0)) == pytest.approx(1e30)
    assert gradients[0][0] == pytest.approx(1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_hidden_by_clipping(value):
    """The guard must see it."""
    assert not math.isfinite(clip([torch.tensor([value, 1.0])], 1.0))


def test_a_window_moves_the_weights_when_it_is_full_or_finished():
    """By the mean gradient of its samples, whatever the sizes of its batches."""
    w = torch.nn.Parameter(torch.zeros(()))
    updater = Updater(SGD([w], lr=1.0), accumulate=2)
    for batch, moved in [([1.0, 1.0, 1.0], 0.0), ([5.0], -2.0)]:
        X = torch.tensor(batch)
        updater.update((w * X).mean(), (None, X))
        assert w.item() == moved
    updater.update((w * torch.tensor([4.0])).mean(), (None, torch.tensor([4.0])))
    assert (w.item(), updater.updates) == (-2.0, 1)
    updater.finish()
    assert (w.item(), updater.updates) == (-6.0, 2)
    updater.finish()
    assert updater.updates == 2
