"""How torch computes in a run."""

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.torch_setup import SMALL, get_threads, set_threads, why_inexact  # noqa: E402  # it imports torch


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_computes_on_one_thread():
    """A second thread waits longer than it computes."""
    assert set_threads(torch.nn.Linear(10, 10)) == get_threads() == 1


def test_a_large_model_keeps_the_threads_that_torch_would_take():
    """Only small models are slower on two."""
    assert set_threads(torch.nn.Linear(1000, SMALL // 1000, device="meta")) == 2


def test_a_learner_without_a_module_counts_as_small():
    """A learner in NumPy may be one of a torch model's variants."""
    assert set_threads(None) == 1


def test_the_number_that_is_asked_for_is_used():
    """An experiment may know better."""
    assert set_threads(torch.nn.Linear(10, 10), 2) == 2


def test_the_environment_decides_where_nothing_is_asked_for(monkeypatch):
    """``OMP_NUM_THREADS`` is how users of torch say it; torch has read it at its import."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert set_threads(torch.nn.Linear(10, 10)) == 2


def test_only_what_may_add_in_another_order_is_called_inexact():
    """On the CPU, and where torch refuses such kernels, a run gives its bits again."""
    assert why_inexact("cpu") == ""
    assert "last bits" in why_inexact("cuda")
    torch.use_deterministic_algorithms(True)
    try:
        assert why_inexact("cuda") == ""
    finally:
        torch.use_deterministic_algorithms(False)
