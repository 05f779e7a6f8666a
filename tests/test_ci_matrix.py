"""The matrix of continuous integration is the workspace itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .workspace import ROOT, load_script, models, packages

SCRIPT = ROOT / ".github" / "workspace_matrix.py"
script = load_script(SCRIPT)


def plant(root: Path, *members: str, patterns: str = '["packages/*", "models/*"]') -> Path:
    """Write a workspace whose members have the names of their folders, a model's number left out."""
    (root / "pyproject.toml").write_text(f"[tool.uv.workspace]\nmembers = {patterns}\n", encoding="utf-8")
    for member in members:
        folder = root / member
        folder.mkdir(parents=True)
        name = folder.name.lstrip("0123456789_")
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n', encoding="utf-8")
    return root


def test_the_script_prints_one_output_per_room_as_json():
    printed = subprocess.run([sys.executable, SCRIPT], check=True, capture_output=True, text=True).stdout
    outputs = dict(line.split("=", maxsplit=1) for line in printed.splitlines())
    assert json.loads(outputs["packages"]) == [package.name for package in packages()]
    assert json.loads(outputs["models"]) == [model.name for model in models()]


def test_the_script_names_the_distribution_and_not_the_folder(tmp_path: Path):
    plant(tmp_path, "packages/aifs-utils", "models/02_adaline", "models/01_perceptron")
    assert script.matrix(tmp_path) == {"packages": ["aifs-utils"], "models": ["perceptron", "adaline"]}


def test_a_new_member_joins_by_being_there(tmp_path: Path):
    plant(tmp_path, "packages/aifs-utils", "models/01_perceptron")
    before = script.matrix(tmp_path)["models"]
    plant(tmp_path, "models/03_madaline")
    assert script.matrix(tmp_path)["models"] == [*before, "madaline"]


def test_a_folder_without_a_project_is_no_member(tmp_path: Path):
    plant(tmp_path, "packages/aifs-utils", "models/01_perceptron")
    (tmp_path / "models" / "notes").mkdir()
    assert script.matrix(tmp_path)["models"] == ["perceptron"]


def test_an_excluded_member_stays_out(tmp_path: Path):
    plant(tmp_path, "packages/aifs-utils", "models/01_perceptron", "models/99_draft")
    with (tmp_path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('exclude = ["models/99_*"]\n')
    assert script.matrix(tmp_path)["models"] == ["perceptron"]


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path):
    plant(tmp_path, "packages/aifs-utils", patterns='["packages/*", "model/*"]')
    with pytest.raises(ValueError, match=r"'model/\*' matches no folder"):
        script.matrix(tmp_path)


def test_a_member_in_no_room_is_an_error(tmp_path: Path):
    plant(tmp_path, "tools/painter", patterns='["tools/*"]')
    with pytest.raises(ValueError, match="no job would test it"):
        script.matrix(tmp_path)
