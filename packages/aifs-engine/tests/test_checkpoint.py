import logging
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load_file

from aifs_engine import CheckpointFolder, load_checkpoint, save_checkpoint
from aifs_engine.checkpoint import check_shapes, find_checkpoints
from aifs_utils.exceptions import CheckpointError

STATE = {"learner": {"w": np.arange(6.0).reshape(2, 3), "steps": 3}, "history": [{"epoch": 1, "train_loss": 0.1}]}
HEADER = {"model": "toy", "epoch": 1, "step": 3}

arrays = npst.arrays(
    npst.floating_dtypes(sizes=(16, 32, 64), endianness="=")
    | npst.integer_dtypes(endianness="=")
    | npst.boolean_dtypes(),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
names = st.text().filter(lambda name: name != "$tensor")
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | arrays
states = st.dictionaries(
    names,
    st.recursive(leaves, lambda s: st.lists(s, max_size=3) | st.dictionaries(names, s, max_size=3), max_leaves=8),
    max_size=4,
)


def same(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
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


def test_every_single_flipped_byte_is_found(tmp_path):
    path = tmp_path / "x"
    save_checkpoint(path, STATE, HEADER)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x10]) + good[position + 1 :])
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            continue
        assert same(found.state, STATE), f"byte {position}"  # white space between the header's fields carries nothing


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
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


def test_other_peoples_safetensors_are_named_as_such(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(2)}, tmp_path / "x")
    with pytest.raises(CheckpointError, match="no aifs header"):
        load_checkpoint(tmp_path / "x")


def test_a_format_from_the_future_asks_for_an_update(tmp_path, monkeypatch):
    monkeypatch.setattr("aifs_engine.checkpoint.FORMAT_VERSION", 99)
    save_checkpoint(tmp_path / "x", STATE, HEADER)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 99, this engine reads 1"):
        load_checkpoint(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "nope")


def test_a_write_that_fails_leaves_the_old_files(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save_last(STATE, {"step": 1})
    folder.save_last(STATE, {"step": 2})
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: b"something else")
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
