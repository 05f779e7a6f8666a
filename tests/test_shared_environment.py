"""The models take turns in one environment, and each turn runs the model that was asked for.

Every model installs the commands ``train`` and ``evaluate``, and the one installed last owns them. The root's
``reinstall-package`` makes a model install itself anew when it is asked for. Without that list the third of three runs,
perceptron, adaline, perceptron, silently trains adaline: both are "installed", so uv has nothing to do.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from .workspace import Checkout, Member, copy_checkout, models

pytestmark = pytest.mark.slow

FIRST, SECOND = models()[:2]


def train(checkout: Checkout, model: Member, turn: int) -> dict[str, object]:
    """Train a model's debug experiment in the shared environment and return the manifest of the run."""
    outputs = checkout.root / "turns" / str(turn)
    shutil.rmtree(outputs, ignore_errors=True)
    done = checkout.run(f"uv run --package {model.name} train --experiment debug --no-wandb --output-dir '{outputs}'")
    assert done.returncode == 0, done.stdout
    [manifest] = outputs.rglob("manifest.json")
    found: dict[str, object] = json.loads(manifest.read_text(encoding="utf-8"))
    return found


def pinned(model: Member) -> str:
    """Return the NumPy version that a model asks for."""
    return str(model.dependencies["numpy"].specifier).removeprefix("==")


def numpy_version(manifest: dict[str, object]) -> object:
    """Return the NumPy version that a run used."""
    versions = manifest["versions"]
    assert isinstance(versions, dict)
    return versions["numpy"]


def test_three_turns_train_the_model_that_was_asked_for_with_its_own_pins(checkout: Checkout):
    assert pinned(FIRST) != pinned(SECOND)
    for turn, model in enumerate([FIRST, SECOND, FIRST]):
        manifest = train(checkout, model, turn)
        assert (manifest["model"], numpy_version(manifest)) == (model.name, pinned(model)), f"turn {turn + 1}"
    assert sorted(path.name for path in checkout.root.glob(".venv*")) == [".venv"]


def test_without_the_list_the_third_turn_is_the_wrong_model(tmp_path: Path):
    # If this fails, uv has learned whose command it runs: then `reinstall-package` can go, and this file with it.
    checkout = Checkout(copy_checkout(tmp_path))
    project = checkout.root / "pyproject.toml"
    text, removed = re.subn(
        r"^reinstall-package = \[.*?\]\n", "", project.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert removed == 1
    project.write_text(text, encoding="utf-8")
    ran = [train(checkout, model, turn)["model"] for turn, model in enumerate([FIRST, SECOND, FIRST])]
    assert ran == [FIRST.name, SECOND.name, SECOND.name]
