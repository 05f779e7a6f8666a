import socket
import subprocess
import sys
import time

import pytest

from aifs_engine import wandb_mirror
from aifs_utils.exceptions import CheckpointError


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user without a login."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def test_without_a_login_the_mirror_is_offline(nobody):
    assert wandb_mirror.offline_reason() == "no login"


def test_a_login_in_netrc_counts(nobody, monkeypatch):
    (nobody / "netrc").write_text("machine localhost login user password secret\n")
    (nobody / "netrc").chmod(0o600)
    with socket.create_server(("localhost", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://localhost:{server.getsockname()[1]}")
        assert wandb_mirror.offline_reason() == ""


def test_without_a_network_the_mirror_is_offline_at_once(nobody, monkeypatch):
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://localhost:{port}")  # nothing listens there any more
    started = time.perf_counter()
    assert wandb_mirror.offline_reason() == "localhost cannot be reached"
    assert time.perf_counter() - started < 3


def test_the_users_own_choice_of_mode_stands(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mirror.offline_reason() == ""


@pytest.mark.parametrize("address", ["localhost:8080", "http://[bad", "http://localhost:notaport"])
def test_an_address_that_is_none_is_no_reason_to_fail(nobody, monkeypatch, address):
    monkeypatch.setenv("WANDB_BASE_URL", address)
    assert wandb_mirror.offline_reason() == f"WANDB_BASE_URL is no address: {address}"


def test_being_online_without_a_login_is_not_asked_for(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    assert wandb_mirror.offline_reason() == "no login"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("team/project/model:v3", True),
        ("me/aifs-toy/toy-line:latest", True),
        ("outputs/models/x", False),
        ("a:v1", False),
    ],
)
def test_artifacts_are_told_from_files(text, is_one):
    assert bool(wandb_mirror.ARTIFACT.fullmatch(text)) is is_one


def test_an_artifact_that_cannot_be_had_is_a_clear_error(nobody):
    pytest.importorskip("wandb", reason="needs the extra aifs-engine[wandb]")
    with pytest.raises(CheckpointError, match="cannot read team/project/model:v3: no login"):
        wandb_mirror.download_checkpoint("team/project/model:v3", nobody)


def test_without_wandb_an_artifact_asks_for_it(nobody, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(CheckpointError, match=r"pip install 'aifs-engine\[wandb\]'"):
        wandb_mirror.download_checkpoint("team/project/model:v3", nobody)


@pytest.mark.slow
def test_a_run_without_login_mirrors_itself_to_files(nobody, toy_environment):
    pytest.importorskip("wandb", reason="needs the extra aifs-engine[wandb]")
    environment = {
        name: value
        for name, value in toy_environment.items()
        if not name.startswith("WANDB_") and name != "PYTHONWARNINGS"
    }
    finished = subprocess.run(
        [sys.executable, "-m", "toy.train", "train", "--experiment", "line", "--output-dir", "outputs"],
        cwd=nobody,
        env={**environment, "HOME": str(nobody), "NETRC": str(nobody / "netrc")},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("warning: wandb is offline (no login): the mirror is kept in ")
    assert list(nobody.glob("outputs/logs/*/wandb/offline-run-*/*.wandb"))
    assert not (nobody / "wandb").exists()


def test_what_goes_wrong_in_the_mirror_does_not_end_the_run(nobody, monkeypatch, caplog, tmp_path):
    wandb = pytest.importorskip("wandb", reason="needs the extra aifs-engine[wandb]")

    class Broken:
        def log(self, *arguments, **options):
            raise wandb.errors.CommError("the connection was lost")

    monkeypatch.setattr(wandb, "init", lambda **options: Broken())
    mirror = wandb_mirror.WandbMirror(project="p", run_id="r", config={}, tags=[], folder=tmp_path)
    mirror.log({"epoch": 1})
    mirror.log({"epoch": 2})
    mirror.finish({"status": "finished"}, checkpoint=None, figures=())
    assert caplog.text.count("wandb gave up (the connection was lost): the local record goes on") == 1


def test_a_whole_run_is_mirrored(nobody, monkeypatch, tmp_path):
    wandb = pytest.importorskip("wandb", reason="needs the extra aifs-engine[wandb]")
    calls = []

    class Run:
        def __init__(self):
            self.summary = {}

        def log(self, row, step=None):
            calls.append(("log", step, sorted(row)))

        def log_artifact(self, artifact):
            calls.append(("artifact", artifact.name, artifact.type))

        def finish(self, exit_code):
            calls.append(("finish", exit_code))

    run = Run()
    monkeypatch.setattr(wandb, "init", lambda **options: calls.append(("init", options["mode"])) or run)
    (tmp_path / "best.safetensors").write_bytes(b"weights")
    mirror = wandb_mirror.WandbMirror(project="p", run_id="r", config={"epochs": 1}, tags=["t"], folder=tmp_path)
    mirror.log({"epoch": 1, "train_loss": 0.5})
    manifest = {"model": "toy", "experiment": "line", "status": "finished", "result": {"test_loss": 0.25}}
    mirror.finish(manifest, checkpoint=tmp_path / "best.safetensors", figures=())
    assert calls == [
        ("init", "offline"),
        ("log", 1, ["epoch", "train_loss"]),
        ("artifact", "toy-line", "model"),
        ("finish", 0),
    ]
    assert run.summary == {"test_loss": 0.25}
