"""What the schemas and zizmor cannot know: the workflows cover this workspace, and call sessions that exist."""

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from .workspace import ROOT, Member, load_members

DOCUMENTS = [path for pattern in ("*.md", ".github/*.md", "*/*/*.md") for path in sorted(ROOT.glob(pattern))]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the tables of a YAML file."""
    tables: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tables


def nox_sessions() -> set[str]:
    """Return the names of the sessions that the noxfile defines, read without running it."""
    names = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
            if ast.unparse(call.func).endswith("session"):
                given = {word.arg: word.value for word in call.keywords}
                names.add(ast.literal_eval(given["name"]) if "name" in given else node.name)
    return names


@every_workflow
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(workflow: Path):
    uses = re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8"))
    assert uses
    assert [line for line in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_an_action_has_one_version_everywhere():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    pinned = set(re.findall(r"uses: ([\w./-]+)@(\S+)", text))
    assert len({action for action, _ in pinned}) == len(pinned)


@every_workflow
def test_a_job_has_no_more_rights_than_it_names_and_ends_in_time(workflow: Path):
    tables = read_yaml(workflow)
    assert tables["permissions"] == {}
    for name, job in tables["jobs"].items():
        assert job["permissions"] in ({}, {"contents": "read"}, {"id-token": "write"}), name
        assert job["timeout-minutes"] <= 30, name


def test_all_green_waits_for_every_other_job():
    jobs = read_yaml(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert sorted(jobs["all-green"]["needs"]) == sorted(jobs.keys() - {"all-green"})
    assert jobs["all-green"]["if"] == "always()"  # else it would be skipped, and a skipped check counts as passed


def test_the_jobs_run_sessions_that_exist():
    jobs = read_yaml(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    called = {*jobs["checks"]["strategy"]["matrix"]["session"], "test-packages", "test-models"}
    assert called <= nox_sessions()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_names_sessions_that_exist(document: Path):
    named = re.findall(r"nox (?:-s|--session) [\"']?([a-z-]+[a-z])", document.read_text(encoding="utf-8"))
    assert set(named) <= nox_sessions()


def test_every_python_from_the_oldest_we_promise_is_tested():
    jobs = read_yaml(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    pythons = jobs["package"]["strategy"]["matrix"]["python"]
    minors = [int(python.removeprefix("3.")) for python in pythons]
    assert minors == list(range(11, 11 + len(minors)))
    noxfile = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    written = {node.value for node in ast.walk(noxfile) if isinstance(node, ast.Constant)}
    assert set(pythons) <= written


@pytest.mark.parametrize("member", [*load_members(ROOT), Member(ROOT)], ids=lambda member: member.folder.name)
def test_dependabot_watches_every_member(member: Member):
    updates = read_yaml(ROOT / ".github" / "dependabot.yml")["updates"]
    folder = "/" + member.folder.relative_to(ROOT).as_posix().removeprefix(".")
    patterns = [glob for update in updates if update["package-ecosystem"] == "uv" for glob in update["directories"]]
    watching = [pattern for pattern in patterns if fnmatchcase(folder, pattern)]
    assert len(watching) == 1, "watched once: two entries for one folder would open every change twice"


def test_the_new_model_form_asks_for_a_claim_of_each_kind():
    form = read_yaml(ROOT / ".github" / "ISSUE_TEMPLATE" / "new_model.yml")
    assert {"strength", "weakness"} <= {field.get("id") for field in form["body"]}
