"""The lock says what the members ask for."""

import shutil
import subprocess

from .workspace import ROOT, load_members, read_toml


def test_the_lock_is_up_to_date():
    uv = shutil.which("uv")
    assert uv is not None, "uv is not on PATH"
    checked = subprocess.run([uv, "lock", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"run `uv lock` and commit uv.lock\n{checked.stderr}"


def test_the_lock_knows_every_member():
    locked = set(read_toml(ROOT / "uv.lock")["manifest"]["members"])
    assert {member.name for member in load_members(ROOT)} <= locked


def test_the_lock_has_the_versions_that_the_models_pin():
    locked = {package["name"]: package for package in read_toml(ROOT / "uv.lock")["package"]}
    for member in load_members(ROOT):
        wanted = {name: str(item.specifier) for name, item in member.dependencies.items()}
        resolved = {item["name"]: item["version"] for item in locked[member.name]["dependencies"] if "version" in item}
        for name, version in resolved.items():
            if wanted.get(name, "").startswith("=="):
                assert wanted[name] == f"=={version}"
