"""The package as a whole: its table of contents, and what importing it costs."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aifs_utils

PACKAGE = Path(aifs_utils.__file__).parent
README = Path(__file__).parents[1] / "README.md"


def test_every_public_name_can_be_imported():
    """Each name of __all__ is really there."""
    assert all(hasattr(aifs_utils, name) for name in aifs_utils.__all__)


def test_the_stub_and_the_lazy_table_list_the_same_names():
    """Type checkers read the .pyi and Python reads the table."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    stub = {alias.name: node.module for node in tree.body for alias in node.names}
    assert sorted(stub) == sorted(aifs_utils.__all__)
    for name, module in stub.items():
        assert getattr(aifs_utils, name) is getattr(importlib.import_module(f"aifs_utils.{module}"), name)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt import fails at once."""
    with pytest.raises(AttributeError, match="set_seed"):
        aifs_utils.set_seed  # noqa: B018


@pytest.mark.parametrize("statement", ["import aifs_utils", "from aifs_utils import ConfigError, look_up, write_json"])
def test_what_needs_no_numpy_imports_none(statement):
    """Nor rich, torch or logging handlers: a command answers --help at once."""
    code = f"{statement}\nimport sys, logging\nprint(sorted({{'numpy', 'rich', 'torch'}} & set(sys.modules)))"
    code += "\nprint(logging.getLogger().handlers)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["[]", "[]"]


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules([str(PACKAGE)])])
def test_the_examples_in_docstrings_hold(module, tmp_path, monkeypatch):
    """Each doctest of each module."""
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(f"aifs_utils.{module}")).failed == 0


def test_the_example_of_the_readme_runs(tmp_path):
    """A reader copies it into an empty folder."""
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    result = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr == (
        "warning: CUDA was asked for and is not used (this model computes with NumPy): computing on the CPU\n"
    )
    (log,) = tmp_path.glob("outputs/logs/perceptron-xor-*/train.log")
    assert "initial weights: [" in log.read_text()
    assert log.with_name("manifest.json").exists()
