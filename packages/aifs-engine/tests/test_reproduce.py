import json
import sys
from pathlib import Path

import pytest

from aifs_engine import Claim
from aifs_engine.reproduce import reproduce, results_table, summarize, write_results

sys.path.insert(0, str(Path(__file__).parent / "toy" / "src"))
from toy.config import EXPERIMENTS
from toy.train import build

CLAIM = Claim(metric="test_accuracy", at_least=0.9, kind="strength", reason="r")


def test_every_experiment_with_a_claim_is_measured_on_every_seed(capsys):
    results = reproduce({name: EXPERIMENTS[name] for name in ("line", "wide")}, build, range(3))
    assert list(results) == ["line"]
    assert list(results["line"]["by_seed"]) == ["0", "1", "2"]
    assert capsys.readouterr().out.startswith("line ")


def test_measuring_again_gives_the_same_numbers():
    line = {"line": EXPERIMENTS["line"]}
    first, second = (reproduce(line, build, range(2))["line"]["by_seed"] for _ in range(2))
    assert first == second


def test_a_claim_holds_only_if_every_seed_holds_it():
    assert summarize(CLAIM, {0: 0.9, 1: 1.0}, 1.0)["held"]
    assert not summarize(CLAIM, {0: 0.89, 1: 1.0}, 1.0)["held"]


def test_a_learning_rule_that_does_nothing_breaks_the_claim():
    def build_without_updates(config):
        experiment = build(config)
        experiment.learner.train_step = experiment.learner.eval_step
        return experiment

    assert not reproduce({"line": EXPERIMENTS["line"]}, build_without_updates, range(2))["line"]["held"]


def test_the_readmes_table_is_renewed_and_nothing_else(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Toy\n<!-- results:start -->\nold\n<!-- results:end -->\nrest\n")
    results = {
        "machine": "2 CPU cores",
        "versions": {"python": "3.11", "numpy": "2.0"},
        "experiments": {"line": summarize(CLAIM, {0: 0.95, 1: 1.0}, 0.1)},
    }
    write_results(tmp_path, results)
    text = readme.read_text()
    assert text.startswith("# Toy\n<!-- results:start -->\nMedian [lowest, highest] of 2 seeds")
    assert text.endswith("<!-- results:end -->\nrest\n")
    assert "old" not in text
    assert "| `line` | strength | test_accuracy ≥ 0.9 | 0.975 [0.95, 1] | yes | 0.1 | r |" in text
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert results_table(results) in text


def test_a_readme_without_a_place_for_the_table_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("# Toy\n")
    with pytest.raises(ValueError, match="lacks the markers"):
        write_results(tmp_path, {"experiments": {}})
