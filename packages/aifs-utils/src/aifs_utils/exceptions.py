"""The errors that a user can mend, each also the builtin error that callers already catch.

A message says what was expected, what was got, and what to do about it, in one line.
"""


class AIFromScratchError(Exception):
    """Base of every error that the aifs packages and models raise on purpose."""


class ModelError(AIFromScratchError, ValueError):
    """A model cannot be built from, or applied to, what it was given."""


class DataError(AIFromScratchError, ValueError):
    """A data set is unknown, cannot be had, or does not fit what is asked of it."""


class ConfigError(AIFromScratchError, ValueError):
    """A setting is unknown, out of range, or does not fit the others."""


class TrainingError(AIFromScratchError, RuntimeError):
    """Training cannot go on."""


class CheckpointError(AIFromScratchError, OSError):
    """A checkpoint is missing, damaged, or belongs to something else."""
