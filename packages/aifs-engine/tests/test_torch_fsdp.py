"""Models in shards, against one process with the whole batch."""

import runpy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from torch import nn  # noqa: E402  # only where torch is
from torch.nn import functional as F  # noqa: E402

from aifs_engine.torch_optimizers import SGD, Adam  # noqa: E402
from aifs_engine.torch_state import to_arrays  # noqa: E402

run_on = runpy.run_path(str(Path(__file__).with_name("torch_workers.py")))["run_on"]

OPTIMIZERS = {
    "our Adam": lambda parameters: Adam(parameters, lr=1e-2, weight_decay=0.01),
    "our SGD": lambda parameters: SGD(parameters, lr=0.05, momentum=0.9),
    "torch AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
    "torch Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2),  # has a state before its first step
}


class Block(nn.Module):
    """A layer with five units, which two and four processes cannot share evenly."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 5)
        self.outer = nn.Linear(5, 6)

    def forward(self, x):
        """(n, 6) → (n, 6)."""
        return x + self.outer(torch.tanh(self.inner(x)))


class Net(nn.Module):
    """Tied weights, a frozen one, a number by itself, one row only, and blocks in a list."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.shift = nn.Parameter(torch.ones(1, 6))
        self.temperature = nn.Parameter(torch.tensor(1.5))
        self.frozen = nn.Parameter(torch.linspace(-1, 1, 6), requires_grad=False)
        self.head = nn.Linear(6, 11)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        """(n, length) → (n, 11)."""
        x = self.embedding(tokens).mean(1) * self.frozen + self.shift
        for block in self.blocks:
            x = block(x)
        return self.head(x) / self.temperature


def batches(n_batches):
    """Of twelve samples each, the same in all processes."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(11, (n_batches, 12, 4), generator=generator)
    return [(each, each.sum(1) % 11) for each in tokens]


def sharded_net(optimizer):
    """A net in shards with its optimizer, built before as a user does."""
    from aifs_engine.torch_fsdp import Shards, shard_model

    torch.manual_seed(0)
    net = Net()
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    optimizer = OPTIMIZERS[optimizer](net.parameters())
    shard_model(net, device="cpu")
    shards = Shards(net)
    shards.rebind(optimizer, names)
    return net, optimizer, shards


def train_whole(name, accumulate):
    """The state of one process that computes all samples."""
    torch.manual_seed(0)
    net = Net()
    optimizer = OPTIMIZERS[name](net.parameters())
    for number, (tokens, targets) in enumerate(batches(20 * accumulate), 1):
        (F.cross_entropy(net(tokens), targets) / accumulate).backward()
        if number % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    return {"model": to_arrays(net.state_dict()), "optimizer": to_arrays(optimizer.state_dict(), sort=True)}


def train_in_shards(net, optimizer, shards, n_updates, accumulate=1, start=0):
    """Each process computes its slice of every batch."""
    from aifs_engine.torch_fsdp import sync_gradients

    rank, size = shards.mesh.get_local_rank(), shards.mesh.size()
    mine = slice(rank * 12 // size, (rank + 1) * 12 // size)
    for number, (tokens, targets) in enumerate(batches(n_updates * accumulate)[start * accumulate :], 1):
        sync_gradients(net, number % accumulate == 0)
        (F.cross_entropy(net(tokens[mine]), targets[mine]) / accumulate).backward()
        if number % accumulate == 0:
            shards.collect_gradients()
            optimizer.step()
            optimizer.zero_grad()


def state_of(net, optimizer, shards):
    """Both states, with leaves in pieces."""
    from aifs_engine.torch_sharded_state import model_state, optimizer_state

    return {"model": model_state(net.state_dict()), "optimizer": optimizer_state(optimizer, shards)}


def largest_difference(one, other):
    """Between arrays of two nests, which have the same parts; relative, where values are above 1."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        return max([0.0, *(largest_difference(one[key], other[key]) for key in one)])
    if isinstance(one, list):
        assert len(one) == len(other)
        return max([0.0, *map(largest_difference, one, other)])
    if isinstance(one, np.ndarray):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        return float((np.abs(one - other) / np.maximum(1.0, np.abs(one))).max(initial=0.0))
    assert one == other
    return 0.0


def training_as_one():
    """By optimizer the difference from one process; memory is shared before and after; and evaluation disturbs not."""
    from aifs_engine.torch_fsdp import reshard
    from aifs_engine.torch_sharded_state import full_state

    differences = {}
    for name, accumulate in [*((name, 1) for name in OPTIMIZERS), ("our Adam", 3)]:
        net, optimizer, shards = sharded_net(name)
        with torch.inference_mode():  # the first forward of all
            net(batches(1)[0][0])
        reshard(net)
        train_in_shards(net, optimizer, shards, 20, accumulate)
        full = full_state(state_of(net, optimizer, shards))
        differences[f"{name}, {accumulate}"] = largest_difference(train_whole(name, accumulate), full)
        with torch.no_grad():
            for parameter, (key, local) in zip(net.parameters(), shards.locals.items(), strict=True):
                part = parameter if key == "temperature" else parameter.to_local()
                assert part.data_ptr() == local.data_ptr(), key
    return differences


def what_is_put_back():
    """Weights that are changed or loaded between two passes are those that the next one takes."""
    from aifs_engine.torch_fsdp import FSDPModule, reshard
    from aifs_engine.torch_sharded_state import model_state, module_tensors, slice_model

    net, _, shards = sharded_net("our Adam")
    tokens = batches(1)[0][0]
    whole = to_arrays(Net().state_dict())
    with torch.no_grad():
        net(tokens)
        reshard(net)
        for local in shards.locals.values():
            local.zero_()
        assert net(tokens).isnan().all()  # 0 / 0: temperature
        net.load_state_dict(module_tensors(slice_model(whole, net, shards)))
        one = Net()
        one.load_state_dict({name: torch.tensor(array) for name, array in whole.items()})
        assert torch.equal(net(tokens), one(tokens))
    state = model_state(net.state_dict())
    assert [name for name, module in net.named_modules() if isinstance(module, FSDPModule)] == [
        "",
        "blocks.0",
        "blocks.1",
    ]
    return [list(state["shift"].local().shape), list(state["shift"].shape), float(state["temperature"])]


def blocks_by_rule():
    """Which modules are sharded by themselves, for each rule."""
    from aifs_engine.torch_fsdp import FSDPModule, shard_model

    named, plain, tied, repeated = Net(), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), Net(), Net()
    named.shard_units = (nn.Linear,)
    tied.blocks[1].outer.weight = tied.blocks[0].outer.weight
    repeated.blocks[1] = repeated.blocks[0]
    found = []
    for net in (named, plain, tied, repeated):
        shard_model(net, device="cpu")
        found.append([name for name, module in net.named_modules() if isinstance(module, FSDPModule)])
    repeated(batches(1)[0][0]).sum().backward()
    return found


def bfloat16():
    """Gradients and weights in float32, of computations in bfloat16."""
    from aifs_engine.torch_fsdp import Shards, shard_model

    torch.manual_seed(0)
    net = Net()
    shard_model(net, device="cpu", precision="bf16")
    shards = Shards(net)
    tokens, targets = batches(1)[0]
    with torch.autocast("cpu", torch.bfloat16):
        F.cross_entropy(net(tokens), targets).backward()
    shards.collect_gradients()
    return {name: [str(local.dtype), str(getattr(local.grad, "dtype", None))] for name, local in shards.locals.items()}


def everything():
    """All of this on two processes, which are started once."""
    return {check.__name__: check() for check in (training_as_one, what_is_put_back, blocks_by_rule, bfloat16)}


@pytest.fixture(scope="module")
def two():
    """By its name what each check found on each of two processes."""
    found = run_on(2, everything)
    return {name: [each[name] for each in found] for name in found[0]}


def test_two_processes_that_share_a_batch_end_with_the_weights_and_moments_of_one(two):
    """After 20 updates, to 1e-6, with torch's optimizers and ours, with a window of accumulation and without."""
    for differences in two["training_as_one"]:
        assert len(differences) == len(OPTIMIZERS) + 1
        assert max(differences.values()) < 1e-6, differences


def test_so_do_four():
    """Of which three have none of a parameter with one row."""
    for differences in run_on(4, training_as_one):
        assert max(differences.values()) < 1e-6, differences


def test_weights_that_are_loaded_or_changed_are_those_of_the_next_forward(two):
    """Also where the last forward had no backward, which leaves the weights together."""
    shapes = two["what_is_put_back"]
    assert [local for local, _, _ in shapes] == [[1, 6], [0, 6]]
    assert {tuple(whole) for _, whole, _ in shapes} == {(1, 6)}


def test_a_model_may_name_its_blocks_and_tied_ones_stay_together(two):
    """By classes, else the elements of ModuleLists, else children; never one whose weights another part uses."""
    named, plain, tied, repeated = two["blocks_by_rule"][0]
    assert named == ["", "blocks.0.inner", "blocks.0.outer", "blocks.1.inner", "blocks.1.outer"]
    assert plain == ["", "0", "2"]
    assert tied == [""]
    assert repeated == ["", "blocks.0"]


def test_in_bfloat16_weights_and_their_gradients_stay_in_float32(two):
    """Also that of the number that was not cut, and of no frozen one."""
    for dtypes in two["bfloat16"]:
        assert {before for before, _ in dtypes.values()} == {"torch.float32"}
        assert {name for name, (_, after) in dtypes.items() if after == "None"} == {"frozen"}
        assert {after for _, after in dtypes.values()} == {"torch.float32", "None"}
