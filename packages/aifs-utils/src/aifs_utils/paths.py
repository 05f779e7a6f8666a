"""Where the files of a run go, so that no run overwrites another's.

::

    root/logs/<run_id>/            train.log, metrics.jsonl, manifest.json
    root/models/<run_id>/          checkpoints
    root/visualizations/<run_id>/  figures
"""

import os
import re
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from aifs_utils.exceptions import ConfigError

_STAMP = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?")


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run. Only the folder of the log is made by `new_run`."""

    root: Path
    run_id: str

    @property
    def log_file(self) -> Path:
        """The narrative of the run."""
        return self.root / "logs" / self.run_id / "train.log"

    @property
    def metrics_file(self) -> Path:
        """One JSON object per epoch."""
        return self.log_file.with_name("metrics.jsonl")

    @property
    def manifest_file(self) -> Path:
        """What was run, on which data, with which versions."""
        return self.log_file.with_name("manifest.json")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.root / "models" / self.run_id

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.root / "visualizations" / self.run_id


def new_run(root: str | os.PathLike[str], stem: str) -> RunPaths:
    """Make a run's folder under a name that no other run has.

    Parameters
    ----------
    root : path-like
        The folder of all outputs; made if it is not there.
    stem : str
        What the run is ("perceptron-xor"). The local time is added to it and, if that name is taken, a number.

    Returns
    -------
    RunPaths
        Of the new run. Two processes that ask at the same moment get two.

    Raises
    ------
    ConfigError
        When nothing can be written there.

    Examples
    --------
    >>> new_run("outputs", "perceptron-xor").run_id  # doctest: +SKIP
    'perceptron-xor-20261123-140501'
    """
    if not stem or Path(stem).name != stem:
        raise ConfigError(f"the name of a run is one part of a path, such as 'perceptron-xor', got {stem!r}")
    root = Path(root)
    try:
        logs = root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        run = RunPaths(root, _claim(logs, f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"))
        _probe(run.log_file.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot write the outputs of a run to {root} ({reason}): make room there or choose another folder"
        ) from error
    return run


def find_runs(root: str | os.PathLike[str], stem: str) -> list[RunPaths]:
    """List the runs of this stem under `root`, newest first."""
    root = Path(root)
    found = []
    for folder in (root / "logs").glob(f"{_glob_escaped(stem)}-*/"):
        stamp = _STAMP.fullmatch(folder.name.removeprefix(f"{stem}-"))
        if stamp:
            found.append((stamp[1], int(stamp[2] or 1), folder.name))
    return [RunPaths(root, run_id) for *_, run_id in sorted(found, reverse=True)]


def _claim(logs: Path, name: str) -> str:
    """Make the first free one of the folders name, name-2, name-3, …: making it is what claims it."""
    for i in count(1):
        run_id = name if i == 1 else f"{name}-{i}"
        try:
            (logs / run_id).mkdir()
        except FileExistsError:
            continue
        return run_id
    raise AssertionError("count() ended")


def _probe(folder: Path) -> None:
    """Write to the folder, since a folder can be made on a disk that is full; take the folder back if that fails."""
    probe = folder / ".probe"
    try:
        probe.write_bytes(bytes(4096))
    except OSError:
        probe.unlink(missing_ok=True)
        folder.rmdir()
        raise
    probe.unlink()


def _glob_escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
