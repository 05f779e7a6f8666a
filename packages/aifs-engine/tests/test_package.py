"""What a stranger gets who installs the package alone."""

import re
import subprocess
import sys
from pathlib import Path

import aifs_engine

ROOT = Path(__file__).parents[1]


def test_every_public_name_can_be_imported_and_is_in_the_stub():
    stub = Path(aifs_engine.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r"import \w+ as (\w+)", stub)) == sorted(aifs_engine.__all__)
    for name in aifs_engine.__all__:
        assert getattr(aifs_engine, name).__name__ == name


def test_the_readmes_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    finished = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "test loss" in finished.stdout
    again = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]
