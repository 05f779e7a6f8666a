"""Pickles are read, and nothing that they say is done."""

import contextlib
import functools
import os
import pickle
import pickletools
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifs_data.python2_pickles import read_pickle
from aifs_utils import DataError

DATA = os.environ.get("AIFS_TEST_DATA")
real_files = pytest.mark.skipif(not DATA, reason="needs the real files: set AIFS_TEST_DATA to their folder")
SMALL_REAL_FILES = ("planetoid/ind.cora.x", "planetoid/ind.cora.y", "planetoid/ind.cora.graph", "cifar-10/batches.meta")

U1 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
I4 = b"cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
NEW_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"


def array(shape: bytes, data: bytes, dtype: bytes = U1, order: bytes = b"\x89") -> bytes:
    """Return the instructions that Python 2 wrote for a small array."""
    return NEW_ARRAY + b"(K\x01" + shape + dtype + order + b"U" + bytes([len(data)]) + data + b"tb"


@pytest.fixture
def read(tmp_path):
    """A function that reads these instructions, with the frame of a pickle around them."""

    def read_instructions(instructions: bytes):
        (tmp_path / "made-up").write_bytes(b"\x80\x02" + instructions + b".")
        return read_pickle(tmp_path / "made-up")

    return read_instructions


# --- what it reads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instructions", "value"),
    [
        (b"N", None),
        (b"\x88", True),
        (b"K\xff", 255),
        (b"M\x01\x02", 513),
        (b"J\xfe\xff\xff\xff", -2),
        (b"U\x03abc", b"abc"),
        (b"T\x03\x00\x00\x00abc", b"abc"),
        (b"](K\x01K\x02e", [1, 2]),
        (b"]K\x01a", [1]),
        (b"(K\x01K\x02K\x03K\x04t", (1, 2, 3, 4)),
        (b"}(U\x03keyK\x01K\x07U\x01xu", {"key": 1, 7: b"x"}),
        (b"]q\x00(K\x01h\x00e", "a list in itself"),
        (b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x05]K\x06as", {5: [6]}),
    ],
)
def test_plain_data_is_what_it_was(read, instructions, value):
    """Keys come as text, other byte strings as bytes."""
    result = read(instructions)
    if value == "a list in itself":
        assert result[1] is result
    else:
        assert result == value
        assert type(result) is type(value)


@pytest.mark.parametrize("value", [[1, [2, (3, None)], {4: True}], list(range(3000)), {k: [k] for k in range(300)}])
def test_it_agrees_with_the_pickle_of_python(tmp_path, value):
    """On what both can read."""
    (tmp_path / "numbers").write_bytes(pickle.dumps(value, protocol=2))
    assert read_pickle(tmp_path / "numbers") == value


def test_an_array_has_its_type_shape_and_order(read):
    """Row by row, or column by column."""
    six = bytes(range(6))
    np.testing.assert_array_equal(read(array(b"K\x02K\x03\x86", six)), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read(array(b"K\x02K\x03\x86", six, order=b"\x88")), [[0, 2, 4], [1, 3, 5]])
    number = read(array(b"K\x01\x85", b"\x01\x02\x00\x00", dtype=I4))
    assert (number.dtype, number.tolist()) == (np.dtype("<i4"), [513])
    assert read(array(b"K\x00\x85", b"")).shape == (0,)


def test_a_type_that_is_used_again_is_found_again(read):
    """By the number that it was given before it was described to its end."""
    remembered = U1.replace(b"\x87R", b"\x87Rq\x05")
    first, second = read(
        array(b"K\x01\x85", b"a", dtype=remembered) + array(b"K\x01\x85", b"b", dtype=b"h\x05") + b"\x86"
    )
    assert first.dtype == second.dtype == np.uint8


@real_files
@pytest.mark.parametrize("name", ["cora", "citeseer"])
@pytest.mark.parametrize("suffix", ["x", "y", "tx", "ty", "allx", "ally", "graph"])
@pytest.mark.filterwarnings("ignore")
def test_a_real_file_holds_what_python_reads_in_it(name, suffix):
    """An unpickler that trusts these files gives the same."""
    path = Path(DATA, f"planetoid/ind.{name}.{suffix}")
    mine = read_pickle(path)
    with path.open("rb") as file:
        other = pickle.load(file, encoding="latin1")  # noqa: S301
    if suffix == "graph":
        assert mine == other
    else:
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        mine, other = (matrix if suffix.endswith("y") else matrix.toarray() for matrix in (mine, other))
        np.testing.assert_array_equal(mine, other)


PEAK = """
import re, sys
from pathlib import Path
from aifs_data.python2_pickles import read_pickle
def peak():  # of this program: getrusage also counts what its parent had in use
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
content = read_pickle(Path(sys.argv[1]))
print(peak() - before, content["data"].nbytes)
"""


@real_files
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_batch_costs_its_bytes_once():
    """The array lies in the bytes that were read, 31 MB."""
    command = [sys.executable, "-c", PEAK, Path(DATA, "cifar-10/data_batch_1")]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    grown, n_bytes = map(int, out.split())
    assert n_bytes == 10_000 * 3072
    assert n_bytes / 2 < grown < 1.2 * n_bytes


# --- what it refuses --------------------------------------------------------------------------------------------------


class Call:
    """An object whose pickle says: call this."""

    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


MARKED = "import pathlib; pathlib.Path('ran').touch()"
CALLS = {
    "os.system": Call(os.system, "touch ran"),
    "eval": Call(eval, f"exec({MARKED!r})"),
    "exec": Call(exec, MARKED),
    "getattr": Call(getattr, os, "system"),
    "subprocess": Call(subprocess.check_call, ["touch", "ran"]),
    "a partial": Call(functools.partial, os.system, "touch ran"),
    "numpy's reader of files": Call(np.load, "ran"),
    "numpy's types": Call(np.dtype, "O"),
    "numpy's memory": Call(np.memmap, "ran", "uint8", "w+", 0, (1,)),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", CALLS)
def test_a_file_that_wants_something_done_is_refused(tmp_path, monkeypatch, call, protocol):
    """And it is not done."""
    monkeypatch.chdir(tmp_path)
    if call == "getattr":
        CALLS[call].what = (getattr, (Call(__import__, "os"), "system"))
    Path("planted").write_bytes(pickle.dumps(CALLS[call], protocol=protocol))
    with pytest.raises(DataError, match="planted is damaged or no pickle of plain data"):
        read_pickle(Path("planted"))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("instructions", "reason"),
    [
        (b"cos\nsystem\nU\x02ls\x85R", r"it wants os\.system"),
        (b"cnumpy\ncore.multiarray._reconstruct\n", "it wants numpy.core"),
        (b"cnumpy\nload\n", "numpy.load"),
        (b"c__builtin__\neval\n", "eval"),
        (b"cnumpy.core.multiarray _reconstruct\n\n", "it wants"),
        (b"\x8c\x02os\x8c\x06system\x93", "instruction"),  # STACK_GLOBAL
        (b"ios\nsystem\n", "instruction"),  # INST
        (b"(cnumpy\nndarray\no", "instruction"),  # OBJ
        (b"Pname\n", "instruction"),  # PERSID
        (b"U\x01xQ", "instruction"),  # BINPERSID
        (b"\x82\x01", "instruction"),  # EXT1
        (b"cnumpy\nndarray\n", "not described to its end"),
        (b"cnumpy\nndarray\n(K\x05t}b", "not known"),
        (b"cnumpy\nndarray\nK\xff\x85R", "not described to its end"),
        (b"]cnumpy\ndtype\na", "not described to its end"),
        (b"c__builtin__\nlist\n]\x85R", "not described to its end"),
        (b"}N}U\x01x]s}b", "not known"),
        (U1.replace(b"u1", b"O8"), "not known"),  # numbers that would be taken for addresses of objects
        (U1.replace(b"u1", b"V8"), "not known"),
        (U1.replace(b"K\x00tb", b"K\x3ftb"), "not known"),  # flags
        (array(b"K\x07\x85", b"six"), "not as many"),
        (array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", b"x"), "damaged"),
        (array(b"U\x01xJ\xff\xff\xff\x7f\x86", b"x"), "not as many"),
        (array(b"J\x00\x00\x00\x7fJ\x00\x00\x00\x7f\x86", b"x"), "not as many"),
        (b"T\xff\xff\xff\x7fabc", "cut short"),
        (b"T\xff\xff\xff\xffabc", "cut short"),
        (b"K\x01r\xff\xff\xff\x7fh\x07", "damaged"),
        (b"}](K\x01su", "damaged"),
        (b"K\x01K\x02a", "no list"),
        (b"K\x01K\x02K\x03s", "no dict"),
        (b"}]K\x01s", "key"),
        (b"}N" + b"\x85" * 100_000 + b"K\x01s", "key"),
        (b"R", "stack"),
        (b"t", "damaged"),
    ],
)
def test_a_trick_is_refused_with_its_reason(read, instructions, reason):
    """Names that are not among the six, other ways to name something, types that hold addresses, sizes that lie."""
    with pytest.raises(DataError, match=reason):
        read(instructions)


def test_indices_beyond_a_sparse_matrix_are_refused(read):
    """They would be addresses outside of its memory."""

    def matrix(column: int):
        parts = {b"data": array(b"K\x01\x85", b"\x01"), b"_shape": b"K\x01K\x02\x86"}
        parts |= {b"indices": array(b"K\x01\x85", bytes([column, 0, 0, 0]), I4)}
        parts |= {b"indptr": array(b"K\x02\x85", bytes([0, 0, 0, 0, 1, 0, 0, 0]), I4)}
        items = b"".join(b"U" + bytes([len(key)]) + key + value for key, value in parts.items())
        return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + items + b"ub"

    np.testing.assert_array_equal(read(matrix(1)).toarray(), [[0, 1]])
    for column in (2, 255):
        with pytest.raises(DataError, match="made-up is damaged or no pickle of plain data"):
            read(matrix(column))
    with pytest.raises(DataError, match="data, indices and indptr"):
        read(matrix(1).replace(b"U\x04data", b"U\x04gone"))


@pytest.mark.parametrize("beginning", [b"", b"\x80", b"\x80\x04N.", b"(lp0\n.", b"\x1f\x8b\x08\x00"])
def test_what_is_no_pickle_of_protocol_2_is_refused(tmp_path, beginning):
    """An empty file, another protocol, something else."""
    (tmp_path / "other").write_bytes(beginning)
    with pytest.raises(DataError, match="delete it to get another copy"):
        read_pickle(tmp_path / "other")


def test_scipy_is_imported_for_a_sparse_matrix_only(tmp_path):
    """It takes a quarter of a second."""
    (tmp_path / "list").write_bytes(b"\x80\x02].")
    code = (
        "import sys; from pathlib import Path; from aifs_data.python2_pickles import read_pickle\n"
        "read_pickle(Path(sys.argv[1])); assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "list"], check=True)


# --- whatever the bytes are -------------------------------------------------------------------------------------------


def outcome(path: Path, content: bytes) -> None:
    """Read it; anything but an object or a DataError fails the test."""
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_pickle(path)


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(sorted(op.code for op in pickletools.opcodes))).map(
        lambda codes: "".join(codes).encode("latin-1")
    )
)
@settings(max_examples=500, deadline=None)
def test_random_bytes_give_an_object_or_a_data_error(tmp_path_factory, content):
    """With the right beginning and end, and without."""
    path = tmp_path_factory.getbasetemp() / "random-bytes"
    outcome(path, content)
    outcome(path, b"\x80\x02" + content + b".")


def mutations(content: bytes, n: int, seed: int):
    """Yield damaged copies: bytes changed, pieces left out, repeated, cut off."""
    rng = random.Random(seed)
    for _ in range(n):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            at, length = rng.randrange(len(damaged) + 1), rng.randint(1, 12)
            match rng.randrange(4):
                case 0:
                    damaged[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    del damaged[at : at + length]
                case 2:
                    damaged[at:at] = damaged[max(0, at - length) : at]
                case 3 if rng.random() < 0.1:
                    del damaged[at:]
        yield bytes(damaged)


MADE_UP = b"".join(
    (
        b"\x80\x02}q\x01(",
        b"U\x04data" + array(b"K\x02K\x03\x86", b"sixsix"),
        b"U\x06labels](K\x01K\x02e",
        b"U\x05graphccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x05]K\x06as",
        b"u.",
    )
)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_gives_an_object_or_a_data_error(tmp_path, seed):
    """A thousand times, around the instructions that build an array."""
    for damaged in mutations(MADE_UP, 1000, seed):
        outcome(tmp_path / "damaged", damaged)


@real_files
@pytest.mark.parametrize("name", SMALL_REAL_FILES)
@pytest.mark.filterwarnings("error")
def test_a_real_file_that_is_damaged_gives_an_object_or_a_data_error(tmp_path, name):
    """Its beginning, where the instructions lie, is hit most often."""
    content = Path(DATA, name).read_bytes()
    for damaged in mutations(content[:600], 300, seed=1):
        outcome(tmp_path / "damaged", damaged + content[600:])
    for damaged in mutations(content, 50, seed=2):
        outcome(tmp_path / "damaged", damaged)
