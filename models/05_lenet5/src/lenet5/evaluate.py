"""The ``evaluate`` command."""

from aifs_engine.cli import evaluate_command
from lenet5.config import EXPERIMENTS
from lenet5.constants import NAME
from lenet5.train import build


def main() -> int:
    """Run the command; return its exit code."""
    return evaluate_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
