"""What a launcher puts into the environment."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from aifs_engine.launch import Launch, current_launch
from aifs_utils import ConfigError

# As torchrun sets it.
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29400",
    "TORCHELASTIC_RUN_ID": "job-7",
    "TORCHELASTIC_RESTART_COUNT": "2",
    "TORCHELASTIC_ERROR_FILE": "/tmp/torchelastic_a1/job-7_b2/attempt_2/1/error.json",
}


def test_what_torchrun_says_is_read():
    """Every field has its variable."""
    assert current_launch(TORCHRUN) == Launch(
        rank=3, size=4, local_rank=1, local_size=2, run_id="job-7", restart=2, address="node0", port=29400
    )


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("how", ["unset", "empty"])
def test_a_process_without_a_rank_or_a_size_was_started_by_a_person(missing, how):
    """Whatever else the environment has."""
    environ = TORCHRUN | {missing: ""} if how == "empty" else {k: v for k, v in TORCHRUN.items() if k != missing}
    assert current_launch(environ) is None


def test_the_environment_is_that_of_this_process_and_is_read_at_the_call(monkeypatch):
    """Not at the import."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert current_launch().rank == 3
    monkeypatch.delenv("RANK")
    assert current_launch() is None


def test_a_launcher_that_is_not_torchrun_says_less():
    """The process is then the first of its machine, and the launch has no name."""
    environ = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}
    launch = current_launch(environ)
    assert (launch.local_rank, launch.local_size, launch.run_id, launch.restart) == (0, 1, "", 0)
    launch = current_launch({**environ, "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "2"})
    assert (launch.local_rank, launch.local_size) == (1, 2)
    assert current_launch({**environ, "SLURM_LOCALID": "1"}).local_size == 2


def test_torchrun_within_a_job_of_slurm_is_believed():
    """There, SLURM counts its own tasks, one torchrun for each machine."""
    launch = current_launch(TORCHRUN | {"SLURM_LOCALID": "0", "SLURM_NTASKS_PER_NODE": "1"})
    assert (launch.local_rank, launch.local_size) == (1, 2)


def test_one_process_needs_no_place_to_meet():
    """It is alone."""
    launch = current_launch({"RANK": "0", "WORLD_SIZE": "1"})
    assert (launch.address, launch.port) == ("", 0)


@pytest.mark.parametrize("attempt", [0, 1])
def test_a_launch_without_a_name_is_called_after_its_folder(attempt):
    """That folder is the same after a restart, and no other launch has it."""
    file = f"/tmp/torchelastic_a1/none_b2/attempt_{attempt}/1/error.json"
    environ = TORCHRUN | {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_ERROR_FILE": file}
    assert current_launch(environ).run_id == "none_b2"


@pytest.mark.parametrize("file", ["", "error.json"])
def test_a_launch_without_a_name_and_without_a_folder_has_none(file):
    """Then ``--resume`` is the way to go on."""
    environ = TORCHRUN | {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_ERROR_FILE": file}
    assert current_launch(environ).run_id == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "first"),
        ("RANK", "-1"),
        ("RANK", "1.0"),
        ("RANK", "²"),
        ("WORLD_SIZE", "0"),
        ("LOCAL_RANK", "a"),
        ("LOCAL_WORLD_SIZE", "0"),
        ("MASTER_PORT", "http"),
        ("TORCHELASTIC_RESTART_COUNT", "-2"),
    ],
)
def test_a_value_that_is_no_such_integer_is_named(name, value):
    """The variable, what it should be, what it is, and how to go on without it."""
    with pytest.raises(
        ConfigError, match=rf"variable {name} must be an integer of at least \d, got '{value}': .*unset"
    ):
        current_launch(TORCHRUN | {name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RANK", "4", "RANK must be below WORLD_SIZE=4, got 4"),
        ("WORLD_SIZE", "2", "RANK must be below WORLD_SIZE=2, got 3"),
        ("LOCAL_RANK", "2", "LOCAL_RANK must be below LOCAL_WORLD_SIZE=2, got 2"),
        ("MASTER_ADDR", "", "got no MASTER_ADDR: start them with torchrun"),
        ("MASTER_PORT", "", "got no MASTER_PORT: start them with torchrun"),
    ],
)
def test_values_that_contradict_each_other_are_named(name, value, expected):
    """Before anything waits for processes that do not exist."""
    with pytest.raises(ConfigError, match=expected):
        current_launch(TORCHRUN | {name: value})


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="the extra torch is not installed")
def test_the_torchrun_that_is_installed_sets_what_is_read_here(tmp_path):
    """Two processes that fail once: rank and size of each, and the same name after the restart."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from aifs_engine.launch import current_launch\n"
        "launch = current_launch()\n"
        "record = Path(sys.argv[1], f'{launch.rank}-{launch.restart}')\n"
        "record.write_text(f'{launch.size} {launch.local_rank} {launch.local_size} {launch.run_id}')\n"
        "sys.exit(launch.restart == 0)\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    # With an address torchrun gives the launch no name of its own.
    address = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--monitor-interval", "0.1"]
    command = [*torchrun, *address, str(program), str(tmp_path)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    lines = {f"{rank}-{restart}": (tmp_path / f"{rank}-{restart}").read_text() for rank in (0, 1) for restart in (0, 1)}
    names = {line.split()[3] for line in lines.values()}
    assert len(names) == 1
    assert names.pop().startswith("none_")
    assert [lines[key].rpartition(" ")[0] for key in ("0-1", "1-1")] == ["2 0 2", "2 1 2"]
