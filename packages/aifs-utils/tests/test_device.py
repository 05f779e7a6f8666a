"""The choice of a device."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from aifs_utils import ConfigError, setup_device


def fake_torch(monkeypatch, *, cuda=False, mps=False):
    """Stand in for a torch that finds these devices."""
    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: cuda),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_the_best_there_is_and_says_nothing(monkeypatch, caplog, cuda, mps, best):
    """CUDA, then MPS, then the CPU."""
    fake_torch(monkeypatch, cuda=cuda, mps=mps)
    assert setup_device() == best
    assert not caplog.records


def test_what_is_there_is_used(monkeypatch, caplog):
    """No warning when the wish comes true."""
    fake_torch(monkeypatch, cuda=True, mps=True)
    assert [setup_device(device) for device in ("cuda", "mps", "cpu")] == ["cuda", "mps", "cpu"]
    assert not caplog.records


@pytest.mark.parametrize("requested", ["cuda", "mps"])
def test_what_is_not_there_is_announced_and_replaced(monkeypatch, caplog, requested):
    """The fallback is loud."""
    fake_torch(monkeypatch)
    assert setup_device(requested) == "cpu"
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert requested.upper() in message
    assert "computing on the CPU" in message


def test_without_torch_there_is_the_cpu(monkeypatch, caplog):
    """It is an option."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert setup_device("auto") == "cpu"
    assert not caplog.records
    assert setup_device("cuda") == "cpu"
    assert len(caplog.records) == 1


def test_numpy_computes_on_the_cpu(caplog):
    """Whatever was asked for; silently where nothing else was."""
    assert {setup_device(device, framework="numpy") for device in ("auto", "cpu")} == {"cpu"}
    assert not caplog.records
    assert setup_device("mps", framework="numpy") == "cpu"
    assert "computes with NumPy" in caplog.text


def test_the_cpu_imports_no_torch():
    """In a process of its own."""
    code = "import sys, aifs_utils as u; u.setup_device('cpu'); u.setup_device('cuda', framework='numpy')"
    code += "; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_an_unknown_name_gets_a_suggestion():
    """For both parameters."""
    with pytest.raises(ConfigError, match=r"unknown device 'cud': did you mean 'cuda'\?"):
        setup_device("cud")
    with pytest.raises(ConfigError, match=r"unknown framework 'nunpy': did you mean 'numpy'\?"):
        setup_device("cpu", framework="nunpy")


def test_a_real_torch_is_understood():
    """The fake above has the right shape."""
    pytest.importorskip("torch", reason="torch is an option of this package")
    assert setup_device("auto") in {"cpu", "cuda", "mps"}
