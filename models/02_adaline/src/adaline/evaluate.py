"""Measure trained weights of ADALINE: ``evaluate --experiment iris-easy --checkpoint FILE``."""

from adaline.config import EXPERIMENTS
from adaline.train import build
from aifs_engine.cli import evaluate_command


def main() -> int:
    """The console script."""
    return evaluate_command("adaline", EXPERIMENTS, build)
