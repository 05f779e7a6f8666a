"""Time the second load of a set, beside numpy.load on the same decoded arrays, and measure its peak of memory.

python packages/aifs-data/benchmarks/bench_loading.py [NAME ...]

A set that is not in the cache is fetched first; without arguments: mnist, cifar-10-10k and, where they can be had,
fashion-mnist and cifar-10.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from aifs_data import load_dataset
from aifs_data.arrays import components

ROUNDS = 15

PEAK = """
import re, sys
import numpy, xxhash, aifs_data
aifs_data.load_dataset("moons")
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
before = peak()
dataset = aifs_data.load_dataset(sys.argv[1], source="cache")
print(peak() - before)
"""


def arrays_of(dataset):
    """Return all plain arrays of a data set."""
    parts = (dataset.train, dataset.val, dataset.test)
    return [component for part in parts for array in part.arrays.values() for component in components(array)]


def measure(name, folder):
    """Interleave both ways and print their medians."""
    dataset = load_dataset(name)
    if dataset.is_standin:
        print(f"{name:<16}not measured: the set cannot be had here")
        return
    arrays = arrays_of(dataset)
    for i, array in enumerate(arrays):
        np.save(folder / f"{i}.npy", array)
    files = [folder / f"{i}.npy" for i in range(len(arrays))]
    wall, cpu, floor = [], [], []
    for _ in range(ROUNDS):
        start, begun = time.perf_counter(), time.process_time()
        load_dataset(name)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - begun)
        start = time.perf_counter()
        loaded = [np.load(file) for file in files]
        floor.append(time.perf_counter() - start)
        del loaded
    size = sum(array.nbytes for array in arrays)
    peak = int(subprocess.run([sys.executable, "-c", PEAK, name], capture_output=True, text=True, check=True).stdout)
    print(
        f"{name:<16}{size / 1e6:8.1f} MB   second load {median(wall) * 1e3:7.1f} ms ({median(cpu) * 1e3:.1f} ms CPU)"
        f"   numpy.load {median(floor) * 1e3:7.1f} ms   {median(wall) / median(floor):5.2f} x"
        f"   peak {peak / size:.2f} x the arrays"
    )


def main():
    """Measure the sets that are named, or those of which a user waits for most."""
    for name in sys.argv[1:] or ["mnist", "cifar-10-10k", "fashion-mnist", "cifar-10"]:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder))


if __name__ == "__main__":
    main()
