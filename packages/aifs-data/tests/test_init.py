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

import aifs_data

PACKAGE = Path(aifs_data.__file__).parent
README = Path(__file__).parents[1] / "README.md"


def run(code):
    """Run the code in a process of its own and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_stub_and_the_lazy_table_list_the_same_names():
    """Type checkers read the .pyi and Python reads the table."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    stub = {alias.name: node.module for node in tree.body for alias in node.names}
    assert sorted(stub) == sorted(aifs_data.__all__)
    for name, module in stub.items():
        assert getattr(aifs_data, name) is getattr(importlib.import_module(f"aifs_data.{module}"), name)


def test_importing_loads_neither_numpy_nor_scikit_learn():
    """A command answers --help at once."""
    code = "import sys, aifs_data; print(sorted({'numpy', 'sklearn', 'aifs_utils'} & set(sys.modules)))"
    assert run(code) == "[]\n"


@pytest.mark.parametrize("name", ["xor", "moons", "iris-easy", "digits"])
def test_loading_a_set_imports_no_scikit_learn_and_no_other_set(name):
    """Importing scikit-learn's data sets would take longer than a short run."""
    code = f"import sys, aifs_data; aifs_data.load_dataset({name!r})\n"
    code += "print('sklearn' in sys.modules, *[m for m in sys.modules if m.startswith('aifs_data.sources.')])"
    heavy, *modules = run(code).split()
    public = [module for module in modules if "._" not in module]
    assert heavy == "False"
    assert public == [f"aifs_data.sources.{name.split('-')[0]}"]


def test_listing_the_sets_imports_nothing_heavy():
    """All files of sources/ are imported for it, and only those."""
    code = "import sys, aifs_data; aifs_data.list_datasets(); print({'sklearn', 'scipy'} & set(sys.modules))"
    assert run(code) == "set()\n"


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules([str(PACKAGE)])])
def test_the_examples_in_docstrings_hold(module):
    """Each doctest of each module."""
    assert doctest.testmod(importlib.import_module(f"aifs_data.{module}")).failed == 0


def test_the_example_of_the_readme_runs_and_learns():
    """A reader copies it; the accuracy it prints is the one that the README shows."""
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    accuracy = float(re.search(r"test accuracy (\S+)", run(example))[1])
    assert accuracy >= 0.9
