"""Weights of other programs: what is read, and that nothing in them is run."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from aifs_engine import save_checkpoint
from aifs_engine.checkpoint import Bfloat16
from aifs_engine.foreign_weights import load_foreign_weights
from aifs_utils.exceptions import CheckpointError

WEIGHTS = {"layer.weight": np.arange(6, dtype="f4").reshape(2, 3), "steps": np.array(3)}


class Bomb:
    """An object whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def torch():
    """PyTorch, where it is installed."""
    return pytest.importorskip("torch", reason="reads what PyTorch wrote")


def same(found, expected=WEIGHTS):
    """Whether two state dicts agree, types included."""
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name]) for name in found
    )


def complaint_about(path):
    """Why a file is refused, "" if it is read."""
    try:
        load_foreign_weights(path)
    except CheckpointError as error:
        return str(error)
    return ""


def test_safetensors_of_others_are_read_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    save_file(WEIGHTS, tmp_path / "x.safetensors")
    assert same(load_foreign_weights(tmp_path / "x.safetensors"))


def test_our_own_checkpoint_is_read_by_the_names_of_its_tensors(tmp_path):
    save_checkpoint(tmp_path / "x.safetensors", {"w": Bfloat16(np.array([0x3FC0], "u2"))}, {})
    assert same(load_foreign_weights(str(tmp_path / "x.safetensors")), {"w": np.array([1.5], "f4")})


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00[1, 2]  ", b"PK" + bytes(100)])
def test_what_is_no_safetensors_file_is_said_to_be_none(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged, or no safetensors file"):
        load_foreign_weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
def test_a_state_dict_is_found_where_scripts_keep_it(tmp_path, torch, wrapper, zipped):
    state = {name: torch.from_numpy(value) for name, value in WEIGHTS.items()}
    content = {wrapper: state, "epoch": 3, "optimizer": {"state": {}}} if wrapper else state
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert same(load_foreign_weights(tmp_path / "x.pth"))


def test_a_module_loads_what_was_read(tmp_path, torch):
    """Normalization, with its counter, and tied weights, which become two arrays."""
    layers = [torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3)]
    layers[2].weight = layers[0].weight
    model = torch.nn.Sequential(*layers)
    torch.save(model.state_dict(), tmp_path / "x.pt")
    found = load_foreign_weights(tmp_path / "x.pt")
    assert not np.shares_memory(found["0.weight"], found["2.weight"])
    fresh = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    fresh.load_state_dict({name: torch.from_numpy(value) for name, value in found.items()})
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in model.state_dict().items())


def test_types_that_numpy_lacks_become_float32(tmp_path, torch):
    values = torch.tensor([1.5, -2.0])
    torch.save({str(dtype): values.to(dtype) for dtype in (torch.bfloat16, torch.float8_e4m3fn)}, tmp_path / "x.pt")
    for found in load_foreign_weights(tmp_path / "x.pt").values():
        assert found.dtype == np.float32
        assert found.tolist() == [1.5, -2.0]


def test_a_tensor_that_is_no_array_is_named(tmp_path, torch):
    torch.save({"w": torch.eye(2).to_sparse()}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"'w' is no array that NumPy has"):
        load_foreign_weights(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_malicious_file_is_refused_in_one_line_and_runs_nothing(tmp_path, torch, zipped):
    content = {"state_dict": {"w": Bomb(tmp_path / "exploded")}}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"x\.pth is refused: it asks for io\.open, and any code") as caught:
        load_foreign_weights(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_whole_module_is_code_too(tmp_path, torch):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        load_foreign_weights(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_damage_is_one_line_whatever_it_hits(tmp_path, torch, zipped):
    """A file of PyTorch has no digest, so damaged numbers pass; anything else must not escape as another error."""
    path = tmp_path / "x.pth"
    torch.save({"w": torch.ones(3), "b": torch.ones(1)}, path, _use_new_zipfile_serialization=zipped)
    good = path.read_bytes()
    draw = random.Random(0)
    complaints = []
    for _ in range(200):
        damaged = bytearray(good)
        damaged[draw.randrange(min(len(good), 600))] = draw.randrange(256)
        path.write_bytes(damaged)
        complaints.append(complaint_about(path))
    assert sum(map(bool, complaints)) > 50
    assert not any("\n" in each for each in complaints)


@pytest.mark.parametrize(("content", "held"), [({"epoch": 3, "lr": 0.1}, "epoch, lr"), ({}, "nothing"), ([1], "list")])
def test_a_file_without_weights_says_what_it_holds(tmp_path, torch, content, held):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=rf"holds no weights \({held}\): save model"):
        load_foreign_weights(tmp_path / "x.pt")


def test_without_torch_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"install PyTorch: pip install 'aifs-engine\[torch\]'"):
        load_foreign_weights(tmp_path / "x.pt")


def test_a_missing_file_is_named():
    with pytest.raises(CheckpointError, match="there is no file nowhere"):
        load_foreign_weights(Path("nowhere.pt"))
