"""The rules of the architecture, each a function from source text to the lines that break it.

They are kept apart from the tests that apply them, so that every rule can also be tried on a planted violation.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

# Who may import whom: the arrows of docs/technical/Architecture.md. What is not drawn here is forbidden.
PACKAGE_ARROWS: Mapping[str, frozenset[str]] = {
    "aifs_utils": frozenset(),
    "aifs_data": frozenset({"aifs_utils"}),
    "aifs_engine": frozenset({"aifs_utils"}),
    "aifs_plotting": frozenset({"aifs_utils"}),
}

IMPORTING_CALLS = frozenset({"__import__", "import_module", "importlib.import_module", "lazy.load"})
PICKLES = frozenset({"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"})
LOGGING_SETUP = frozenset(
    {"addHandler", "basicConfig", "captureWarnings", "dictConfig", "fileConfig", "removeHandler", "setLevel"}
)
# What a model may subclass from a package: a protocol it fulfils, a hook it hangs into the loop, a learner whose step
# it writes. Never a base model.
INHERITABLE = frozenset({"Callback", "Learner", "TorchLearner"})
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}


@dataclass(frozen=True)
class Import:
    """One imported name, wherever in the file it stands."""

    name: str  # dotted, down to what is bound: `from a.b import c` is "a.b.c"
    line: int
    deferred: bool  # inside a function: it costs nothing until the function is called
    typing_only: bool  # under `if TYPE_CHECKING:`, so never executed

    @property
    def root(self) -> str:
        """The top-level package."""
        return self.name.partition(".")[0]


class _Imports(ast.NodeVisitor):
    """Collects imports, also those written as a call."""

    def __init__(self) -> None:
        self.found: list[Import] = []
        self._functions = 0
        self._typing_only = False

    def _add(self, name: str, node: ast.stmt | ast.expr) -> None:
        self.found.append(Import(name, node.lineno, self._functions > 0, self._typing_only))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0:  # a relative import stays at home
            for alias in node.names:
                self._add(f"{node.module}.{alias.name}", node)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) in IMPORTING_CALLS and node.args:
            match node.args[0]:
                case ast.Constant(value=str(name)):
                    self._add(name, node)
        self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def visit_If(self, node: ast.If) -> None:
        outer = self._typing_only
        self._typing_only = outer or _last_name(node.test) == "TYPE_CHECKING"
        for statement in node.body:
            self.visit(statement)
        self._typing_only = outer
        for statement in node.orelse:
            self.visit(statement)


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, "" for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def imports(source: str) -> list[Import]:
    """Return every import of a file, at any depth."""
    visitor = _Imports()
    visitor.visit(ast.parse(source))
    return visitor.found


def arrows(models: Collection[str]) -> dict[str, frozenset[str]]:
    """Return, for every member's import name, the members that it may import."""
    return {**PACKAGE_ARROWS, **{model: frozenset(PACKAGE_ARROWS) for model in models}}


def forbidden_arrows(source: str, importer: str, drawn: Mapping[str, Collection[str]]) -> list[str]:
    """Find imports of another member that no arrow allows; a type is an arrow too."""
    allowed = {importer, *drawn[importer]}
    return [
        f"{found.line}: {importer} imports {found.name}, and no arrow leads from {importer} to {found.root}"
        for found in imports(source)
        if found.root in drawn and found.root not in allowed
    ]


def eager_imports(source: str, late: Collection[str]) -> list[str]:
    """Find imports of slow libraries that run as soon as the module is imported."""
    return [
        f"{found.line}: {found.root} is imported with the module; import it in the function that needs it"
        for found in imports(source)
        if found.root in late and not found.deferred and not found.typing_only
    ]


def global_figures(source: str) -> list[str]:
    """Find pyplot and pylab: their global state leaks figures and picks a display."""
    return [
        f"{found.line}: {found.name}; build on matplotlib.figure.Figure"
        for found in imports(source)
        if found.root == "pylab" or found.name.startswith(("matplotlib.pyplot", "matplotlib.pylab"))
    ]


def pickles(source: str) -> list[str]:
    """Find what reads or writes pickles: loading one runs whatever its author put there."""
    found = [f"{item.line}: {item.root} on a load path" for item in imports(source) if item.root in PICKLES]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            flags = {word.arg: word.value for word in node.keywords}
            if "allow_pickle" in flags and not _is_constant(flags["allow_pickle"], value=False):
                found.append(f"{node.lineno}: allow_pickle")
            if ast.unparse(node.func) == "torch.load" and not _is_constant(flags.get("weights_only"), value=True):
                found.append(f"{node.lineno}: torch.load without weights_only=True")
    return found


def _is_constant(node: ast.expr | None, *, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def logging_setup(source: str) -> list[str]:
    """Find code that configures logging; a library only asks for its logger."""
    tree = ast.parse(source)
    found = [
        f"{node.lineno}: {node.func.attr} configures logging"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGING_SETUP
    ]
    return found + [
        f"{item.line}: {item.name}"
        for item in imports(source)
        if item.name.startswith("logging.") and _is_handler(item)
    ]


def _is_handler(item: Import) -> bool:
    return item.name.endswith("Handler") or item.name.split(".")[1] in {"config", "handlers", "basicConfig"}


def prints(source: str) -> list[str]:
    """Find calls of print."""
    return [
        f"{node.lineno}: print"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "pprint"}
    ]


def broad_handlers(source: str) -> list[str]:
    """Find handlers that swallow any exception.

    One that raises again only cleans up, and a logging handler passes what it caught to ``handleError``.
    """
    return [
        f"{node.lineno}: except {ast.unparse(node.type) if node.type else ''}".rstrip()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _passes_on(node)
    ]


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _last_name(kind) in {"Exception", "BaseException"} for kind in caught)


def _passes_on(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and ast.unparse(node.func) == "self.handleError")
        for node in ast.walk(handler)
    )


def import_effects(source: str) -> list[str]:
    """Find module-level statements that do something when the module is imported."""
    return [
        f"{node.lineno}: {ast.unparse(node).splitlines()[0]}"
        for node in ast.parse(source).body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Delete)
        or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
    ]


def inherited_bases(source: str, members: Collection[str]) -> list[str]:
    """Find classes of a model that inherit behaviour from another member."""
    tree = ast.parse(source)
    origin = {
        alias.asname or alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
        for alias in node.names
    }
    bases = [(node, base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    found = []
    for owner, base in bases:
        name = base.value if isinstance(base, ast.Subscript) else base  # Learner[Batch] is a Learner
        first = ast.unparse(name).partition(".")[0]
        home = origin.get(first, first).partition(".")[0]
        if home in members and _last_name(name) not in INHERITABLE:
            found.append(f"{owner.lineno}: class {owner.name} inherits {ast.unparse(base)} of {home}")
    return found


def imported_distributions(sources: Collection[str], own: str, standard_library: Collection[str]) -> set[str]:
    """Return the canonical names of the distributions that some sources import, their own left out."""
    roots = {found.root for source in sources for found in imports(source)}
    return {canonicalize_name(DISTRIBUTIONS.get(root, root)) for root in roots - {own} - set(standard_library)}


def bad_module_names(stems: Collection[str]) -> Iterator[str]:
    """Yield module names that say nothing of what is inside."""
    empty_words = {"common", "helper", "helpers", "manager", "managers", "misc", "stuff", "util", "utils"}
    for stem in stems:
        if stem.rstrip("0123456789").rstrip("_") in empty_words | ({"data", "model"} if stem[-1].isdigit() else set()):
            yield stem
