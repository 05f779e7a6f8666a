"""The ``evaluate`` command."""

from aifs_engine.cli import evaluate_command

from .config import EXPERIMENTS
from .constants import NAME
from .train import build


def main() -> int:
    """Run the command; return its exit code."""
    return evaluate_command(NAME, EXPERIMENTS, build)
