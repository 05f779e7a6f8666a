import copy
import json
import logging
import math
import os
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load_file, save_file

from aifs_engine import CheckpointFolder, load_checkpoint, save_checkpoint
from aifs_engine.checkpoint import Bfloat16, check_shapes, find_checkpoints
from aifs_utils.exceptions import CheckpointError

STATE = {"learner": {"w": np.arange(6.0).reshape(2, 3), "steps": 3}, "history": [{"epoch": 1, "train_loss": 0.1}]}
HEADER = {"model": "toy", "epoch": 1, "step": 3}

arrays = npst.arrays(
    npst.floating_dtypes(sizes=(16, 32, 64), endianness="=")
    | npst.integer_dtypes(endianness="=")
    | npst.boolean_dtypes(),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
names = (st.text() | st.just("__metadata__")).filter(lambda name: name != "$tensor")
bfloat16s = npst.arrays("uint16", npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)).map(Bfloat16)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | arrays | bfloat16s
states = st.dictionaries(
    names,
    st.recursive(leaves, lambda s: st.lists(s, max_size=3) | st.dictionaries(names, s, max_size=3), max_leaves=8),
    max_size=4,
)


def same(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Bfloat16):
        return isinstance(b, Bfloat16) and same(a.bits, b.bits)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])  # nested states take long to draw
@given(states)
def test_any_state_comes_back_to_the_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("checkpoint") / "x.safetensors"
    save_checkpoint(path, state, HEADER)
    assert same(load_checkpoint(path).state, state)


def test_the_header_comes_back(tmp_path):
    save_checkpoint(tmp_path / "x.safetensors", STATE, HEADER)
    header = load_checkpoint(tmp_path / "x.safetensors").header
    assert {key: header[key] for key in HEADER} == HEADER


def test_weights_are_read_by_safetensors_alone(tmp_path):
    save_checkpoint(tmp_path / "x.safetensors", STATE, HEADER)
    assert np.array_equal(load_file(tmp_path / "x.safetensors")["learner.w"], STATE["learner"]["w"])


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
def test_the_library_reads_every_type_and_shape(tmp_path, dtype):
    """The format is written here, so its own library is the judge."""
    state = {
        "wide": np.arange(12).reshape(3, 4).astype(dtype),
        "empty": np.zeros((0, 3), dtype),
        "number": np.ones((), dtype),
        "turned": np.arange(12).reshape(3, 4).astype(dtype).T,
        "odd": np.arange(5, dtype="u1"),
    }
    save_checkpoint(tmp_path / "x.safetensors", state, HEADER)
    assert same(load_file(tmp_path / "x.safetensors"), state)


def test_the_library_reads_bfloat16_as_bfloat16(tmp_path):
    torch = pytest.importorskip("torch", reason="NumPy has no bfloat16")
    from safetensors.torch import load_file as load_tensors

    weights = torch.tensor([[1.5, -2.0], [math.pi, math.inf]], dtype=torch.bfloat16)
    save_checkpoint(tmp_path / "x", {"w": Bfloat16(weights.view(torch.uint16).numpy())}, HEADER)
    found = load_tensors(tmp_path / "x")["w"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, weights)
    assert np.array_equal(load_checkpoint(tmp_path / "x").state["w"].to_float32(), weights.float().numpy())


def test_bfloat16_wants_bits_and_is_copied_with_its_state():
    bits = Bfloat16(np.array([[0x3F80, 0xC000]], dtype="u2"))
    assert same(bits.to_float32(), np.array([[1.0, -2.0]], "f4"))
    assert same(Bfloat16(np.array(0x3F80, "u2")).to_float32(), np.array(1.0, "f4"))
    twin = copy.deepcopy({"w": bits})["w"]
    twin.bits[:] = 0
    assert bits.bits[0, 0] == 0x3F80
    for wrong, name in ((np.zeros(2, "f4"), "float32"), ([1, 2], "list")):
        with pytest.raises(TypeError, match=f"are an array of uint16, got {name}"):
            Bfloat16(wrong)


def test_equal_states_make_equal_files(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, STATE, HEADER)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_that_meet_when_joined_stay_apart(tmp_path):
    state = {"a.b": np.zeros(1), "a": {"b": np.ones(1)}}
    save_checkpoint(tmp_path / "x", state, {})
    assert same(load_checkpoint(tmp_path / "x").state, state)


def test_numbers_of_the_other_byte_order_come_back_in_ours(tmp_path):
    save_checkpoint(str(tmp_path / "x"), {"w": np.arange(3.0).astype(">f8")}, {})
    found = load_checkpoint(str(tmp_path / "x")).state["w"]
    assert found.tolist() == [0.0, 1.0, 2.0]
    assert found.dtype.isnative


@pytest.mark.parametrize(
    "bad",
    [{"x": np.longdouble(1)}, {"x": object()}, {"x": np.array(["a"])}, {"x": {1: 2}}, {"x": {"$tensor": 0}}, {"x": 1j}],
)
def test_what_a_checkpoint_cannot_hold_is_refused_by_name(tmp_path, bad):
    with pytest.raises(CheckpointError, match="the state's 'x'"):
        save_checkpoint(tmp_path / "x", bad, {})
    assert list(tmp_path.iterdir()) == []


def flip(path, bit):
    """Turn one bit of a file over."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def test_every_single_flipped_bit_is_found(tmp_path):
    """White space included."""
    path = tmp_path / "x"
    save_checkpoint(path, STATE, HEADER)
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
        flip(path, bit)
    assert same(load_checkpoint(path).state, STATE)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(states, st.data())
def test_a_flipped_bit_of_any_state_is_found(tmp_path_factory, state, data):
    path = tmp_path_factory.mktemp("checkpoint") / "x"
    save_checkpoint(path, state, HEADER)
    flip(path, data.draw(st.integers(0, 8 * path.stat().st_size - 1)))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_a_flipped_bit_of_a_large_file_is_found(tmp_path):
    """One that is hashed in many pieces, and mapped."""
    path = tmp_path / "x"
    save_checkpoint(path, {"w": np.zeros(600_000)}, HEADER)
    for byte in (200_000, 3_000_000, path.stat().st_size - 1):
        flip(path, 8 * byte)
        with pytest.raises(CheckpointError, match="does not match its digest"):
            load_checkpoint(path)
        flip(path, 8 * byte)
    load_checkpoint(path)


def header_of(path):
    """The header's JSON and the data of a file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), content[start:]


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 48]},
        {"dtype": "F64", "shape": [6], "data_offsets": [8, 48]},
        {"dtype": "F64", "shape": [-1], "data_offsets": [0, 48]},
        {"dtype": "F64", "shape": [2**60], "data_offsets": [0, 2**63]},
        {"dtype": "F64", "shape": [6.0], "data_offsets": [0, 48.0]},
        {"dtype": "F64", "shape": [5], "data_offsets": [0, 40]},
        {"dtype": "F4", "shape": [6], "data_offsets": [0, 48]},
        {"dtype": "F64"},
        [],
        None,
    ],
)
def test_a_header_that_does_not_fit_its_data_is_damage(tmp_path, entry):
    """A file made so on purpose has no wrong digest to be found by."""
    save_checkpoint(tmp_path / "x", STATE, HEADER)
    header, data = header_of(tmp_path / "x")
    text = json.dumps(header | {"learner.w": entry}).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("size", [10, 1_000_000], ids=["copied", "mapped"])
def test_what_was_read_is_independent_of_the_file(tmp_path, size):
    """Writing to an array leaves the file as it is; replacing the file, or deleting it, the array."""
    path = tmp_path / "x"
    save_checkpoint(path, {"w": np.arange(size)}, HEADER)
    first, second = (load_checkpoint(path).state["w"] for _ in range(2))
    first += 1
    assert second[0] == 0
    assert load_checkpoint(path).state["w"][0] == 0
    save_checkpoint(path, {"w": np.zeros(size)}, HEADER)
    assert np.array_equal(second, np.arange(size))
    path.unlink()
    assert np.array_equal(first, np.arange(size) + 1)
    assert first.flags.aligned


def test_a_small_file_may_even_be_overwritten(tmp_path):
    path = tmp_path / "x"
    save_checkpoint(path, STATE, HEADER)
    found = load_checkpoint(path).state
    path.write_bytes(b"")
    assert same(found, STATE)


def traced_peak(run):
    """Bytes that a call asked for at once, NumPy's included."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_write_makes_no_second_copy_of_the_state(tmp_path):
    state = {f"w{index}": np.ones(250_000) for index in range(5)}
    assert traced_peak(lambda: save_checkpoint(tmp_path / "x", state, {})) < 1_000_000


@pytest.mark.parametrize(("mapped_from", "bound"), [(0, 1_000_000), (10**9, 11_000_000)], ids=["mapped", "copied"])
def test_a_read_makes_one_copy_at_most(tmp_path, monkeypatch, mapped_from, bound):
    monkeypatch.setattr("aifs_engine._tensor_file._MAPPED_FROM", mapped_from)
    save_checkpoint(tmp_path / "x", {f"w{index}": np.ones(250_000) for index in range(5)}, {})
    assert traced_peak(lambda: load_checkpoint(tmp_path / "x")) < bound


def test_a_truncated_file_is_damaged(tmp_path):
    path = tmp_path / "x"
    save_checkpoint(path, STATE, HEADER)
    good = path.read_bytes()
    for length in (0, 1, 8, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
            load_checkpoint(path)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"not a safetensors file .* read by .*load_foreign_weights"):
        load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


def test_other_peoples_safetensors_are_named_as_such(tmp_path):
    save_file({"w": np.zeros(2)}, tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"no aifs header.*load_foreign_weights"):
        load_checkpoint(tmp_path / "x")


def test_another_format_asks_for_its_engine(tmp_path, monkeypatch):
    monkeypatch.setattr("aifs_engine.checkpoint.FORMAT_VERSION", 99)
    save_checkpoint(tmp_path / "x", STATE, HEADER)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 99, this engine reads 2"):
        load_checkpoint(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "nope")


def test_a_write_that_fails_leaves_the_old_files(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save_last(STATE, {"step": 1})
    folder.save_last(STATE, {"step": 2})

    def lose_a_byte(descriptor, fsync=os.fsync):
        os.lseek(descriptor, -1, os.SEEK_END)
        os.write(descriptor, b"!")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", lose_a_byte)
    with pytest.raises(CheckpointError, match="what was read back"):
        folder.save_last(STATE, {"step": 3})
    monkeypatch.undo()
    assert [load_checkpoint(path).header["step"] for path in (folder.last, folder.previous)] == [2, 1]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_one_before_stands_in_for_a_damaged_newest(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path)
    folder.save_last(STATE, {"step": 1})
    folder.save_last(STATE, {"step": 2})
    folder.last.write_bytes(folder.last.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        assert folder.newest().header["step"] == 1
    assert "last.safetensors is damaged" in caplog.text
    assert "previous.safetensors (step 1)" in caplog.text


def test_a_damaged_newest_never_takes_the_place_of_the_good_one_before_it(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save_last(STATE, {"step": 1})
    folder.save_last(STATE, {"step": 2})
    folder.last.write_bytes(b"damaged")
    folder.newest()
    folder.save_last(STATE, {"step": 3})
    assert [load_checkpoint(path).header["step"] for path in (folder.last, folder.previous)] == [3, 1]
    assert (tmp_path / "last.damaged").read_bytes() == b"damaged"


def test_a_crash_between_the_two_renames_loses_nothing(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save_last(STATE, {"step": 1})
    folder.last.rename(folder.previous)
    assert folder.newest().header["step"] == 1


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert CheckpointFolder(tmp_path / "nothing").newest() is None
    assert find_checkpoints(tmp_path / "nothing") == []


def test_shapes_are_compared_by_name(tmp_path):
    check_shapes({"w": np.zeros(3), "steps": 1}, {"w": np.ones(3), "steps": 9}, tmp_path)
    with pytest.raises(
        CheckpointError, match="from another model or variant: it holds w, pocket, this experiment needs w"
    ):
        check_shapes({"w": np.zeros(3)}, {"w": np.ones(3), "pocket": np.ones(3)}, tmp_path)
    with pytest.raises(CheckpointError, match=r"'w' has the shape \(4,\), this experiment needs \(3,\)"):
        check_shapes({"w": np.zeros(3)}, {"w": np.ones(4)}, tmp_path)
    with pytest.raises(CheckpointError, match=r"has no 'layers\.0'"):
        check_shapes({"layers": [np.zeros(3)]}, {"layers": []}, tmp_path)
