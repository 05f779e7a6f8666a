"""Every check of the workspace, each in an environment of its own: what runs here is what CI runs.

``nox`` alone runs all that a change has to pass; ``nox --list`` shows the rest.
"""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
ON_GITHUB = "GITHUB_ACTIONS" in os.environ

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "typing", "test-packages", "test-models", "test-workspace", "build"]
# At home the Pythons that are there are tested; on GitHub each job names one, which is fetched.
nox.options.error_on_missing_interpreters = ON_GITHUB
nox.options.download_python = "auto" if ON_GITHUB else "never"


def project_table(folder: Path) -> dict[str, Any]:
    """Return what a member's pyproject.toml says of the project."""
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PACKAGES = {path.parent.name: path.parent for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}
MODELS = {project_table(path.parent)["name"]: path.parent for path in sorted(ROOT.glob("models/*/pyproject.toml"))}
STRESSED = [
    name for name, folder in MODELS.items() if any("mark.stress" in f.read_text() for f in folder.glob("tests/*.py"))
]

SCHEMAS = [
    ("vendor.github-workflows", "workflows/*.yml"),
    ("custom.github-workflows-require-timeout", "workflows/*.yml"),
    ("vendor.dependabot", "dependabot.yml"),
    ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
    ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
]


def reveal_pyenv_pythons() -> None:
    """Put pyenv's Pythons on the path: its shims answer only for the versions that are switched on."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    newest = {re.match(r"\d+\.\d+", path.name)[0]: path / "bin" for path in sorted(versions.glob("3.[0-9]*.[0-9]*"))}
    found = [str(newest[python]) for python in reversed(PYTHONS) if python in newest]
    os.environ["PATH"] = os.pathsep.join([*reversed(found), os.environ["PATH"]])


reveal_pyenv_pythons()


def sync(session: nox.Session, *what: str) -> None:
    """Make the session's environment what the lock says: the members or groups named, and nothing else."""
    session.env["UV_PROJECT_ENVIRONMENT"] = session.virtualenv.location
    # Only what is imported gets compiled, when it is; the shared environment compiles everything beforehand.
    session.env["UV_COMPILE_BYTECODE"] = "0"
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.run_install("uv", "sync", "--quiet", "--locked", f"--python={session.virtualenv.location}", *what)


def sync_member(session: nox.Session, name: str, *options: str) -> None:
    """Install one member with exactly what it depends on, and the test tools beside it."""
    sync(session, "--exact", "--package", name, *options)
    sync(session, "--inexact", "--only-group", "test")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, workflows and forms."""
    sync(session, "--only-group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for schema, pattern in SCHEMAS:
        session.run("check-jsonschema", "--builtin-schema", schema, *map(str, sorted((ROOT / ".github").glob(pattern))))
    session.run("zizmor", "--offline", "--persona=pedantic", "--strict-collection", "--quiet", str(ROOT / ".github"))


@nox.session
def typing(session: nox.Session) -> None:
    """Check the packages' types strictly."""
    sync(session, "--exact", *(word for name in PACKAGES for word in ("--package", name)))
    sync(session, "--inexact", "--only-group", "typing")
    session.run("mypy", *(str(folder / "src") for folder in PACKAGES.values()))


@nox.session(name="test-packages", python=PYTHONS)
@nox.parametrize("package", list(PACKAGES), ids=list(PACKAGES))
def test_packages(session: nox.Session, package: str) -> None:
    """Test each package alone, on each Python that is here; what is slow, and with torch, on the first of them."""
    is_first = session.python == PYTHONS[0]
    # torch is some gigabytes, and without it a package has to work as well.
    is_light = "torch" in project_table(PACKAGES[package]).get("optional-dependencies", {}) and not is_first
    sync_member(session, package, "--all-extras", *(["--no-extra", "torch"] if is_light else []))
    folder = PACKAGES[package]
    which = session.posargs or ["-m", "not stress" if is_first else "not slow and not stress"]
    session.run("pytest", "--numprocesses=2", str(folder / "tests"), "--doctest-modules", str(folder / "src"), *which)


@nox.session(name="test-models")
@nox.parametrize("model", list(MODELS), ids=list(MODELS))
def test_models(session: nox.Session, model: str) -> None:
    """Test each model with its own pins: build it, run its tests, train and evaluate its debug experiment."""
    sync_member(session, model)
    temporary = Path(session.create_tmp()).resolve()
    outputs = temporary / "outputs"
    shutil.rmtree(outputs, ignore_errors=True)
    session.run_install("uv", "build", "--quiet", "--wheel", "--no-sources", "--package", model, "--out-dir", temporary)
    which = session.posargs or ["-m", "not stress"]
    session.run("pytest", "--numprocesses=2", str(MODELS[model] / "tests"), *which)
    experiment = ["--experiment", "debug", "--output-dir", str(outputs)]
    session.run("train", "--no-wandb", "--visualize", *experiment)
    [checkpoint] = outputs.rglob("best.safetensors")
    session.run("evaluate", "--checkpoint", str(checkpoint), *experiment)


@nox.session
@nox.parametrize("model", STRESSED, ids=STRESSED)
def stress(session: nox.Session, model: str) -> None:
    """Kill, stop and starve processes for some minutes: what they leave has to be what undisturbed ones do."""
    sync_member(session, model)
    session.run("pytest", str(MODELS[model] / "tests"), "-m", "stress", *session.posargs)


@nox.session(name="test-workspace")
def test_workspace(session: nox.Session) -> None:
    """Test what holds across members: who imports whom, conventions, the lock, the commands of the READMEs."""
    sync(session, "--only-group", "workspace")
    session.run("pytest", "tests", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build every wheel, and run each package's example where only that wheel is installed."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run_install("uv", "build", "--quiet", "--all-packages", "--wheel", "--no-sources", "--out-dir", str(dist))
    session.run("python", "--version")
    temporary = Path(session.create_tmp()).resolve()
    for name, folder in PACKAGES.items():
        environment = temporary / name
        session.run_install(
            "uv", "venv", "--quiet", "--clear", "--python", session.virtualenv.location, str(environment)
        )
        python = str(environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
        # uv knows a wheel by its path, and would install what an earlier build left in its cache.
        fresh = [f"--refresh-package={package}" for package in PACKAGES]
        session.run_install(
            "uv", "pip", "install", "--quiet", "--python", python, "--find-links", str(dist), *fresh, name
        )
        example = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
        with session.chdir(environment):
            session.run(python, "-I", "-c", example, external=True, silent=True)
            session.log(f"{name}: the README's example runs from its wheel alone")
        for script in project_table(folder).get("scripts", {}):
            session.run(str(Path(python).with_name(script)), "--help", external=True, silent=True)


@nox.session
@nox.parametrize("model", list(MODELS), ids=list(MODELS))
def reproduce(session: nox.Session, model: str) -> None:
    """Measure every claim of a model on ten seeds again, and renew the tables of the READMEs."""
    sync(session, "--exact", "--package", model)
    session.run("python", "-m", "aifs_engine.reproduce", model, "--write", str(MODELS[model]), *session.posargs)
    session.run("python", str(ROOT / "docs" / "refresh_readmes.py"), str(MODELS[model]))


@nox.session
def docs(session: nox.Session) -> None:
    """Write the page of every data set again; sets that are not on this machine are fetched for it."""
    sync(session, "--exact", "--package", "aifs-data", "--package", "aifs-plotting")
    session.run("python", str(ROOT / "docs" / "dataset_pages.py"), *session.posargs)


@nox.session
@nox.parametrize("member", [*PACKAGES, *MODELS], ids=[*PACKAGES, *MODELS])
def bench(session: nox.Session, member: str) -> None:
    """Time what is claimed to be fast, beside a peer or a floor in the same run."""
    folder = {**PACKAGES, **MODELS}[member]
    scripts = sorted(folder.glob("benchmarks/[!_]*.py"))
    if not scripts:
        session.skip(f"{member} has no benchmarks")
    sync(session, "--exact", "--package", member, "--all-extras")
    sync(session, "--inexact", "--only-group", "test")
    for peers in folder.glob("benchmarks/*.txt"):  # what our own is compared with; never in the lock
        session.run_install("uv", "pip", "install", "--quiet", "--requirements", str(peers))
    for script in scripts:
        session.run("python", str(script), *session.posargs)
