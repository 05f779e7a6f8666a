"""What holds for the tests of every member."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count property tests as slow: they draw many examples, and one Python is enough for them."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)
