"""Tensors as arrays, and back."""

from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.checkpoint import Bfloat16  # noqa: E402  # only where torch is
from aifs_engine.torch_state import on_device, to_arrays, to_tensors  # noqa: E402


def test_a_state_comes_back_as_it_was_with_the_types_of_a_fresh_one():
    """JSON knows neither numbers as keys, nor tuples, nor counters: the fresh state says where they were."""
    state = {
        "state": {0: {"step": torch.tensor(3.0)}},
        "betas": (0.9, 0.999),
        "milestones": Counter({5: 1}),
        "none": None,
    }
    back = to_tensors(to_arrays(state), state)
    assert back == state
    assert [type(back[name]) for name in ("betas", "milestones")] == [tuple, Counter]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_every_dtype_comes_back_to_the_bit(dtype):
    """bfloat16, which NumPy lacks, travels as its bits."""
    tensor = torch.tensor([[0.0, 1.5, -3.0]]).to(dtype)
    array = to_arrays(tensor)
    assert isinstance(array, Bfloat16) is (dtype == torch.bfloat16)
    back = to_tensors(array)
    assert back.dtype == dtype
    assert torch.equal(back, tensor)


def test_what_is_loaded_shares_no_memory_with_the_state():
    """Or the next step would change a checkpoint that a callback still holds."""
    array = torch.zeros(2).numpy()
    to_tensors({"w": array})["w"].fill_(1.0)
    assert array.tolist() == [0.0, 0.0]


def test_keys_are_sorted_where_that_is_asked_for():
    """Equal states then give equal files."""
    assert list(to_arrays({"b": 1, "a": {2: 1, 1: 2}}, sort=True)) == ["a", "b"]
    assert list(to_arrays({"b": 1, "a": 2})) == ["b", "a"]


def test_a_batch_is_moved_whatever_its_nesting():
    """Tuples, lists and dicts, and what is no tensor stays."""
    batch = on_device(({"X": torch.zeros(2)}, [torch.zeros(1), "name"]), "meta")
    assert batch[0]["X"].device.type == batch[1][0].device.type == "meta"
    assert batch[1][1] == "name"
