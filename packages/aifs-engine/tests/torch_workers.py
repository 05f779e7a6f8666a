"""Run a function on several processes that gloo connects over loopback.

A test module is not imported by its name here, and neither is this file:
``run_on = runpy.run_path(str(Path(__file__).with_name("torch_workers.py")))["run_on"]``.
"""

import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

GRACE = 3.0  # seconds that the other processes have to end by themselves after one has failed


def run_on(n, function, *arguments, seconds=120):
    """What a function returns on each of `n` processes, in the order of their ranks.

    Parameters
    ----------
    n : int
        Processes.
    function : callable
        At the top level of a file; the file is run anew in each process. There torch.distributed is initialized, and
        the environment is that of torchrun.
    arguments
        Numbers, strings, None, paths (which arrive as strings), and lists and dicts of these; what is returned as well.
    seconds : float
        Limit for all of it.

    Raises
    ------
    RuntimeError
        If a process fails, with what it printed; or if the time is over.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "error", __file__, function.__code__.co_filename, function.__name__]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes = [
            stack.enter_context(_start([*command, json.dumps(arguments, default=str)], Path(folder), rank, n, port))
            for rank in range(n)
        ]
        try:
            _wait(processes, Path(folder), time.monotonic() + seconds)
        finally:
            for process in processes:
                process.kill()
        return [json.loads(Path(folder, f"{rank}.result").read_text()) for rank in range(n)]


def _start(command, folder, rank, n, port):
    environment = {
        **os.environ,
        "RANK": str(rank),
        "WORLD_SIZE": str(n),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(n),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "RESULT": str(folder / f"{rank}.result"),
    }
    with (folder / f"{rank}.output").open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _wait(processes, folder, deadline):
    """Until all have ended; one that fails takes the others along."""
    failed_at = None
    while any(process.poll() is None for process in processes):
        now = time.monotonic()
        if failed_at is None and any(process.poll() for process in processes):
            failed_at = now
        if now > deadline or (failed_at is not None and now > failed_at + GRACE):
            break
        time.sleep(0.02)
    codes = [process.poll() for process in processes]
    if any(code != 0 for code in codes):
        # The first to fail may be the cause of the others' errors: who was stopped has nothing to say.
        said = [
            f"rank {rank} {'was still running' if code is None else f'ended with {code}'}:\n"
            f"{(folder / f'{rank}.output').read_text(errors='replace')}"
            for rank, code in enumerate(codes)
            if code != 0
        ]
        raise RuntimeError("\n".join(said))


def _main(file, name, arguments):
    import torch.distributed as dist

    dist.init_process_group("gloo")
    result = runpy.run_path(file)[name](*json.loads(arguments))
    dist.barrier()  # gloo may abort where one process leaves while another still talks to it
    dist.destroy_process_group()
    Path(os.environ["RESULT"]).write_text(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
