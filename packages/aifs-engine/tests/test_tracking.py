import json
import math
import subprocess

import numpy as np
import pytest

from aifs_engine import LocalTracker, Tracking, Trainer
from aifs_engine.tracking import installed_versions, json_ready, source_commit


def test_each_epoch_is_a_line_on_the_disk_as_soon_as_it_is_over(tmp_path, learner, batches):
    file = tmp_path / "metrics.jsonl"
    seen = []

    class Watch(Tracking):
        def on_epoch_end(self, trainer, row):
            super().on_epoch_end(trainer, row)
            seen.append(len(file.read_text().splitlines()))

    tracker = LocalTracker(file)
    Trainer(learner, epochs=3, callbacks=[Watch([tracker])]).train(batches)
    tracker.finish({}, checkpoint=None, figures=())
    assert seen == [1, 2, 3]


def test_a_continuation_cuts_the_file_back_to_what_the_checkpoint_knows(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    tracker = LocalTracker(file, [{"epoch": 1}])
    tracker.log({"epoch": 2})
    tracker.finish({}, checkpoint=None, figures=())
    assert [json.loads(line)["epoch"] for line in file.read_text().splitlines()] == [1, 2]


def test_what_json_has_no_word_for_becomes_null():
    assert json_ready({"a": math.nan, "b": [math.inf, 1.5], "c": "nan"}) == {"a": None, "b": [None, 1.5], "c": "nan"}


def test_numbers_of_numpy_become_pythons():
    ready = json_ready({"n": np.int64(3), "rate": np.float32(0.5), "shape": (np.int8(1), 2), "array": np.arange(2)})
    assert ready == {"n": 3, "rate": 0.5, "shape": [1, 2], "array": [0, 1]}
    assert type(ready["n"]) is int


def test_versions_are_those_of_the_installed_distributions():
    from importlib.metadata import version

    found = installed_versions()
    assert {name: found[name] for name in ("numpy", "aifs-utils", "scikit-learn")} == {
        name: version(name) for name in ("numpy", "aifs-utils", "scikit-learn")
    }


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit."""

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("init", "--quiet")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    git("commit", "--quiet", "--allow-empty", "-m", "first")
    return tmp_path, git


def test_the_commit_is_what_git_says(checkout):
    folder, git = checkout
    (folder / "deep" / "er").mkdir(parents=True)
    head = git("rev-parse", "HEAD")
    assert source_commit(folder / "deep" / "er") == head
    git("pack-refs", "--all")
    assert source_commit(folder) == head
    git("checkout", "--quiet", "--detach")
    assert source_commit(folder) == head
    git("worktree", "add", "--quiet", "-b", "side", str(folder / "linked"))
    assert source_commit(folder / "linked") == head


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert source_commit(tmp_path) is None


def test_a_checkout_without_commits_has_no_commit(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert source_commit(tmp_path) is None
