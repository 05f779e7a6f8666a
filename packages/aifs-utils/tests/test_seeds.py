"""The global random states."""

import contextlib
import json
import random
import subprocess
import sys

import numpy as np
import pytest

from aifs_utils import ConfigError, get_random_state, preserve_random_state, restore_random_state, set_random_seed


@pytest.fixture(autouse=True)
def _own_random_state():
    before = get_random_state()
    yield
    restore_random_state(before)


def draw():
    """Draw from each global state; an odd number of normals leaves one in store."""
    return [random.gauss(0, 1), random.random(), np.random.normal(), np.random.random()]  # noqa: NPY002


def through_json(value):
    """Return the value after a round trip of its scalars through JSON and of its arrays through bytes."""
    if isinstance(value, dict):
        return {key: through_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return np.frombuffer(value.tobytes(), dtype=value.dtype).reshape(value.shape)
    return json.loads(json.dumps(value))


def test_the_same_seed_gives_the_same_draws():
    """And another seed gives others."""
    set_random_seed(3)
    first = draw()
    set_random_seed(3)
    assert draw() == first
    set_random_seed(np.int64(4))
    assert not set(draw()) & set(first)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None, True])
def test_a_bad_seed_is_refused_before_anything_is_seeded(seed):
    """Expected, got."""
    set_random_seed(5)
    first = draw()
    set_random_seed(5)
    with pytest.raises(ConfigError, match=r"from 0 to 4294967295, got "):
        set_random_seed(seed)
    assert draw() == first


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_ends_of_the_range_are_seeds(seed):
    """Both are accepted by Python and by NumPy."""
    set_random_seed(seed)


def test_a_saved_state_goes_on_exactly_there():
    """Through files: arrays as bytes, scalars as JSON, the stored normals included."""
    set_random_seed(7)
    draw()
    state = through_json(get_random_state())
    expected = [draw() for _ in range(700)]
    restore_random_state(state)
    assert [draw() for _ in range(700)] == expected


def test_a_state_is_a_copy():
    """Drawing on does not change a state that waits to be written."""
    set_random_seed(7)
    state = get_random_state()
    kept = state["numpy"]["state"]["key"].copy()
    np.random.random(2000)  # noqa: NPY002
    np.testing.assert_array_equal(state["numpy"]["state"]["key"], kept)


def test_torch_is_not_imported_unless_asked_for():
    """A NumPy run does not pay for torch."""
    code = "import sys, aifs_utils as u; u.set_random_seed(0); u.restore_random_state(u.get_random_state())"
    code += "; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_torch_asked_for_and_missing_is_said(monkeypatch):
    """With the remedy."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match="install torch"):
        set_random_seed(0, torch=True)


def test_torch_is_seeded_and_restored_when_it_is_there():
    """The same contract as for NumPy."""
    torch = pytest.importorskip("torch", reason="torch is an option of this package")
    set_random_seed(1)
    state = through_json(get_random_state())
    first = torch.rand(5)
    restore_random_state(state)
    assert torch.equal(torch.rand(5), first)
    set_random_seed(1, torch=False)
    assert not torch.equal(torch.rand(5), first)


def test_what_draws_within_the_block_leaves_no_trace():
    """Also when it fails."""
    set_random_seed(3)
    expected = (random.random(), np.random.random())  # noqa: NPY002
    set_random_seed(3)
    with contextlib.suppress(ZeroDivisionError), preserve_random_state():
        raise ZeroDivisionError(random.random(), np.random.random())  # noqa: NPY002
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_torch_draws_within_the_block_leave_no_trace():
    """Once it has been imported."""
    torch = pytest.importorskip("torch", reason="torch is an option of this package")
    set_random_seed(3)
    expected = torch.rand(1)
    set_random_seed(3)
    with preserve_random_state():
        torch.rand(1)
    assert torch.equal(torch.rand(1), expected)
