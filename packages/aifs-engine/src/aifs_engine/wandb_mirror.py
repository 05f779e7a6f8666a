"""The mirror of a run on Weights & Biases. Never asks, never waits for a network that is not there."""

import logging
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aifs_utils.exceptions import CheckpointError

ARTIFACT = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+:[\w.-]+")  # entity/project/name:version
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

        self.errors: tuple[type[Exception], ...] = (wandb.Error, OSError)
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
    """Why the mirror cannot be online, or an empty string if it can or the user has chosen a mode."""
    if os.environ.get("WANDB_MODE"):
        return ""
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai")
    if not _has_login(host.hostname or ""):
        return "no login"
    try:
        port = host.port or (80 if host.scheme == "http" else 443)
        with socket.create_connection((host.hostname or "", port), timeout=2):
            return ""
    except OSError:
        return f"{host.hostname} cannot be reached"


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
    file = Path(os.environ.get("NETRC") or Path.home() / ("_netrc" if os.name == "nt" else ".netrc"))
    try:
        return netrc(str(file)).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
