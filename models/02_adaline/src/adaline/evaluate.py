"""The ``evaluate`` command."""

from adaline.config import EXPERIMENTS
from adaline.constants import NAME
from adaline.train import build
from aifs_engine.cli import evaluate_command


def main() -> int:
    """Run the command; return its exit code."""
    return evaluate_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
