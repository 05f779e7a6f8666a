"""What a checkpoint costs beside `torch.save` and `torch.load`, in one interleaved run.

python benchmarks/checkpoints.py [repetitions]

A write is on the disk under its final name when it returns; ours is also read back and verified, its folder flushed.
A read of ours has verified every byte. Its arrays still lie in the file, so another row copies what was read into the
tensors of a model, as resuming a run does.
"""

import os
import sys
import tempfile
from pathlib import Path

import torch
from _timing import interleaved
from safetensors.numpy import load_file, save_file

from aifs_engine import load_checkpoint, save_checkpoint

MEGABYTES = (0.1, 10, 100)
N_TENSORS = 20


def torch_write(state, path):
    """What a careful script does."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def plain_write(arrays, path):
    """The library of the format, its file flushed and renamed."""
    temporary = path.with_suffix(".tmp")
    save_file(arrays, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def copy_into(model, found):
    """Give a model the values that were read."""
    for name, parameter in model.items():
        value = found[name]
        parameter.copy_(value if isinstance(value, torch.Tensor) else torch.from_numpy(value))


def contenders(megabytes, folder):
    """The three rows of a size: what torch does, what we do, and what the library does alone."""
    torch.manual_seed(0)
    n_values = int(megabytes * 1e6 / 4 / N_TENSORS)
    model = {f"layers.{index}.weight": torch.randn(n_values) for index in range(N_TENSORS)}
    state = {name: value.clone() for name, value in model.items()}
    arrays = {name: value.numpy() for name, value in state.items()}
    theirs, ours, plain = folder / "theirs.pt", folder / "ours.safetensors", folder / "plain.safetensors"
    return {
        "write": {
            "torch": lambda: torch_write(state, theirs),
            "ours": lambda: save_checkpoint(ours, {"learner": arrays}, {"model": "bench"}),
            "safetensors": lambda: plain_write(arrays, plain),
        },
        "read": {
            "torch": lambda: torch.load(theirs, weights_only=True),
            "ours": lambda: load_checkpoint(ours),
            "safetensors": lambda: load_file(plain),
        },
        "read into a model": {
            "torch": lambda: copy_into(model, torch.load(theirs, weights_only=True)),
            "ours": lambda: copy_into(model, load_checkpoint(ours).state["learner"]),
            "safetensors": lambda: copy_into(model, load_file(plain)),
        },
    }


def main():
    torch.set_num_threads(1)
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"checkpoints of {N_TENSORS} tensors, PyTorch {torch.__version__}: ms, medians of {repetitions}")
    print(f"{'':>6}    {'':<18}{'torch':>9}{'ours':>9}{'ratio':>8}{'safetensors':>13}")
    for megabytes in MEGABYTES:
        with tempfile.TemporaryDirectory() as temporary:
            for row, runs in contenders(megabytes, Path(temporary)).items():
                medians = {name: median * 1e3 for name, median in interleaved(runs, repetitions).items()}
                ratio = medians["ours"] / medians["torch"]
                print(
                    f"{megabytes:>6} MB {row:<18}{medians['torch']:>9.2f}{medians['ours']:>9.2f}{ratio:>8.2f}"
                    f"{medians['safetensors']:>13.2f}"
                )


if __name__ == "__main__":
    main()
