"""What the tests share: a web server that misbehaves as it is told."""

import importlib.util
from pathlib import Path

import pytest


def _load(path):
    """Import a file beside this one, which pytest's importlib mode leaves off sys.path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FaultServer = _load(Path(__file__).with_name("fault_server.py")).FaultServer


@pytest.fixture
def fault_server():
    """A server on loopback that has nothing yet, and obeys `once` and `always`."""
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def other_server():
    """A second one, another host as far as a client can tell."""
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the cache of whoever runs it."""
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path_factory.getbasetemp() / "no-cache-of-this-machine"))
