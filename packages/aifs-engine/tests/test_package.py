"""What a stranger gets who installs the package alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import aifs_engine

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def run(example, folder):
    """What an example prints; a failure of its process fails the test."""
    command = [sys.executable, "-W", "error", "-c", example]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_every_public_name_can_be_imported_and_is_in_the_stub():
    stub = Path(aifs_engine.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r"import \w+ as (\w+)", stub)) == sorted(aifs_engine.__all__)
    for name in aifs_engine.__all__:
        assert getattr(aifs_engine, name).__name__ == name


def test_the_readmes_first_example_goes_on_where_it_was(tmp_path):
    """It is a whole program, and needs no torch."""
    finished = run(EXAMPLES[0], tmp_path)
    assert "test loss" in finished
    assert finished.splitlines()[-1] == run(EXAMPLES[0], tmp_path).splitlines()[-1]


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=lambda text: text.splitlines()[-1])
def test_the_readmes_examples_in_torch_run(example, tmp_path):
    """Word for word, each in a process of its own."""
    pytest.importorskip("torch", reason="the extra torch is not installed")
    assert run(example, tmp_path)
