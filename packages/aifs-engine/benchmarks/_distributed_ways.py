"""The ways of training that `distributed.py` compares; as a program, one of them, in each process of a run.

python benchmarks/_distributed_ways.py WAY FOLDER STEPS

Rank 0 leaves the moments of its steps and the final weights in the folder.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from contenders.tasks import SEED, lenet, noise
from torch import distributed, nn

from aifs_engine.torch_processes import stop_processes

BATCH_SIZE, N_BATCHES, RATE = 256, 8, 0.05


def batches(n_steps):
    """Return the same few batches again and again, as views: loading is no part of what is timed."""
    X, y = noise(BATCH_SIZE * N_BATCHES, 1, 32, 32)(torch.Generator().manual_seed(SEED))
    whole = list(zip(X.split(BATCH_SIZE), y.split(BATCH_SIZE), strict=True))
    return [whole[step % N_BATCHES] for step in range(n_steps)]


def by_hand(model, folder, n_steps):
    """The loop that a person writes, over this process's part of each batch."""
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=RATE), nn.CrossEntropyLoss()
    rank, size = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
    total, moments = 0.0, []
    for X, y in [(X.chunk(size)[rank], y.chunk(size)[rank]) for X, y in batches(n_steps)]:
        optimizer.zero_grad()
        loss = criterion(model(X), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        moments.append(time.perf_counter())
    return moments


def ddp_by_hand(model, folder, n_steps):
    """The same with PyTorch's DistributedDataParallel, as it comes."""
    distributed.init_process_group("gloo")
    return by_hand(nn.parallel.DistributedDataParallel(model), folder, n_steps)


def engine(model, folder, n_steps, **strategy):
    """Our trainer, with the best weights kept and checkpoints written."""
    from aifs_engine import BestSoFar, Callback, Checkpointing, Trainer
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD

    moments = []

    class Clock(Callback):
        def on_step_end(self, trainer):
            moments.append(time.perf_counter())

    learner = TorchLearner(model, SGD(model.parameters(), lr=RATE), nn.CrossEntropyLoss(), **strategy)
    callbacks = [Clock(), BestSoFar("train_loss"), Checkpointing(folder)]
    Trainer(learner, epochs=1, callbacks=callbacks).train(batches(n_steps))
    return moments


WAYS = {  # name: (function, processes)
    "engine": (engine, 1),
    "engine, ddp": (partial(engine, strategy="ddp"), 2),
    "by hand, ddp": (ddp_by_hand, 2),
    "by hand": (by_hand, 1),
    "engine, fsdp": (partial(engine, strategy="fsdp"), 2),
}


def new_model():
    torch.manual_seed(SEED)
    return lenet()


def is_sharded(model):
    return all(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def final_weights(model):
    """Return all weights in one row; processes that share them out ask for them together."""
    parts = [parameter.detach() for parameter in model.parameters()]
    return torch.cat([(part.full_tensor() if is_sharded(model) else part).flatten() for part in parts]).numpy()


def main():
    way, folder, n_steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    model = new_model()
    moments = WAYS[way][0](model, folder, n_steps)
    assert is_sharded(model) == way.endswith("fsdp"), f"{way} was trained in another way"
    weights = final_weights(model)
    if os.environ.get("RANK", "0") == "0":
        np.savez(folder / "result.npz", moments=moments, weights=weights)
    if distributed.is_initialized():
        if way.startswith("engine"):
            stop_processes()
        else:
            distributed.barrier()  # gloo may abort where one leaves that the other still talks to
            distributed.destroy_process_group()


if __name__ == "__main__":
    main()
