"""What a second process brings: one with two threads beside two with one, the engine beside a loop by hand, in turns.

python benchmarks/distributed.py [turns]

Every way trains the same LeNet-5 on the same batches of 256, and has to end at the same weights: "off by" is the
largest difference from those of the loop by hand in one process. The two processes of a run are started by torchrun and
speak through gloo. What is timed is the steps after the first few, by a clock within the process. A ratio is the median
of those of the turns, since two times of one turn have seen the same neighbours.

Measure on an idle machine: two threads of a process wait for each other in every operation, so a busy neighbour slows
them down several times as much as it does two processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from _distributed_ways import BATCH_SIZE, WAYS, final_weights, new_model

N_WARM, N_TIMED = 20, 100  # steps
THREADS = 2  # in all processes together
TOLERANCE = 1e-5  # of weights below 1, from sums that are made in another order
SECONDS = 300  # for one process that should need ten
PROGRAM = Path(__file__).with_name("_distributed_ways.py")
RATIOS = [
    ("engine, ddp", "engine"),
    ("engine, fsdp", "engine"),
    ("by hand, ddp", "by hand"),
    ("engine, ddp", "by hand, ddp"),
    ("engine", "by hand"),
]


def train(way):
    """Train in processes of their own; return samples per second and the final weights."""
    n_processes = WAYS[way][1]
    threads = str(THREADS // n_processes)
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *(launcher if n_processes > 1 else []), PROGRAM, way, folder, N_WARM + N_TIMED]
        done = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{way}: exit code {done.returncode}\n{done.stderr}")
        with np.load(Path(folder) / "result.npz", allow_pickle=False) as result:
            moments, weights = result["moments"], result["weights"]
    assert len(moments) == N_WARM + N_TIMED, f"{way}: {len(moments)} steps"
    return BATCH_SIZE * N_TIMED / (moments[-1] - moments[N_WARM - 1]), weights


def compete(turns):
    """Return the samples per second of each way, a list of one number per turn, and how far off its weights are."""
    speeds, weights = {way: [] for way in WAYS}, {}
    for _ in range(turns):
        for way in WAYS:
            speed, weights[way] = train(way)
            speeds[way].append(speed)
    off = {way: float(np.abs(found - weights["by hand"]).max()) for way, found in weights.items()}
    assert max(off.values()) <= TOLERANCE, f"not the same work: {off}"
    assert np.abs(final_weights(new_model()) - weights["by hand"]).max() > 100 * TOLERANCE, "weights have hardly moved"
    return speeds, off


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("turns", type=int, nargs="?", default=7)
    turns = parser.parse_args().turns
    print(
        f"LeNet-5, batches of {BATCH_SIZE}, {N_TIMED} steps after {N_WARM}, {turns} turns, PyTorch {torch.__version__}"
    )
    speeds, off = compete(turns)
    print(f"\n{'':<14}{'processes × threads':>22}{'samples/s':>12}{'least':>9}{'most':>9}{'off by':>9}")
    for way, values in speeds.items():
        n_processes = WAYS[way][1]
        shape = f"{n_processes} × {THREADS // n_processes}"
        median = statistics.median(values)
        print(f"{way:<14}{shape:>22}{median:>12,.0f}{min(values):>9,.0f}{max(values):>9,.0f}{off[way]:>9.0e}")
    print(f"\n{'median ratio of the turns':<38}{'least':>14}{'most':>9}")
    for way, other in RATIOS:
        ratios = [one / two for one, two in zip(speeds[way], speeds[other], strict=True)]
        title = f"{way} / {other}"
        print(f"{title:<30}{statistics.median(ratios):>8.2f}{min(ratios):>14.2f}{max(ratios):>9.2f}")


if __name__ == "__main__":
    main()
