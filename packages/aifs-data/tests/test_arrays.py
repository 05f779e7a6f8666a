"""Sequences of different lengths, and rows of any array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifs_data.arrays import Ragged, components, take_rows, take_rows_of_file
from aifs_utils import DataError

sequences = st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=20)


@given(rows=sequences, data=st.data())
def test_rows_are_the_sequences_whatever_is_taken(rows, data):
    """Empty ones, repeated ones and none at all included."""
    ragged = Ragged.of(rows)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=30)), dtype=np.intp)
    taken = ragged.take(chosen)
    assert len(ragged) == len(rows)
    assert [row.tolist() for row in taken] == [rows[i] for i in chosen]
    assert taken.lengths.tolist() == [len(rows[i]) for i in chosen]


@given(rows=sequences)
def test_padding_fills_the_end_of_what_is_shorter(rows):
    """And nothing else."""
    padded = Ragged.of(rows).padded(range(len(rows)), fill=99)
    assert padded.shape == (len(rows), max(map(len, rows)))
    assert [[value for value in row if value != 99] for row in padded.tolist()] == rows
    assert all(99 not in row[: len(mine)] for row, mine in zip(padded.tolist(), rows, strict=True))


def test_a_row_is_a_view_and_may_be_counted_from_the_end():
    """As with any sequence."""
    ragged = Ragged.of([[1, 2], [3]])
    assert np.shares_memory(ragged[0], ragged.values)
    assert ragged[-1].tolist() == [3]
    with pytest.raises(IndexError):
        ragged[2]


def test_elements_may_be_rows_themselves():
    """Boxes, say: four numbers each."""
    boxes = Ragged(np.arange(12.0).reshape(3, 4), np.array([0, 1, 3]))
    assert boxes.take(np.array([1]))[0].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 4], [0, 2, 1, 3]])
def test_offsets_that_do_not_fit_are_refused(offsets):
    """They rise from 0 to the number of values."""
    with pytest.raises(DataError, match="offsets rise from 0 to 3"):
        Ragged(np.zeros(3), np.array(offsets, dtype=np.int64))


def test_rows_of_a_file_are_the_rows_in_whatever_pieces_they_are_gathered(tmp_path, monkeypatch):
    """Pages that were let go come back."""
    monkeypatch.setattr("aifs_data.arrays._GATHERED_AT_ONCE", 1000)
    array = np.arange(50_000, dtype=np.int32).reshape(500, 100)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
    rows = np.array([3, 7, 7, 300, 400, 499])
    np.testing.assert_array_equal(take_rows_of_file(mapped, rows), array[rows])
    np.testing.assert_array_equal(take_rows_of_file(mapped, rows[:0]), array[:0])
    np.testing.assert_array_equal(mapped, array)
    np.testing.assert_array_equal(take_rows_of_file(array, rows), array[rows])


def test_every_kind_of_array_has_rows_and_components():
    """What a digest is taken of is all there is."""
    from scipy.sparse import csr_array

    sparse = csr_array(np.eye(3))
    assert take_rows(sparse, np.array([2])).toarray().tolist() == [[0, 0, 1]]
    assert len(list(components(sparse))) == 3
    assert len(list(components(Ragged.of([[1]])))) == 2
    assert next(components(np.eye(3).T)).flags.c_contiguous
