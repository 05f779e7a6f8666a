"""Every package and every model looks like every other one, so that a reader who knows one knows them all."""

import ast
import itertools
import re
import subprocess
from pathlib import Path

import pytest

from .workspace import ROOT, Member, headings, load_members, load_script, models, packages, read_toml

MEMBERS = load_members(ROOT)
PACKAGES = packages()
MODELS = models()
UV = read_toml(ROOT / "pyproject.toml")["tool"]["uv"]

MODEL_FILES = [
    "README.md",
    "pyproject.toml",
    *(f"src/{{name}}/{stem}.py" for stem in ("__init__", "constants", "config", "model", "train", "evaluate")),
    "tests/test_model.py",
]
MODEL_README = ["Paper", "Run", "Expected result", "Visualizations", "Deviations", "Limitations", "Files"]

every_member = pytest.mark.parametrize("member", MEMBERS, ids=str)
every_package = pytest.mark.parametrize("package", PACKAGES, ids=str)
every_model = pytest.mark.parametrize("model", MODELS, ids=str)


def pins(member: Member) -> dict[str, str]:
    """Return the exact versions that a member asks for."""
    return {
        name: str(requirement.specifier)
        for name, requirement in member.dependencies.items()
        if str(requirement.specifier).startswith("==")
    }


def differ(one: Member, other: Member) -> bool:
    """Tell whether two models pin different versions of one library, so that they cannot share an environment."""
    ours, theirs = pins(one), pins(other)
    return any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())


def assignment(source: str, name: str) -> ast.expr | None:
    """Return what is assigned to a module-level name."""
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return value
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                return value
    return None


def dictionary_keys(node: ast.expr) -> set[str]:
    """Return the text keys of a dictionary, written in braces or as a call, in merged dictionaries too."""
    keys: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            keys |= {key.value for key in part.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
        elif isinstance(part, ast.Call) and ast.unparse(part.func) == "dict":
            keys |= {word.arg for word in part.keywords if word.arg}
    return keys


# --- every member -----------------------------------------------------------------------------------------------------


@every_member
def test_the_metadata_of_a_member_is_complete(member: Member):
    assert member.project["requires-python"] == ">=3.11"
    assert member.project["license"] == "MIT"
    assert member.project["readme"] == "README.md"
    assert len(member.project["description"]) > 20, "the description is what an index shows"
    assert member.tables["build-system"]["build-backend"] == "uv_build"


@every_member
def test_the_readme_of_a_member_begins_with_its_name(member: Member):
    title = (member.folder / "README.md").read_text(encoding="utf-8").partition("\n")[0]
    assert title.startswith("# ")
    words = re.sub(r"[^a-z0-9]+", "-", title.lower())
    assert member.name.replace("_", "-") in words


@every_member
def test_a_module_mirrors_a_test(member: Member):
    tested = {path.name for path in (member.folder / "tests").glob("test_*.py")}
    modules = {path.stem for path in member.source.glob("*.py") if not path.stem.startswith("_")}
    if member.room == "models":
        modules &= {"model", "config"}
    missing = {f"test_{stem}.py" for stem in modules} - tested
    assert sorted(missing) == []


# --- packages ---------------------------------------------------------------------------------------------------------


@every_package
def test_a_package_is_named_after_its_folder(package: Member):
    assert package.name == package.folder.name
    assert package.name.startswith("aifs-")
    assert (package.source / "__init__.py").is_file()


@every_package
def test_a_package_tells_type_checkers_that_it_is_typed(package: Member):
    assert (package.source / "py.typed").is_file()


@every_package
def test_the_version_of_a_package_is_the_newest_in_its_changelog(package: Member):
    changelog = (package.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    released = [re.fullmatch(r"\[(.+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in headings(changelog)]
    released = [match for match in released if match]
    assert released, "no heading like '## [0.1.0] - 2026-11-23'"
    assert released[0][1] == package.project["version"]
    assert [match[2] for match in released] == sorted((match[2] for match in released), reverse=True)
    assert set(headings(changelog)) <= {"[Unreleased]", *(match[0] for match in released)}


# The names that a reader of the architecture meets first.
FRONT_DOOR = {
    "aifs-data": {"create_data_loaders", "load_dataset"},
    "aifs-engine": {"Evaluator", "Trainer"},
    "aifs-plotting": {"generate_visualizations"},
    "aifs-utils": {"set_random_seed", "setup_device", "setup_logging"},
}


def lazy_names(source: str) -> set[tuple[str, str]]:
    """Return the (module, name) pairs that an ``__init__`` hands to lazy_loader's ``attach``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            for word in node.keywords:
                if word.arg == "submod_attrs":
                    return {(module, name) for module, names in ast.literal_eval(word.value).items() for name in names}
    return set()


def stub_names(source: str) -> set[tuple[str, str]]:
    """Return the (module, name) pairs that a stub imports again."""
    return {
        (str(node.module), alias.name)
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }


def defined_names(source: str) -> set[str]:
    """Return the names that a module binds at its top level."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@every_package
def test_what_a_package_offers_is_what_its_stub_says_and_its_modules_define(package: Member):
    offered = stub_names((package.source / "__init__.pyi").read_text(encoding="utf-8"))
    lazy = lazy_names((package.source / "__init__.py").read_text(encoding="utf-8"))
    assert lazy in (offered, set()), "an __init__ that attaches its stub names nothing itself"
    for module, name in offered:
        assert name in defined_names((package.source / f"{module}.py").read_text(encoding="utf-8")), f"{module}.{name}"
    assert {name for _, name in offered} >= FRONT_DOOR.get(package.name, set())


# --- models -----------------------------------------------------------------------------------------------------------


@every_model
def test_a_model_is_named_after_its_folder(model: Member):
    number, _, name = model.folder.name.partition("_")
    assert re.fullmatch(r"\d\d", number)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert model.name == name, "the distribution, the import package and the folder share one name"
    assert model.source.is_dir()


def test_no_two_models_share_a_number():
    numbers = [model.folder.name[:2] for model in MODELS]
    assert len(set(numbers)) == len(numbers)


@every_model
@pytest.mark.parametrize("file", MODEL_FILES)
def test_a_model_has_the_files_that_every_model_has(model: Member, file: str):
    assert (model.folder / file.format(name=model.import_name)).is_file()


@every_model
def test_the_readme_of_a_model_answers_the_same_questions_in_the_same_order(model: Member):
    readme = (model.folder / "README.md").read_text(encoding="utf-8")
    assert [heading for heading in headings(readme) if heading in MODEL_README] == MODEL_README
    idea = readme.partition("\n## ")[0].partition("\n")[2]
    assert len(idea.split()) >= 20, "the idea stands in a few sentences above the first heading"


@every_model
def test_a_model_offers_the_two_commands(model: Member):
    assert model.project["scripts"] == {
        "train": f"{model.import_name}.train:main",
        "evaluate": f"{model.import_name}.evaluate:main",
    }


@every_model
def test_a_config_is_frozen_keyword_only_and_validates_itself(model: Member):
    tree = ast.parse((model.source / "config.py").read_text(encoding="utf-8"))
    [config] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Config"]
    assert [ast.unparse(decorator) for decorator in config.decorator_list] in (
        ["dataclass(frozen=True, kw_only=True)"],
        ["dataclass(kw_only=True, frozen=True)"],
    )
    assert config.bases == []
    assert any(isinstance(node, ast.FunctionDef) and node.name == "__post_init__" for node in config.body)


@every_model
def test_a_model_has_experiments_and_one_that_trains_in_seconds(model: Member):
    source = (model.source / "config.py").read_text(encoding="utf-8")
    experiments = assignment(source, "EXPERIMENTS")
    assert experiments is not None
    assert "debug" in dictionary_keys(experiments)
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert "get_config" in functions


@pytest.mark.parametrize(
    "value",
    ["{'xor': a, 'debug': b}", "{**base, 'debug': b}", "dict(xor=a, debug=b)", "base | {'debug': b}"],
)
@pytest.mark.parametrize("target", ["EXPERIMENTS", "EXPERIMENTS: dict[str, Config]"])
def test_a_debug_experiment_is_found_however_the_dictionary_is_written(target: str, value: str):
    found = assignment(f"{target} = {value}", "EXPERIMENTS")
    assert found is not None
    assert "debug" in dictionary_keys(found)


@every_model
def test_git_ignores_what_a_run_writes(model: Member):
    written = model.folder / "outputs" / "logs" / "xor-20261123-120000" / "train.log"
    ignored = subprocess.run(["git", "check-ignore", "--quiet", written], cwd=ROOT, check=False)
    assert ignored.returncode == 0


@every_model
def test_the_root_readme_lists_the_model_in_its_table(model: Member):
    table = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert any(f"(models/{model.folder.name}" in line for line in table)


# --- one environment for all of them ----------------------------------------------------------------------------------


def test_every_model_is_installed_anew_when_it_is_asked_for():
    assert sorted(UV["reinstall-package"]) == sorted(model.name for model in MODELS)


def test_models_whose_pins_differ_are_declared_in_conflict():
    apart = {
        frozenset(pair)
        for group in UV["conflicts"]
        for pair in itertools.combinations([m["package"] for m in group], 2)
    }
    needed = {frozenset({a.name, b.name}) for a, b in itertools.combinations(MODELS, 2) if differ(a, b)}
    assert sorted(map(sorted, needed - apart)) == [], "add them to [tool.uv] conflicts"


def test_no_conflict_names_what_is_no_model():
    named = {member["package"] for group in UV["conflicts"] for member in group}
    assert named <= {model.name for model in MODELS}


def test_isolation_is_real():
    assert any(differ(a, b) for a, b in itertools.combinations(MODELS, 2)), "all models pin the same versions"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (["numpy==2.4.6"], ["numpy==2.3.5"], True),
        (["numpy==2.4.6"], ["numpy==2.4.6"], False),
        (["numpy==2.4.6"], ["torch==2.11.0"], False),
        (["numpy==2.4.6", "torch==2.11.0"], ["numpy==2.4.6", "torch==2.12.0"], True),
    ],
)
def test_pins_differ_when_one_library_is_asked_for_in_two_versions(
    tmp_path: Path, ours: list[str], theirs: list[str], expected: bool
):
    members = []
    for name, lines in {"one": ours, "two": theirs}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(f"[project]\nname = '{name}'\ndependencies = {lines}\n")
        members.append(Member(tmp_path / name))
    assert differ(*members) is expected


# --- documents --------------------------------------------------------------------------------------------------------

DOCUMENTS = [
    path
    for pattern in ("*.md", ".github/*.md", "docs/**/*.md", "packages/*/*.md", "models/*/*.md", "models/*/docs/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def local_targets(document: Path) -> list[Path]:
    """Return the files that a document links to or shows, whether they exist or not."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]+`", "", text)  # code that looks like a link is none
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    inside = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    return [document.parent / target for target in inside if target]


@every_document
def test_a_link_into_the_repository_leads_somewhere(document: Path):
    assert [target for target in local_targets(document) if not target.exists()] == []


@every_document
def test_a_figure_in_a_document_is_small_enough_to_keep(document: Path):
    figures = [target for target in local_targets(document) if target.suffix in {".gif", ".jpg", ".png", ".svg"}]
    assert [figure for figure in figures if figure.exists() and figure.stat().st_size > 200_000] == []


def test_the_table_of_models_is_the_one_that_the_measurements_write():
    script = load_script(ROOT / "docs" / "refresh_readmes.py")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.with_table(readme, script.models_table(ROOT)) == readme, "run `uv run nox -s reproduce`"
