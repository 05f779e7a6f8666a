"""The ``evaluate`` command."""

from aifs_engine.cli import evaluate_command
from mlp.config import EXPERIMENTS
from mlp.constants import NAME
from mlp.train import build


def main() -> int:
    """Run the command; return its exit code."""
    return evaluate_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
