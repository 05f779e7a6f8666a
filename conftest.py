"""What holds for the tests of every member."""

from importlib.util import find_spec

import pytest

# Their examples need torch, which is an extra.
collect_ignore_glob = [] if find_spec("torch") else [f"packages/*/{folder}/*torch_*.py" for folder in ("src/*", "tests")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count property tests as slow: they draw many examples, and one Python is enough for them."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)
