"""Checkpoints in shards: saved by some processes, loaded by others, put together by one."""

import runpy
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.checkpoint import Bfloat16, load_checkpoint, save_checkpoint  # noqa: E402  # only where torch is
from aifs_engine.torch_state import to_arrays, to_tensors  # noqa: E402
from aifs_utils.exceptions import CheckpointError  # noqa: E402

HERE = Path(__file__)
run_on = runpy.run_path(str(HERE.with_name("torch_workers.py")))["run_on"]

HEADER = {"model": "net", "step": 3}
SIZES = (1, 2, 4)
KINDS = ("our Adam", "torch AdamW")


def training():
    """The net, the loop and the comparison of the tests of shards."""
    return runpy.run_path(str(HERE.with_name("test_torch_fsdp.py")))


def state_to_save(program, net, optimizer, shards):
    """A learner's, with an array in bfloat16, and what only a header's JSON can hold."""
    from torch.distributed.tensor import Shard, distribute_tensor

    from aifs_engine.torch_sharded_state import Sharded

    half = distribute_tensor(torch.arange(5.0).bfloat16() / 3, shards.mesh, [Shard(0)], src_data_rank=None)
    state = program["state_of"](net, optimizer, shards)
    return {"learner": state, "half": Sharded(("half",), [half]), "random": np.arange(3), "epoch": [1, None, "a"]}


def same(one, other):
    """Whether two nests are equal to the bit."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Bfloat16):
        return same(one.bits, other.bits)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


def save(folder):
    """Train and save with each optimizer; put together, it is what the processes hold."""
    from aifs_engine.torch_sharded_checkpoint import consolidate, is_whole, save_sharded
    from aifs_engine.torch_sharded_state import full_state

    program = training()
    for kind in KINDS:
        net, optimizer, shards = program["sharded_net"](kind)
        program["train_in_shards"](net, optimizer, shards, 3)
        state = state_to_save(program, net, optimizer, shards)
        save_sharded(Path(folder, kind), state, HEADER)
        kept = deepcopy(state)
        full = deepcopy(full_state(state))  # one process has the whole in its own memory
        found = consolidate(Path(folder, kind))
        assert same(found.state, full)
        assert found.header.items() >= HEADER.items()
        assert is_whole(Path(folder, kind))
        program["train_in_shards"](net, optimizer, shards, 1)
        assert same(full_state(kept), full)  # a copy stays, while the state goes on
        assert not same(full_state(state)["learner"]["model"], full["learner"]["model"])


def load(folders):
    """By origin and optimizer, how far three more updates end from one process that has made all six."""
    from aifs_engine.torch_sharded_checkpoint import load_sharded
    from aifs_engine.torch_sharded_state import full_state, outline

    program = training()
    differences = {}
    for folder, kind in [(folder, kind) for folder in folders for kind in KINDS]:
        net, optimizer, shards = program["sharded_net"](kind)
        fresh = outline(program["state_of"](net, optimizer, shards))["model"]
        state, header = load_sharded(Path(folder, kind), shards.mesh)
        assert header.items() >= HEADER.items()
        whole = full_state(state)
        assert {name: array.shape for name, array in fresh.items()} == {
            name: array.shape for name, array in whole["learner"]["model"].items()
        }
        check_slices(whole["learner"], state["learner"], net, optimizer, shards)
        take_over(state["learner"], net, optimizer)
        assert same(full_state(program["state_of"](net, optimizer, shards)), whole["learner"])
        program["train_in_shards"](net, optimizer, shards, 6, start=3)
        found = full_state(program["state_of"](net, optimizer, shards))
        expected = train_whole(program, kind)
        differences[f"{Path(folder).name}, {kind}"] = program["largest_difference"](expected, found)
    return differences


def check_slices(whole, state, net, optimizer, shards):
    """Of whole arrays each process takes what it has been given of the shards."""
    from aifs_engine.torch_sharded_state import local_state, slice_model, slice_optimizer

    assert same(local_state(slice_model(whole["model"], net, shards)), local_state(state["model"]))
    mine = slice_optimizer(whole["optimizer"], optimizer, shards)
    assert same(local_state(mine), local_state(state["optimizer"]))


def take_over(state, net, optimizer):
    """Load a state in pieces, as a learner does."""
    from aifs_engine.torch_sharded_state import local_state, module_tensors

    net.load_state_dict(module_tensors(state["model"]))
    saved = to_tensors(local_state(state["optimizer"]), optimizer.state_dict())
    if isinstance(saved["state"], dict):
        saved["state"] = {int(number): entry for number, entry in saved["state"].items()}
    optimizer.load_state_dict(saved)


def train_whole(program, kind):
    """Six updates by one process that computes all samples."""
    torch.manual_seed(0)
    net = program["Net"]()
    optimizer = program["OPTIMIZERS"][kind](net.parameters())
    for tokens, targets in program["batches"](6):
        optimizer.zero_grad()
        program["F"].cross_entropy(net(tokens), targets).backward()
        optimizer.step()
    return {"model": to_arrays(net.state_dict()), "optimizer": to_arrays(optimizer.state_dict(), sort=True)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder in which 1, 2 and 4 processes have saved."""
    folder = tmp_path_factory.mktemp("saved")
    for n in SIZES:
        run_on(n, save, folder / str(n))
    return folder


@pytest.mark.parametrize("n", SIZES)
def test_what_some_processes_have_saved_any_number_goes_on_with(saved, n):
    """1, 2 and 4 of each, optimizers and all; also from whole arrays, of which each takes its parts."""
    for differences in run_on(n, load, [saved / str(size) for size in SIZES]):
        assert len(differences) == len(SIZES) * len(KINDS)
        assert max(differences.values()) < 1e-6, differences


def test_one_process_puts_together_what_numpy_alone_can_read(saved, tmp_path):
    """Without a process group; the file is an ordinary checkpoint."""
    from aifs_engine.torch_sharded_checkpoint import consolidate, read_sharded_header

    whole = consolidate(saved / "2" / "our Adam")
    save_checkpoint(tmp_path / "last.safetensors", whole.state, HEADER)
    found = load_checkpoint(tmp_path / "last.safetensors")
    assert same(found.state, whole.state)
    assert found.state["learner"]["model"]["embedding.weight"].shape == (11, 6)
    assert found.state["half"].to_float32().tolist() == (torch.arange(5.0).bfloat16() / 3).tolist()
    assert read_sharded_header(saved / "2" / "our Adam")["model"] == "net"


def flip(path, place=-5):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [-5, 70])  # among the values, and in the header
def test_a_flipped_bit_in_a_shard_is_noticed(saved, tmp_path, place):
    """By the digest that the head has of it; the message names the file."""
    from aifs_engine.torch_sharded_checkpoint import consolidate, is_whole

    folder = shutil.copytree(saved / "2" / "our Adam", tmp_path / "copy")
    shard = max(folder.glob("shards-*/*.safetensors"))
    flip(shard, place)
    assert not is_whole(folder)
    with pytest.raises(CheckpointError, match=shard.name):
        consolidate(folder)


def test_a_shard_that_is_missing_is_noticed(saved, tmp_path):
    """Where a file system is not shared, for example."""
    from aifs_engine.torch_sharded_checkpoint import consolidate

    folder = shutil.copytree(saved / "2" / "our Adam", tmp_path / "copy")
    min(folder.glob("shards-*/*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        consolidate(folder)


def test_a_checkpoint_of_one_process_is_told_from_a_head(tmp_path):
    """Whoever gives the wrong file learns which function reads it."""
    from aifs_engine.torch_sharded_checkpoint import HEAD, read_sharded_header

    save_checkpoint(tmp_path / HEAD, {"w": np.zeros(2)}, {})
    with pytest.raises(CheckpointError, match="load_checkpoint"):
        read_sharded_header(tmp_path)


def saves_that_fail(folder):
    """A save that is cut off leaves the one before, and a damaged one gives way to it; all processes see the same."""
    from aifs_engine import torch_sharded_checkpoint as module

    program = training()
    net, optimizer, shards = program["sharded_net"]("our SGD")
    rank, group = shards.mesh.get_local_rank(), torch.distributed.group.WORLD

    def write(step):
        module.save_sharded(folder, program["state_of"](net, optimizer, shards), {"step": step}, group=group)

    def steps():
        return [module.read_sharded_header(folder, name=name)["step"] for name in (module.HEAD, module.PREVIOUS)]

    assert module.load_newest(folder, shards.mesh) is None
    for step in (1, 2, 3):
        write(step)
    found = [steps()]
    patch = pytest.MonkeyPatch()
    with patch.context() as context:  # the first process fails at the last moment
        context.setattr(module, "save_checkpoint", failing)
        with pytest.raises(OSError, match="no space"):
            write(4)
    with patch.context() as context:  # another one while it writes its shards
        if rank == 1:
            context.setattr(module.ShardWriter, "write_data", failing)
        with pytest.raises(CheckpointError, match=r"rank 1.*no space"):
            write(4)
    found += [steps(), len(list(Path(folder).glob("shards-*")))]
    torch.distributed.barrier()
    if rank == 0:
        flip(max(Path(folder).glob(f"{module._head(folder, module.HEAD)[1].name}/*")))
    torch.distributed.barrier()
    _, header = module.load_newest(folder, shards.mesh)
    found.append(header["step"])
    write(5)
    return [*found, steps(), len(list(Path(folder).glob("shards-*")))]


def failing(*_arguments, **_options):
    """In the place of what writes."""
    raise OSError("no space")


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path):
    """What it has left behind goes with the next one; a damaged newest one gives way to the one before, once."""
    for found in run_on(2, saves_that_fail, tmp_path / "run"):
        # Two checkpoints and what the second failure left; then the one before the damaged one, and two again.
        assert found == [[3, 2], [3, 2], 3, 2, [5, 2], 2]
    assert [path.name for path in (tmp_path / "run").glob("*.damaged")] == ["checkpoint.head.damaged"]
