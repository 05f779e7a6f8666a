"""The README and the docstrings do what they show."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_readme_prints_what_it_says(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert run.stdout == code.rpartition("# ")[2]
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4


@pytest.mark.parametrize("name", ["classification", "curves", "features", "playbooks", "style"])
def test_the_docstrings_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(f"aifs_plotting.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
