"""What the tests of the workspace read: its members, their metadata and their sources."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def load_script(path: Path) -> ModuleType:
    """Import a script that lies outside every package, such as one under ``.github``."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Member:
    """One member of the workspace: a shared package or a model."""

    folder: Path

    @property
    def room(self) -> str:
        """Return "packages" or "models"."""
        return self.folder.parent.name

    @cached_property
    def tables(self) -> dict[str, Any]:
        """The whole ``pyproject.toml``."""
        return read_toml(self.folder / "pyproject.toml")

    @property
    def project(self) -> dict[str, Any]:
        """The ``[project]`` table."""
        table: dict[str, Any] = self.tables["project"]
        return table

    @property
    def name(self) -> str:
        """The distribution's name."""
        return str(self.project["name"])

    @property
    def import_name(self) -> str:
        """The name that ``import`` takes."""
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """The folder of the import package."""
        return self.folder / "src" / self.import_name

    @property
    def dependencies(self) -> dict[str, Requirement]:
        """The dependencies that every user installs, by canonical name."""
        return _by_name(self.project.get("dependencies", []))

    @property
    def optional_dependencies(self) -> dict[str, Requirement]:
        """The dependencies of all extras, by canonical name."""
        extras = self.project.get("optional-dependencies", {})
        return _by_name([line for lines in extras.values() for line in lines])

    def modules(self) -> Iterator[Path]:
        """Yield the member's sources as they are installed, stubs excluded."""
        yield from sorted(self.source.rglob("*.py"))

    def all_sources(self) -> Iterator[Path]:
        """Yield every Python file of the member that is its own: sources, stubs, tests, benchmarks, examples."""
        for path in sorted(self.folder.rglob("*.py*")):
            parts = path.relative_to(self.folder).parts
            hidden = any(part.startswith(".") or part in {"__pycache__", "outputs", "build", "dist"} for part in parts)
            if path.suffix in {".py", ".pyi"} and not hidden:
                yield path

    def module_name(self, path: Path) -> str:
        """Return the dotted name of one of the member's installed modules."""
        parts = path.relative_to(self.folder / "src").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def __str__(self) -> str:
        return self.name


def _by_name(lines: list[str]) -> dict[str, Requirement]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def load_members(root: Path) -> list[Member]:
    """Return the members of the workspace at `root`, packages and models."""
    matrix = load_script(ROOT / ".github" / "workspace_matrix.py")
    return [Member(folder) for folder in matrix.workspace_members(root)]


def packages(root: Path = ROOT) -> list[Member]:
    """Return the shared packages."""
    return [member for member in load_members(root) if member.room == "packages"]


def models(root: Path = ROOT) -> list[Member]:
    """Return the models, in the order of their numbers."""
    return [member for member in load_members(root) if member.room == "models"]


def copy_checkout(destination: Path) -> Path:
    """Copy what a fresh clone of the working tree would hold: tracked files and new ones that git does not ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        source, target = ROOT / name, destination / name
        if source.is_file():  # a file deleted, but not yet committed, is still listed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


# Nothing that a documented command starts may leave this machine, and it must not find the environment of these tests.
OUTER_ENVIRONMENT = ("PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "VIRTUAL_ENV")
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository in which commands run as a reader would run them."""

    root: Path

    def run(self, command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run one line of shell in the checkout and return what came of it, both streams as one."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in OUTER_ENVIRONMENT and not name.startswith(("AIFS_", "WANDB_"))
        }
        return subprocess.run(
            ["bash", "-c", f"{command}\nstatus=$?\nwait\nexit $status"],
            cwd=self.root,
            # Compiling every library beforehand would take most of the time, and no command answers otherwise for it.
            env=environment | {"WANDB_BASE_URL": NOWHERE, "UV_COMPILE_BYTECODE": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )


def headings(markdown: str, level: int = 2) -> list[str]:
    """Return the headings of one level, fenced blocks left out."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return re.findall(rf"^{'#' * level} (.+?)\s*$", text, flags=re.MULTILINE)
