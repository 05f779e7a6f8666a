import math
from pathlib import Path

import pytest

from aifs_engine import Claim
from aifs_engine.summary import describe_data, describe_verdict, judge, matrix, shown, table
from aifs_utils.exceptions import TrainingError

CLAIM = Claim(metric="test_accuracy", at_most=0.75, kind="weakness", reason="no line separates XOR")


def test_a_claim_is_judged_by_its_metric():
    assert judge(CLAIM, {"test_accuracy": 0.5})["held"] is True
    assert judge(CLAIM, {"test_accuracy": 1.0})["held"] is False
    assert judge(CLAIM, {"test_accuracy": math.nan})["held"] is False
    assert judge(None, {}) is None


def test_a_claim_about_what_was_not_measured_is_an_error():
    with pytest.raises(TrainingError, match="the claim is about 'test_accuracy'; this run measured: test_loss"):
        judge(CLAIM, {"test_loss": 0.5})


def test_the_verdict_says_what_was_measured_and_why():
    held = describe_verdict(CLAIM, judge(CLAIM, {"test_accuracy": 0.5}))
    assert held == "held: test_accuracy 0.5, claimed ≤ 0.75 (weakness): no line separates XOR"
    assert describe_verdict(CLAIM, judge(CLAIM, {"test_accuracy": 1.0})).startswith("NOT HELD: test_accuracy 1,")


def test_a_stand_in_is_called_one():
    assert describe_data({"name": "mnist", "source": "digits", "is_standin": True}) == "mnist (STAND-IN from digits)"
    data = {"name": "mnist", "source": "standin", "is_standin": True, "standin": "upscaled digits"}
    assert describe_data(data) == "mnist (STAND-IN from upscaled digits)"
    assert describe_data({"name": "xor", "source": "generated", "is_standin": False}) == "xor (generated)"
    assert describe_data({}) == "not recorded"


def test_columns_are_aligned():
    assert table({"a": "1", "long": "2\n3"}) == "  a     1\n  long  2\n        3"
    assert matrix([[1, 10], [3, 4]], ["no", "maybe"]).splitlines()[:2] == ["no      1 10", "maybe   3  4"]
    assert matrix([[1, 10], [3, 4]]).splitlines()[:2] == ["0   1 10", "1   3  4"]


def test_paths_below_the_working_directory_are_shown_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "outputs" / "x") == str(Path("outputs") / "x")
    assert shown(Path("/elsewhere/x")) == "/elsewhere/x"
