"""The record of a run: always on the local disk, and mirrored to Weights & Biases where that is wanted."""

import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aifs_engine.callbacks import Callback
from aifs_utils.files import atomic_write

if TYPE_CHECKING:
    from aifs_engine.trainer import Trainer

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """Something that a run is reported to."""

    def log(self, row: Mapping[str, Any]) -> None:
        """Record an epoch's row of the history."""

    def finish(self, manifest: Mapping[str, Any], *, checkpoint: Path | None, figures: Sequence[Path]) -> None:
        """Record how the run ended and what it left."""


class LocalTracker:
    """A JSONL file of the metrics: with the manifest beside it, the source of truth.

    It has one line per epoch and nothing that depends on the clock: equal runs leave equal files. Each
    line is flushed as it is written. On a continuation the file is first cut back to the epochs that the checkpoint
    knows.
    """

    def __init__(self, metrics_file: Path, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        with atomic_write(metrics_file, "w") as file:
            file.writelines(_line(row) for row in rows)
        self._metrics = metrics_file.open("a", encoding="utf-8")

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a line."""
        self._metrics.write(_line(row))
        self._metrics.flush()

    def finish(self, manifest: Mapping[str, Any], *, checkpoint: Path | None, figures: Sequence[Path]) -> None:
        """Close the file."""
        self._metrics.close()


class Tracking(Callback):
    """Passes each epoch's row to the trackers."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = list(trackers)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """Report the epoch."""
        for tracker in self.trackers:
            tracker.log(row)


def installed_versions() -> dict[str, str]:
    """Python's version and that of every installed distribution, from the names of their metadata folders."""
    found: dict[str, str] = {}
    for folder in sys.path:
        if os.path.isdir(folder):  # noqa: PTH112  # pathlib is slower, and this runs at every start
            for entry in os.scandir(folder):
                if entry.name.endswith(".dist-info"):
                    name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
                    found.setdefault(name.replace("_", "-").lower(), version)
    return {"python": ".".join(map(str, sys.version_info[:3])), **dict(sorted(found.items()))}


def source_commit(folder: Path) -> str | None:
    """Hash of the commit that is checked out around `folder`, or None outside a git checkout."""
    root = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    if root is None:
        return None
    try:
        git = root / ".git"
        if git.is_file():  # a linked worktree names its folder
            git = root / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        loose = common / head.removeprefix("ref: ")
        if loose.exists():
            return loose.read_text().strip()
        packed = (common / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(head.removeprefix("ref: "))), None)
    except OSError:
        return None


def json_ready(value: Any) -> Any:
    """`value` in JSON's types: numbers of NumPy as Python's, and None for a float that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if hasattr(value, "tolist"):  # an array or scalar of NumPy
        return json_ready(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(json_ready(row)) + "\n"
