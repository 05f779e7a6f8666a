"""The mirror of a run on Weights & Biases. Never asks, never waits for a network that is not there."""

import logging
import os
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from aifs_utils.exceptions import CheckpointError

ARTIFACT = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+:[\w.-]+")  # entity/project/name:version
PROBE_TIMEOUT = 2.0  # seconds to find out whether there is a network
FINISH_TIMEOUT = 60.0  # seconds that the last upload may take; what is left stays on the disk for `wandb sync`

logger = logging.getLogger(__name__)


class WandbMirror:
    """Mirrors a run to Weights & Biases: online if there is a login and a network, otherwise into files for later.

    What goes wrong there is a warning here: the local record is complete without it.

    Raises
    ------
    ImportError
        If wandb is not installed.
    """

    def __init__(
        self, *, project: str, run_id: str, config: Mapping[str, Any], tags: Sequence[str], folder: Path
    ) -> None:
        import wandb

        self.errors: tuple[type[Exception], ...] = (wandb.Error, OSError, ValueError, RuntimeError)
        reason = offline_reason()
        if reason:
            logger.warning("wandb is offline (%s): the mirror is kept in %s", reason, folder / "wandb")
        settings = wandb.Settings(
            silent=True, console="off", init_timeout=15, finish_timeout=FINISH_TIMEOUT, x_disable_stats=True
        )
        self._run: Any = None
        try:
            self._run = wandb.init(
                project=project,
                id=run_id,
                name=run_id,
                resume="allow" if not reason else None,
                config=dict(config),
                tags=list(tags),
                dir=str(folder),
                mode="offline" if reason else None,
                settings=settings,
            )
        except self.errors as error:
            self._give_up(error)

    def log(self, row: Mapping[str, Any]) -> None:
        """Mirror an epoch's row."""
        if self._run is not None:
            try:
                self._run.log(dict(row), step=row["epoch"])
            except self.errors as error:
                self._give_up(error)

    def finish(self, manifest: Mapping[str, Any], *, checkpoint: Path | None, figures: Sequence[Path]) -> None:
        """Mirror the result, the checkpoint as an artifact and the figures as images; then close the run."""
        if self._run is None:
            return
        import wandb

        try:
            self._run.summary.update(dict(manifest.get("result", {})))
            if figures:
                self._run.log({f"figures/{figure.stem}": wandb.Image(str(figure)) for figure in figures})
            if checkpoint is not None:
                name = f"{manifest['model']}-{manifest['experiment']}"
                artifact = wandb.Artifact(name, type="model", metadata=dict(manifest.get("result", {})))
                artifact.add_file(str(checkpoint))
                self._run.log_artifact(artifact)
            self._run.finish(exit_code=0 if manifest["status"] == "finished" else 1)
        except self.errors as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._run = None
        logger.warning(
            "wandb gave up (%s): the local record goes on", str(error).splitlines()[0] if str(error) else error
        )


def offline_reason() -> str:
    """Why the mirror cannot be online, or an empty string if it can or the user wants none."""
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return ""
    address = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    try:
        host = urlsplit(address)
        name, port = host.hostname, host.port or (80 if host.scheme == "http" else 443)
    except ValueError:
        name, port = None, 0
    if name is None:
        return f"WANDB_BASE_URL is no address: {address}"
    if not _has_login(name):
        return "no login"
    return "" if host.scheme in getproxies() or _answers(name, port) else f"{name} cannot be reached"


def _answers(host: str, port: int) -> bool:
    """Whether something listens there; told within `PROBE_TIMEOUT`, however long the name takes to resolve."""
    answers = threading.Event()

    def knock() -> None:
        with suppress(OSError), socket.create_connection((host, port), timeout=PROBE_TIMEOUT):
            answers.set()

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT)
    return answers.is_set()


def download_checkpoint(reference: str, folder: Path) -> Path:
    """Fetch the checkpoint of an artifact ``entity/project/name:version`` into `folder`.

    Raises
    ------
    CheckpointError
        If wandb is not installed, the artifact cannot be had, or it holds no checkpoint.
    """
    try:
        import wandb
    except ImportError as error:
        raise CheckpointError(f"to read {reference}, install wandb: pip install 'aifs-engine[wandb]'") from error
    reason = offline_reason()
    if reason:
        raise CheckpointError(f"cannot read {reference}: {reason}")
    try:
        downloaded = Path(wandb.Api(timeout=30).artifact(reference, type="model").download(str(folder)))
    except (wandb.Error, OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {reference}: {error}") from error
    found = sorted(downloaded.rglob("*.safetensors"))
    if len(found) != 1:
        raise CheckpointError(f"{reference} holds {len(found)} checkpoints, expected one")
    return found[0]


def _has_login(host: str) -> bool:
    from netrc import NetrcParseError, netrc

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        file = os.environ.get("NETRC") or Path.home() / ("_netrc" if os.name == "nt" else ".netrc")
        return netrc(str(file)).authenticators(host) is not None
    except (OSError, RuntimeError, NetrcParseError):  # RuntimeError: a user without a home
        return False
