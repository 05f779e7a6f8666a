"""What a launcher, such as torchrun, tells each process that it starts: through the environment.

References
----------
torch. "torchrun (Elastic Launch)", section "Environment Variables".
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aifs_utils.exceptions import ConfigError


@dataclass(frozen=True)
class Launch:
    """One process among those of a launch.

    Parameters
    ----------
    rank : int
        Which of all the processes this is, from 0.
    size : int
        How many there are.
    local_rank, local_size : int
        The same among the processes of this machine.
    run_id : str
        What the launch is called; a process that torchrun starts anew has the same. "" where the launcher gives no
        name. Where torchrun was given no ``--rdzv-id``, each machine may have a name of its own: take that of rank 0.
    restart : int
        How often torchrun has started the processes anew.
    address, port : str, int
        Where the processes find one another; "" and 0 if there is only one and the launcher does not say.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    run_id: str
    restart: int
    address: str
    port: int


def current_launch(environ: Mapping[str, str] = os.environ) -> Launch | None:
    """Read what a launcher put into the environment of this process.

    torchrun sets all that is read here. SLURM and others may set only ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and
    ``MASTER_PORT``; then the process is the first of its machine unless ``LOCAL_RANK`` or ``SLURM_LOCALID`` says which.
    An empty variable counts as missing.

    Returns
    -------
    Launch or None
        None for a process that a person started: without ``RANK`` or without ``WORLD_SIZE``.

    Raises
    ------
    ConfigError
        When a value is no such integer, when two contradict each other, or when several processes are not told where
        to meet.

    Examples
    --------
    >>> current_launch({}) is None
    True
    >>> current_launch({"RANK": "0", "WORLD_SIZE": "1"}).local_rank
    0
    """
    given = {name: value for name, value in environ.items() if value}
    if "RANK" not in given or "WORLD_SIZE" not in given:
        return None
    size = _integer(given, "WORLD_SIZE", least=1)
    rank = _below(_integer(given, "RANK"), "RANK", size, "WORLD_SIZE")
    local_rank = _integer(given, "LOCAL_RANK", "SLURM_LOCALID", default=0)
    local_size = _integer(given, "LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE", default=local_rank + 1, least=1)
    address, port = _meeting_point(given, size)
    return Launch(
        rank=rank,
        size=size,
        local_rank=_below(local_rank, "LOCAL_RANK", local_size, "LOCAL_WORLD_SIZE"),
        local_size=local_size,
        run_id=_run_id(given),
        restart=_integer(given, "TORCHELASTIC_RESTART_COUNT", default=0),
        address=address,
        port=port,
    )


def local_device(device: str) -> str:
    """Return the device of this process, where each process of a machine has a GPU of its own.

    Examples
    --------
    >>> local_device("cpu")
    'cpu'
    """
    launch = current_launch()
    return f"cuda:{launch.local_rank}" if device == "cuda" and launch is not None and launch.size > 1 else device


def _integer(given: Mapping[str, str], *names: str, default: int | None = None, least: int = 0) -> int:
    """The value of the first of these variables that is set."""
    name = next((name for name in names if name in given), None)
    if name is None and default is not None:
        return default
    name = name or names[0]
    value = given[name].strip()
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ConfigError(
            f"the environment variable {name} must be an integer of at least {least}, got {given[name]!r}: let "
            "torchrun set it, or unset RANK and WORLD_SIZE to run one process alone"
        )
    return int(value)


def _below(value: int, name: str, size: int, size_name: str) -> int:
    if value >= size:
        raise ConfigError(
            f"the environment variable {name} must be below {size_name}={size}, got {value}: let torchrun set both, or "
            "unset RANK and WORLD_SIZE to run one process alone"
        )
    return value


def _meeting_point(given: Mapping[str, str], size: int) -> tuple[str, int]:
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in given]
    if missing and size > 1:
        raise ConfigError(
            f"WORLD_SIZE={size} processes need MASTER_ADDR and MASTER_PORT to find one another, got no "
            f"{' and no '.join(missing)}: start them with torchrun, or set both to a free port of rank 0's machine"
        )
    return given.get("MASTER_ADDR", ""), _integer(given, "MASTER_PORT", default=0)


def _run_id(given: Mapping[str, str]) -> str:
    """The launcher's name of the launch; without one, that of the folder that torchrun made for its records."""
    run_id = given.get("TORCHELASTIC_RUN_ID", "")
    if run_id != "none":  # what torchrun says for several machines without --rdzv-id
        return run_id
    # <folder of the launch>/attempt_<restart>/<local rank>/error.json: only the first is the same after a restart.
    folders = Path(given.get("TORCHELASTIC_ERROR_FILE", "")).parents
    return folders[2].name if len(folders) > 2 else ""
