"""No two runs share a folder."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aifs_utils import ConfigError, RunPaths, find_runs, new_run


@pytest.fixture
def _clock_stands_still(monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20261123-140501")


def test_the_files_of_a_run_are_where_the_design_says(tmp_path):
    """logs, models, visualizations."""
    run = RunPaths(tmp_path, "r")
    assert run.log_file == tmp_path / "logs/r/train.log"
    assert run.metrics_file == tmp_path / "logs/r/metrics.jsonl"
    assert run.manifest_file == tmp_path / "logs/r/manifest.json"
    assert run.checkpoints == tmp_path / "models/r"
    assert run.figures == tmp_path / "visualizations/r"


def test_a_new_run_has_its_folder_and_nothing_in_it(tmp_path):
    """The probe is gone."""
    run = new_run(tmp_path / "deep" / "outputs", "perceptron-xor")
    assert run.run_id.startswith("perceptron-xor-20")
    assert list(run.log_file.parent.iterdir()) == []


@pytest.mark.usefixtures("_clock_stands_still")
def test_runs_of_the_same_second_are_numbered(tmp_path):
    """The tenth is after the ninth."""
    runs = [new_run(tmp_path, "p-and") for _ in range(11)]
    stamp = "p-and-20261123-140501"
    assert [run.run_id for run in runs] == [stamp, *(f"{stamp}-{i}" for i in range(2, 12))]
    assert find_runs(tmp_path, "p-and") == runs[::-1]


@pytest.mark.usefixtures("_clock_stands_still")
def test_runs_started_at_once_never_share(tmp_path):
    """Many threads, one second."""
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: new_run(tmp_path, "p").run_id, range(64)))
    assert len(set(runs)) == 64


def test_processes_started_at_once_never_share(tmp_path):
    """Several processes, as from a shell script."""
    code = "import sys; from aifs_utils import new_run; print(new_run(sys.argv[1], 'p').run_id)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in processes}) == 4


def test_only_the_runs_of_the_stem_are_found(tmp_path):
    """`and` is not `and-cloud`, and a stray folder is no run."""
    for name in ("p-and-20260101-000000", "p-and-cloud-20260102-000000", "p-and-20260103-000000", "p-and-old"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    (tmp_path / "logs" / "p-and-20260104-000000").touch()
    assert [run.run_id for run in find_runs(tmp_path, "p-and")] == ["p-and-20260103-000000", "p-and-20260101-000000"]
    assert find_runs(tmp_path / "nowhere", "p-and") == []


@pytest.mark.parametrize("stem", ["", ".", "a/b", "../a", "/a"])
def test_a_stem_cannot_leave_the_folder(tmp_path, stem):
    """It is one part of a path."""
    with pytest.raises(ConfigError, match="one part of a path"):
        new_run(tmp_path, stem)


@pytest.mark.parametrize("in_the_way", ["outputs", "outputs/logs"])
def test_a_file_in_the_way_is_said_with_the_remedy(tmp_path, in_the_way):
    """One line: where, why, what to do."""
    path = tmp_path / in_the_way
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"cannot write .*outputs \(.+\): make room there or choose another folder"):
        new_run(tmp_path / "outputs", "p")
    assert path.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder_is_said(tmp_path):
    """The usual mishap."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        new_run(tmp_path, "p")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that refuses even root")
def test_a_folder_that_cannot_be_made_is_said():
    """Whoever asks."""
    with pytest.raises(ConfigError, match="cannot write the outputs of a run to /proc/self/outputs"):
        new_run("/proc/self/outputs", "p")


@pytest.mark.skipif(os.name == "nt", reason="resource limits are POSIX")
def test_a_full_disk_is_noticed_at_once_and_leaves_no_empty_run(tmp_path):
    """Making a folder succeeds there; writing does not."""
    code = "import resource, sys\nfrom aifs_utils import new_run\nresource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))"
    code += "\nnew_run(sys.argv[1], 'p')"
    result = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "ConfigError: cannot write the outputs" in result.stderr
    assert list((tmp_path / "logs").iterdir()) == []
