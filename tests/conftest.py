"""One copied checkout for all tests that run the documented commands: its environment is built once."""

import pytest

from .workspace import Checkout, copy_checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return what a fresh clone of the working tree would hold, with an environment of its own."""
    return Checkout(copy_checkout(tmp_path_factory.mktemp("checkout")))
