"""Renew what the READMEs show of measurements: the table of models, and the figures of one model.

``nox -s reproduce`` calls it after the claims were measured: ``python docs/refresh_readmes.py models/01_perceptron``.

A model's README names its figures ``docs/<experiment>.<figure>.png``; the root README may show some too. Each is
drawn anew by a run of that experiment. The root README's table comes from each model's ``constants.py`` and
``results.json``.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- models:start -->", "<!-- models:end -->"


def figures_of(folder: Path) -> dict[str, set[str]]:
    """The figures of a model that its README and the root's show, by experiment."""
    shown = (folder / "README.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for experiment, figure in re.findall(rf"(?:\(|models/{folder.name}/)docs/([\w-]+)\.([\w-]+)\.png", shown):
        found.setdefault(experiment, set()).add(figure)
    return found


def draw_figures(folder: Path) -> None:
    """Train each experiment whose figures are shown, and put them into the model's ``docs``.

    The model has to be installed in this environment.
    """
    for experiment, figures in figures_of(folder).items():
        with tempfile.TemporaryDirectory() as outputs:
            options = ["--experiment", experiment, "--no-wandb", "--visualize", "--output-dir", outputs]
            subprocess.run(["train", *options], check=True, stdout=subprocess.DEVNULL)
            for figure in sorted(figures):
                [drawn] = Path(outputs).glob(f"visualizations/*/{figure}.png")
                shutil.copyfile(drawn, folder / "docs" / f"{experiment}.{figure}.png")


def constants(folder: Path) -> dict[str, object]:
    """The facts in a model's ``constants.py``, read without importing it."""
    [file] = folder.glob("src/*/constants.py")
    assignments = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}  # type: ignore[attr-defined]


def models_table(root: Path) -> str:
    """One row per model: year, paper, idea, and the best and worst that we measured."""
    lines = ["| year | model | idea | shines on | fails on |", "|---|---|---|---|---|"]
    for folder in sorted(root.glob("models/*/")):
        facts, file = constants(folder), folder / "results.json"
        results = json.loads(file.read_text(encoding="utf-8"))["experiments"] if file.exists() else {}
        shines, fails = (_shown(results, str(facts[name])) for name in ("SHINES_ON", "FAILS_ON"))
        link = f"[{facts['NAME']}](models/{folder.name}/README.md)"
        lines.append(f"| {facts['YEAR']} | {link} | {facts['IDEA']} | {shines} | {fails} |")
    return "\n".join(lines)


def _shown(results: dict[str, dict[str, object]], experiment: str) -> str:
    if experiment not in results:
        return f"`{experiment}`: not measured yet"
    entry = results[experiment]
    metric = str(entry["metric"]).removeprefix("test_").replace("_", " ")
    return f"`{experiment}`: {metric} {entry['median']:.3g}"


def with_table(readme: str, table: str) -> str:
    """The root README with this table of models."""
    before, rest = readme.split(START, 1)
    return f"{before}{START}\n{table}\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Renew the figures of the model whose folder is given, and the table."""
    draw_figures(Path(sys.argv[1]).resolve())
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), models_table(ROOT)), encoding="utf-8")


if __name__ == "__main__":
    main()
