"""States of models in shards."""

import runpy
from copy import deepcopy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine.torch_state import to_arrays  # noqa: E402  # only where torch is
from aifs_utils.exceptions import CheckpointError, ConfigError  # noqa: E402

HERE = Path(__file__)
run_on = runpy.run_path(str(HERE.with_name("torch_workers.py")))["run_on"]


def check_states():
    """What one process keeps of the states of a small net, and what is refused."""
    from aifs_engine.torch_sharded_state import (
        Sharded,
        full_state,
        local_state,
        map_sharded,
        optimizer_state,
        outline,
        sharded,
        slice_model,
        slice_optimizer,
    )

    program = runpy.run_path(str(HERE.with_name("test_torch_fsdp.py")))
    net, optimizer, shards = program["sharded_net"]("our Adam")
    program["train_in_shards"](net, optimizer, shards, 1)
    state = program["state_of"](net, optimizer, shards)
    check_copies(state, shards)
    block = state["optimizer"]["state"][0]["first_moment"]
    check_refusals(program, net, optimizer, shards)
    lines = outline(state)["model"]["embedding.weight"]
    average = sharded(shards, "embedding.weight", shards.locals["embedding.weight"] * 2)
    whole = full_state({"average": average, "weight": state["model"]["embedding.weight"]})
    assert (whole["average"] == 2 * whole["weight"]).all()
    assert map_sharded({"a": [average, 1]}, lambda leaf: leaf.names) == {"a": [("embedding.weight",), 1]}
    assert isinstance(optimizer_state(optimizer, shards)["state"][0]["second_moment"], Sharded)
    assert slice_model({"unknown": 1}, net, shards) == {"unknown": 1}
    assert slice_optimizer({"state": []}, optimizer, shards) == {"state": []}
    return {
        "pieces": len(block.names),
        "whole": list(block.shape),
        "here": list(local_state(block).shape),
        "of the outline": [list(lines.shape), list(lines.strides)],
    }


def check_copies(state, shards):
    """A copy is not changed by the next update, though the state is."""
    weight = shards.locals["embedding.weight"]
    copy = deepcopy(state)["model"]["embedding.weight"]
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    assert torch.equal(copy.local(), before)
    assert torch.equal(state["model"]["embedding.weight"].local(), weight)


def check_refusals(program, net, optimizer, shards):
    """Arrays of other shapes, optimizers that need whole parameters, and those that have begun."""
    from aifs_engine.torch_fsdp import Shards
    from aifs_engine.torch_sharded_state import optimizer_state, slice_model, slice_optimizer

    weight = shards.locals["embedding.weight"]
    factors = torch.optim.Adafactor([weight])
    weight.grad = torch.ones_like(weight)
    factors.step()
    with pytest.raises(ConfigError, match="elementwise"):
        optimizer_state(factors, shards)
    with pytest.raises(ConfigError, match=r"Adafactor.*whole parameters"):
        shards.rebind(factors, {})
    with pytest.raises(CheckpointError, match=r"embedding\.weight.*another model"):
        slice_model({"embedding.weight": to_arrays(torch.zeros(3, 6))}, net, shards)
    with pytest.raises(CheckpointError, match="a block of parameters"):
        slice_optimizer({"state": [{"params": [0], "first_moment": to_arrays(torch.zeros(3))}]}, optimizer, shards)
    with pytest.raises(ConfigError, match="made updates already"):
        shards.rebind(optimizer, {})
    with pytest.raises(ValueError, match="call shard_model first"):
        Shards(program["Net"]())


def test_each_process_has_its_part_of_every_array():
    """Of a block end to end, with the parts that the processes cannot share evenly; and shapes without values."""
    first, second = run_on(2, check_states)
    n_values = sum(n for n in (11 * 6, 2 * (6 * 5 + 5 + 5 * 6 + 6), 6, 1, 11))  # all that is trained
    assert first["whole"] == second["whole"] == [n_values]
    assert first["here"][0] + second["here"][0] == n_values + 1  # the number that is not cut is in both
    assert first["here"][0] > second["here"][0]
    assert first["of the outline"] == [[11, 6], [0, 0]]
