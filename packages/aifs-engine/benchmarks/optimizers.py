"""What one update costs: our optimizers beside `torch.optim`'s three ways, in one interleaved run.

python benchmarks/optimizers.py [repetitions]
"""

import sys
from functools import partial

import torch
from _timing import calls, interleaved
from torch import nn

from aifs_engine import torch_optimizers as ours

NETWORKS = {(2, 16, 1): 2000, (784, 128, 10): 200}  # sizes of the layers: steps in one timing
OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 1e-6}),
    "SGD, momentum": ("SGD", {"lr": 1e-6, "momentum": 0.9}),
    "SGD, Nesterov, decay": ("SGD", {"lr": 1e-6, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}),
    "Adam": ("Adam", {"lr": 1e-6}),
    "AdamW": ("AdamW", {"lr": 1e-6}),
}
WAYS = {
    "ours": {},
    "torch, one by one": {"foreach": False},
    "torch, foreach": {"foreach": True},
    "torch, fused": {"fused": True},
}


def make_step(sizes, way, name, options, gathered=False):
    """One update with the gradients at hand, as it follows a backward pass."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
    params = list(model.parameters())
    gradients = [torch.randn_like(param) for param in params]
    module = ours if way == "ours" else torch.optim
    optimizer = getattr(module, name)(params, **options, **WAYS[way])

    def step():
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient
        if gathered:
            optimizer.gradients()
        optimizer.step()
        optimizer.zero_grad()

    step()
    return step


def repeat(step, n_steps):
    for _ in range(n_steps):
        step()


def main():
    torch.set_num_threads(1)
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"step and zero_grad, PyTorch {torch.__version__}, one thread: µs (calls), medians of {repetitions}")
    columns = ["ours", "ours, gathered", *list(WAYS)[1:]]
    for sizes, n_steps in NETWORKS.items():
        print(f"\n{'-'.join(map(str, sizes)):<22}" + "".join(f"{way:>20}" for way in columns))
        for label, (name, options) in OPTIMIZERS.items():
            make = partial(make_step, sizes, name=name, options=options)
            steps = {"ours": make("ours"), "ours, gathered": make("ours", gathered=True)}
            steps |= {way: make(way) for way in columns[2:]}
            runs = {way: partial(repeat, step, n_steps) for way, step in steps.items()}
            medians = {way: value / n_steps * 1e6 for way, value in interleaved(runs, repetitions).items()}
            print(f"{label:<22}" + "".join(f"{medians[way]:>13.1f} ({calls(steps[way]):>4})" for way in columns))


if __name__ == "__main__":
    main()
