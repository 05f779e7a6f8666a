"""Print the members of the uv workspace as GitHub job outputs, so that a new member edits no workflow.

    python .github/workspace_matrix.py >> "$GITHUB_OUTPUT"

    packages=["aifs-data", "aifs-engine", "aifs-plotting", "aifs-utils"]
    models=["perceptron", "adaline"]

Only the standard library is used: the job that computes the matrix installs nothing.
"""

import json
import tomllib
from pathlib import Path

ROOMS = ("packages", "models")


def workspace_members(root: Path) -> list[Path]:
    """Return the folders of the workspace's members, in the order of their paths.

    Parameters
    ----------
    root : Path
        The folder of the root ``pyproject.toml``.

    Raises
    ------
    ValueError
        A pattern of the workspace matches no member: a typing error would otherwise empty the matrix unseen.
    """
    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["workspace"]
    excluded = {folder for pattern in workspace.get("exclude", []) for folder in root.glob(pattern)}
    members: set[Path] = set()
    for pattern in workspace["members"]:
        matched = {project.parent for project in root.glob(f"{pattern}/pyproject.toml")} - excluded
        if not matched:
            raise ValueError(f"the workspace pattern {pattern!r} matches no folder with a pyproject.toml")
        members |= matched
    return sorted(members)


def matrix(root: Path) -> dict[str, list[str]]:
    """Return the distribution names of the members, by the room they live in.

    Raises
    ------
    ValueError
        A member lives in neither room, so no job would test it.
    """
    names: dict[str, list[str]] = {room: [] for room in ROOMS}
    for folder in workspace_members(root):
        room = folder.relative_to(root).parts[0]
        if room not in names:
            raise ValueError(f"{folder.relative_to(root)} is in neither of {', '.join(ROOMS)}: no job would test it")
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        names[room].append(project["name"])
    return names


if __name__ == "__main__":
    for room, names in matrix(Path(__file__).resolve().parents[1]).items():
        print(f"{room}={json.dumps(names)}")
