"""Start torchrun as a user does, watch what it says, and leave no process behind.

Neither a test module nor this file is imported by its name:
``Torchrun = runpy.run_path(str(Path(__file__).with_name("torchrun.py")))["Torchrun"]``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PROGRAM = Path(__file__).with_name("torchrun_program.py")
COMMAND = [sys.executable, "-m", "torch.distributed.run"]


class Torchrun:
    """One torchrun with its processes.

    Parameters
    ----------
    folder : Path
        Receives what is printed, and what `torchrun_program.py` writes.
    options : sequence of str
        Of the program.
    n : int
        Processes.
    program : sequence of str, optional
        What torchrun starts; `torchrun_program.py` if it is not given.
    agent : sequence of str
        Options of torchrun itself.
    does : str
        What `torchrun_program.py` does beside training.
    environment
        More variables.
    """

    def __init__(self, folder, *options, n=2, program=None, agent=(), does="", **environment):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        program = [str(PROGRAM)] if program is None else program
        agent = agent or ["--standalone"]  # several launches at once do not meet at one port
        variables = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "DOES": does, "NOTES": str(self.folder)}
        with (self.folder / "stdout").open("ab") as stdout, (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [*COMMAND, f"--nproc-per-node={n}", *agent, *program, *options],
                env={**os.environ, **variables, **environment},
                stdout=stdout,
                stderr=stderr,
                process_group=0,  # as in a shell: Ctrl-C is for all of it
            )

    def __enter__(self):
        return self

    def __exit__(self, *details):
        """End what still runs; torchrun's processes have sessions of their own and outlive it."""
        self.kill()
        self.process.wait()

    def kill(self):
        """End torchrun and its processes at once, as if their machine were gone."""
        if self.process.poll() is None:  # else its processes have ended too
            self.process.kill()
            for pid in {rank: pid for pid, rank in self.pids().items()}.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def stdout(self):
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def errors(self):
        """The lines by which the program itself says what is wrong."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]

    def finish(self, seconds=180):
        """Wait for the end; return torchrun's exit code."""
        return self.process.wait(timeout=seconds)

    def pids(self):
        """By its pid the rank of each process that `torchrun_program.py` has begun, the last one last."""
        started = [(path.stat().st_mtime_ns, path) for path in self.folder.glob("started-*")]
        return {int(path.name.split("-")[1]): int(path.read_text()) for _, path in sorted(started) if path.read_text()}

    def wait_for(self, condition, seconds=60):
        """Return what `condition()` gives as soon as it is true, or False once torchrun has ended."""
        until = time.monotonic() + seconds
        while not (result := condition()):
            if self.process.poll() is not None:
                return condition()
            assert time.monotonic() < until, f"waited for {seconds} s:\n{self.stdout}\n{self.stderr}"
            time.sleep(0.005)
        return result

    def newest(self, rank, notes="started"):
        """The pid of the newest process of this rank, once it has made a note; None if torchrun ends before."""

        def find():
            pid = next((pid for pid, other in reversed(self.pids().items()) if other == rank), None)
            return pid if (self.folder / f"{notes}-{pid}").exists() else None

        return self.wait_for(find)


def newest(folder, pattern):
    """The file that was written last."""
    return max(Path(folder).glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def left_by(output):
    """The bytes of the only run's last checkpoint, its best one, and its record."""
    files = [*Path(output).glob("models/*/[bl]*.safetensors"), *Path(output).glob("logs/*/metrics.jsonl")]
    assert len(files) == 3, files
    return {path.name: path.read_bytes() for path in files}


def manifest(output):
    """The newest run's manifest."""
    return json.loads(newest(output, "logs/*/manifest.json").read_text())


def rows(output):
    """The rows of the only run's record."""
    [file] = Path(output).glob("logs/*/metrics.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]
