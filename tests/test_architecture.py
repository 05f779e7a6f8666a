"""The architecture holds: its arrows, its lazy imports, its refusals, and what every member says it depends on.

Each rule is tried twice: on a planted violation, which it must find, and on every member of the workspace.
"""

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import rules
from .workspace import ROOT, Member, load_members, models, packages

MEMBERS = load_members(ROOT)
PACKAGES = packages()
MODELS = models()
DRAWN = rules.arrows([model.import_name for model in MODELS])

# How one member can reach another. `{}` stands for the other's import name.
IMPORT_FORMS = [
    "import {}",
    "import {}.losses as losses",
    "from {} import losses",
    "from {}.losses import mean",
    "def train():\n    from {} import losses",
    "class Model:\n    import {}",
    "try:\n    import {}\nexcept ImportError:\n    pass",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {} import Batch",
    "import importlib\nlosses = importlib.import_module('{}')",
    "def __getattr__(name):\n    return __import__('{}')",
]
ROOMS = [*rules.PACKAGE_ARROWS, "perceptron", "adaline"]
PLANTED = rules.arrows(["perceptron", "adaline"])
ALLOWED = [(importer, other) for importer in ROOMS for other in sorted(PLANTED[importer])]
FORBIDDEN = [pair for pair in itertools.permutations(ROOMS, 2) if pair not in ALLOWED]

every_member = pytest.mark.parametrize("member", MEMBERS, ids=str)
every_package = pytest.mark.parametrize("package", PACKAGES, ids=str)
every_model = pytest.mark.parametrize("model", MODELS, ids=str)


def violations(rule: Callable[[str], list[str]], member: Member, *, but: tuple[str, ...] = ()) -> list[str]:
    """Apply a rule to a member's installed modules, the dotted names in `but` excepted."""
    return [
        f"{path.relative_to(ROOT)}:{broken}"
        for path in member.modules()
        if member.module_name(path) not in but
        for broken in rule(path.read_text(encoding="utf-8"))
    ]


# --- arrows -----------------------------------------------------------------------------------------------------------


def test_the_drawing_has_the_arrows_of_the_design_and_no_other():
    assert len(ALLOWED) == 3 + 2 * 4  # data, engine, plotting -> utils; each of two models -> four packages
    assert len(FORBIDDEN) == 6 * 5 - len(ALLOWED)


@pytest.mark.parametrize("form", IMPORT_FORMS)
@pytest.mark.parametrize(("importer", "other"), FORBIDDEN)
def test_every_arrow_that_is_not_drawn_is_caught(importer: str, other: str, form: str):
    [broken] = rules.forbidden_arrows(form.format(other), importer, PLANTED)
    assert f"from {importer} to {other}" in broken


@pytest.mark.parametrize("form", IMPORT_FORMS)
@pytest.mark.parametrize(("importer", "other"), ALLOWED)
def test_every_arrow_that_is_drawn_may_be_used(importer: str, other: str, form: str):
    assert rules.forbidden_arrows(form.format(other), importer, PLANTED) == []


@pytest.mark.parametrize(
    "source",
    ["import aifs_database", "import numpy.aifs_data", "from . import aifs_data", "x = 'import aifs_data'"],
)
def test_only_a_whole_import_name_is_an_arrow(source: str):
    assert rules.forbidden_arrows(source, "aifs_engine", PLANTED) == []


def test_every_package_of_the_workspace_is_in_the_drawing():
    assert {package.import_name for package in PACKAGES} == set(rules.PACKAGE_ARROWS)


def test_the_map_in_the_documentation_draws_the_same_arrows():
    drawing = (ROOT / "docs" / "technical" / "Architecture.md").read_text(encoding="utf-8").split("```")[1]
    drawn = set(re.findall(r"^ +(\w+)(?:\[[^\]]*\])? --> (\w+)", drawing, re.MULTILINE))
    short = {name: name.removeprefix("aifs_") for name in rules.PACKAGE_ARROWS}
    between = {(short[importer], short[other]) for importer, others in rules.PACKAGE_ARROWS.items() for other in others}
    assert drawn == between | {("models", room) for room in short.values()}


@every_member
def test_no_file_of_a_member_draws_a_forbidden_arrow(member: Member):
    broken = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in member.all_sources()
        for line in rules.forbidden_arrows(path.read_text(encoding="utf-8"), member.import_name, DRAWN)
    ]
    assert broken == []


# --- cheap imports ----------------------------------------------------------------------------------------------------

SLOW = {"matplotlib", "rich", "sklearn", "torch", "wandb"}
# What each package may import together with a module of its own, beyond the standard library and NumPy.
AT_HOME = {"aifs-plotting": {"matplotlib"}}
TORCH_MODULE = re.compile(r"\w+\._?torch_\w+")  # named after it, so that whoever imports one knows the price


@pytest.mark.parametrize("library", sorted(SLOW))
@pytest.mark.parametrize(
    "form", ["import {}", "from {}.deep import name", "try:\n    import {}\nexcept ImportError:\n    {} = None"]
)
def test_a_slow_import_with_the_module_is_caught(library: str, form: str):
    assert rules.eager_imports(form.replace("{}", library), SLOW) != []


@pytest.mark.parametrize(
    "form",
    [
        "def draw():\n    import matplotlib",
        "class Mirror:\n    def start(self):\n        import wandb",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
    ],
)
def test_an_import_where_it_is_needed_is_cheap(form: str):
    assert rules.eager_imports(form, SLOW) == []


@every_package
def test_a_package_module_imports_slow_libraries_late(package: Member):
    late = SLOW - AT_HOME.get(package.name, set())
    with_torch = [name for name in map(package.module_name, package.modules()) if TORCH_MODULE.fullmatch(name)]
    assert violations(lambda source: rules.eager_imports(source, late), package, but=tuple(with_torch)) == []


@every_package
def test_a_torch_module_is_imported_late_and_imports_no_other_slow_library(package: Member):
    for path in package.modules():
        source = path.read_text(encoding="utf-8")
        if TORCH_MODULE.fullmatch(package.module_name(path)):
            assert rules.eager_imports(source, SLOW - {"torch"}) == [], path
        else:
            eager = [found for found in rules.imports(source) if not found.deferred and not found.typing_only]
            assert [found.name for found in eager if ".torch_" in found.name or "._torch_" in found.name] == [], path


@every_package
def test_importing_a_package_imports_not_even_numpy(package: Member):
    source = (package.source / "__init__.py").read_text(encoding="utf-8")
    assert rules.eager_imports(source, SLOW | {"numpy"}) == []


@every_model
@pytest.mark.parametrize("module", ["__init__", "constants", "config", "train", "evaluate"])
def test_the_help_of_a_model_waits_for_no_array_library(model: Member, module: str):
    source = (model.source / f"{module}.py").read_text(encoding="utf-8")
    assert rules.eager_imports(source, SLOW | {"numpy"}) == []


# --- refusals ---------------------------------------------------------------------------------------------------------

# Modules whose output is their purpose.
COMMAND_LINE = (
    "aifs_data.cli",
    *(f"aifs_engine.{stem}" for stem in ("cli", "evaluate_run", "progress", "reproduce", "train_run")),
)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (rules.global_figures, "import matplotlib.pyplot as plt"),
        (rules.global_figures, "def draw():\n    from matplotlib import pyplot"),
        (rules.global_figures, "from pylab import plot"),
        (rules.pickles, "import pickle"),
        (rules.pickles, "def load():\n    from joblib import load"),
        (rules.pickles, "np.load(path, allow_pickle=True)"),
        (rules.pickles, "np.load(path, allow_pickle=trusted)"),
        (rules.pickles, "torch.load(path)"),
        (rules.pickles, "torch.load(path, weights_only=False)"),
        (rules.logging_setup, "logging.basicConfig(level=10)"),
        (rules.logging_setup, "getLogger(__name__).addHandler(handler)"),
        (rules.logging_setup, "from logging import basicConfig"),
        (rules.logging_setup, "from logging.handlers import QueueHandler"),
        (rules.logging_setup, "import logging.config"),
        (rules.logging_setup, "logging.getLogger('matplotlib').setLevel(30)"),
        (rules.prints, "print('epoch 1')"),
        (rules.broad_handlers, "try:\n    f()\nexcept Exception:\n    pass"),
        (rules.broad_handlers, "try:\n    f()\nexcept (OSError, Exception) as error:\n    log(error)"),
        (rules.broad_handlers, "try:\n    f()\nexcept:\n    pass"),
        (rules.import_effects, "np.seterr(all='raise')"),
        (rules.import_effects, "for name in names:\n    register(name)"),
    ],
)
def test_what_we_refuse_is_caught(rule: Callable[[str], list[str]], source: str):
    assert rule(source) != []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (rules.global_figures, "from matplotlib.figure import Figure"),
        (rules.pickles, "np.load(path, allow_pickle=False)"),
        (rules.pickles, "torch.load(path, weights_only=True)"),
        (rules.logging_setup, "from logging import getLogger\nlogger = getLogger(__name__)\nlogger.info('here')"),
        (rules.prints, "progress.print('epoch 1')"),
        (rules.broad_handlers, "try:\n    f()\nexcept OSError:\n    pass"),
        (rules.broad_handlers, "try:\n    f()\nexcept BaseException:\n    remove(temporary)\n    raise"),
        (rules.broad_handlers, "try:\n    f()\nexcept Exception:\n    self.handleError(record)"),
        (rules.import_effects, "'''Docstring.'''\nlogger = getLogger(__name__)"),
    ],
)
def test_what_we_do_not_refuse_passes(rule: Callable[[str], list[str]], source: str):
    assert rule(source) == []


@every_member
def test_no_module_touches_pyplot(member: Member):
    assert violations(rules.global_figures, member) == []


@every_member
def test_no_module_reads_or_writes_pickles(member: Member):
    assert violations(rules.pickles, member) == []


@every_member
def test_only_aifs_utils_logs_configures_logging(member: Member):
    assert violations(rules.logging_setup, member, but=("aifs_utils.logs",)) == []


@every_member
def test_only_command_line_modules_print(member: Member):
    assert violations(rules.prints, member, but=COMMAND_LINE) == []


def test_any_exception_is_caught_once_in_the_run():
    broad = [broken for member in MEMBERS for broken in violations(rules.broad_handlers, member)]
    assert len(broad) <= 1, broad
    assert all("aifs_engine" in broken for broken in broad), broad


@every_member
def test_importing_a_module_has_no_effect(member: Member):
    assert violations(rules.import_effects, member) == []


@pytest.mark.parametrize("stem", ["misc", "utils", "utils2", "helpers", "manager", "data2", "model_2", "common"])
def test_a_module_name_that_says_nothing_is_caught(stem: str):
    assert list(rules.bad_module_names([stem])) == [stem]


def test_a_module_name_that_says_what_is_inside_passes():
    assert list(rules.bad_module_names(["model", "data", "seeds", "alexnet", "wav2vec", "test_model"])) == []


@every_member
def test_every_module_name_says_what_is_inside(member: Member):
    assert list(rules.bad_module_names([path.stem for path in member.all_sources()])) == []


@pytest.mark.parametrize(
    "source",
    [
        "from aifs_engine import BaseModel\nclass Perceptron(BaseModel): ...",
        "import aifs_engine.learner as learner\nclass Perceptron(aifs_engine.learner.NumpyModel): ...",
        "from aifs_engine.config import Config as Base\nclass Config(Base): ...",
        "from perceptron.model import Perceptron\nclass Adaline(Perceptron): ...",
    ],
)
def test_a_base_model_class_is_caught(source: str):
    assert rules.inherited_bases(source, PLANTED) != []


@pytest.mark.parametrize(
    "source",
    [
        "from aifs_engine import Learner\nclass Perceptron(Learner): ...",
        "from aifs_engine.callbacks import Callback\nclass Pocket(Callback): ...",
        "from torch import nn\nclass Net(nn.Module): ...",
        "class Block: ...\nclass Residual(Block): ...",
    ],
)
def test_a_protocol_a_callback_and_a_class_of_ones_own_are_no_base_model(source: str):
    assert rules.inherited_bases(source, PLANTED) == []


@every_model
def test_no_model_inherits_from_a_package_or_another_model(model: Member):
    others = set(DRAWN) - {model.import_name}
    assert violations(lambda source: rules.inherited_bases(source, others), model) == []


# --- dependencies -----------------------------------------------------------------------------------------------------


@every_member
def test_a_member_declares_what_it_imports_and_imports_what_it_declares(member: Member):
    sources = [path.read_text(encoding="utf-8") for path in member.modules()]
    imported = rules.imported_distributions(sources, member.import_name, sys.stdlib_module_names)
    declared = set(member.dependencies)
    optional = set(member.optional_dependencies)
    assert sorted(imported - declared - optional) == [], "imported, but not declared"
    assert sorted((declared | optional) - imported) == [], "declared, but never imported"


@every_package
def test_a_package_bounds_its_dependencies(package: Member):
    for requirement in package.dependencies.values():
        operators = {clause.operator for clause in requirement.specifier}
        assert ">=" in operators, f"{requirement}: no lower bound"
        assert "==" not in operators, f"{requirement}: a library does not pin"
        if requirement.name == "numpy" or requirement.name.startswith("aifs-"):
            assert "<" in operators, f"{requirement}: no upper bound"


@every_model
def test_a_model_pins_every_library_exactly(model: Member):
    for requirement in model.dependencies.values():
        if not requirement.name.startswith("aifs-"):
            clauses = list(requirement.specifier)
            assert [clause.operator for clause in clauses] == ["=="], f"{requirement}: not an exact pin"
            assert "*" not in clauses[0].version, f"{requirement}: not an exact pin"


@every_model
def test_a_model_has_no_extras(model: Member):
    assert "optional-dependencies" not in model.project  # uv's conflicts between models do not cover extras


@every_member
def test_the_range_of_a_sibling_holds_the_version_that_lies_beside_it(member: Member):
    versions = {package.name: package.project["version"] for package in PACKAGES}
    for requirement in member.dependencies.values():
        if requirement.name in versions:
            assert requirement.specifier, f"{requirement}: published like this it would accept any version"
            assert requirement.specifier.contains(versions[requirement.name]), str(requirement)


def test_sources_that_are_no_code_of_a_member_are_left_out(tmp_path: Path):
    for name in ("src/m/model.py", "tests/test_model.py", ".venv/a.py", "outputs/b.py", "src/m/__pycache__/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in Member(tmp_path).all_sources()]
    assert found == ["src/m/model.py", "tests/test_model.py"]
