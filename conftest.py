"""What holds for the tests of every member."""

from importlib.util import find_spec

import pytest

# Modules that cannot be imported without torch, which is an extra; their tests skip themselves and say so.
TORCH_MODULES = ["packages/*/src/*/torch_*.py", "packages/*/src/*/_torch_*.py", "packages/*/tests/torch_*.py"]
collect_ignore_glob = [] if find_spec("torch") else TORCH_MODULES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count property tests as slow: they draw many examples, and one Python is enough for them."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)
