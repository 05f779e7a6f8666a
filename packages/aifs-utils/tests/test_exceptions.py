"""Errors are ours and, at once, the builtin ones that callers already catch."""

import pickle

import pytest

import aifs_utils


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ModelError", ValueError),
        ("DataError", ValueError),
        ("ConfigError", ValueError),
        ("TrainingError", RuntimeError),
        ("CheckpointError", OSError),
    ],
)
def test_each_error_is_also_the_builtin_one(name, builtin):
    """Old code that catches ValueError goes on catching."""
    error = getattr(aifs_utils, name)("what, and what to do")
    assert isinstance(error, aifs_utils.AIFromScratchError)
    assert isinstance(error, builtin)
    assert str(error) == "what, and what to do"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert (type(copy), str(copy)) == (type(error), str(error))
