"""The commands that the READMEs promise are run, word for word, in a copied checkout."""

import re
from pathlib import Path

import pytest

from .workspace import ROOT, Checkout

READMES = [ROOT / "README.md", *sorted(ROOT.glob("models/*/README.md")), *sorted(ROOT.glob("packages/*/README.md"))]

RUN = re.compile(r"uv run (--isolated )?--package \S+ ")

# Commands that are not run here, and why. What is in neither list fails a test.
NOT_RUN = {
    r"git clone .+": "the tests already stand in a checkout",
    r"cd \S+": "the tests already stand in a checkout",
    r"(pip|pipx|python -m pip) install uv": "uv runs these tests",
    r"(pip|uv pip|uv) (install|add) ['\"]?aifs-[a-z]+.*": "the build session installs the packages from their wheels",
    r"(uv run )?nox( .*)?": "a session of nox runs these tests",
    r"uv run --package lenet5 train --experiment mnist.*": "it trains for minutes; the model's tests run shorter ones",
}

_ran: set[str] = set()


def commands(markdown: str) -> list[str]:
    """Return the commands of a document's shell blocks, continued lines joined.

    In a ``bash`` block every line is a command; in a ``console`` block those after a ``$``, the rest is output.
    """
    found = []
    for language, block in re.findall(r"^```(bash|sh|shell|console)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            text = line.strip()
            if language == "console":
                text = text.removeprefix("$ ") if text.startswith("$ ") else ""
            if text and not text.startswith("#"):
                found.append(re.sub(r"\s+", " ", text))
    return found


def is_excused(command: str) -> bool:
    """Whether a command is not run here."""
    return any(re.fullmatch(pattern, bare(command)) for pattern in NOT_RUN)


def bare(command: str) -> str:
    """Return a command without its comment."""
    return re.sub(r"\s+#.*$", "", command)


def test_commands_are_read_out_of_both_kinds_of_blocks():
    document = (
        "Run it:\n```bash\n# first\nuv run --package a train   # two seconds\n\nuv run \\\n    nox\n```\n"
        "```console\n$ nox --list\nSessions defined here\n```\n```python\nprint(1)\n```\n"
    )
    assert commands(document) == ["uv run --package a train # two seconds", "uv run nox", "nox --list"]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_is_run_or_excused(readme: Path):
    found = commands(readme.read_text(encoding="utf-8"))
    unknown = [command for command in found if not RUN.match(command) and not is_excused(command)]
    assert unknown == [], "run it in this test or excuse it in NOT_RUN"


def test_the_root_readme_has_commands_to_run():
    assert any(RUN.match(command) for command in commands((ROOT / "README.md").read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_readme_run(readme: Path, checkout: Checkout):
    for command in commands(readme.read_text(encoding="utf-8")):
        if RUN.match(command) and not is_excused(command) and command not in _ran:
            done = checkout.run(command)
            assert done.returncode == 0, f"{command}\n{done.stdout}"
            assert "Traceback" not in done.stdout
            _ran.add(command)
