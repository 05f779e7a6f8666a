"""What is reported beside the loss."""

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.torch_metrics import accuracy  # noqa: E402  # only where torch is
from aifs_utils.exceptions import ModelError  # noqa: E402


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        (torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), torch.tensor([1, 0, 0]), 2 / 3),
        (torch.tensor([[-1.0], [2.0], [3.0], [4.0]]), torch.tensor([0, 1, 0, 1]), 3 / 4),
        (torch.tensor([-1.0, 2.0, 3.0]), torch.tensor([-1.0, 1.0, -1.0]), 2 / 3),
        (torch.tensor([[-1.0], [2.0]]), torch.tensor([[0.0], [1.0]]), 1.0),
        (torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]), torch.tensor([[0, 0]]), 1 / 2),
    ],
    ids=["classes", "column of logits", "signs", "columns", "places in a picture"],
)
def test_accuracy_is_the_share_that_is_right(outputs, targets, expected):
    """Of all the ways in which losses of torch take outputs and targets."""
    assert accuracy(outputs, targets).item() == expected  # to the last bit of a Python float


def test_accuracy_of_shapes_that_do_not_fit_is_refused():
    """They would be compared by broadcasting."""
    with pytest.raises(ModelError, match=r"got \(4, 3\) and \(4, 3\)"):
        accuracy(torch.zeros(4, 3), torch.zeros(4, 3))
