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
    padded = boxes.padded([1, 0], fill=-1)
    assert padded.dtype == np.float64
    assert padded.tolist() == [[[4, 5, 6, 7], [8, 9, 10, 11]], [[0, 1, 2, 3], [-1, -1, -1, -1]]]


def test_padding_keeps_the_type_whatever_there_is_to_pad():
    """No sequence chosen, none that holds anything, none at all."""
    ragged = Ragged.of([[], [1, 2]])
    for padded, shape in (
        (ragged.padded([1, 0], 7), (2, 2)),
        (ragged.padded([0], 7), (1, 0)),
        (ragged.padded([], 7), (0, 0)),
    ):
        assert (padded.dtype, padded.shape) == (np.int32, shape)
    assert Ragged.of([]).padded([], 7).shape == (0, 0)
    assert Ragged.of([[], []]).padded([1, 0, 1], 7).shape == (3, 0)


bounds = st.none() | st.integers(-25, 25)


@given(rows=sequences, start=bounds, stop=bounds, step=st.none() | st.integers(-3, 3).filter(bool))
def test_a_slice_has_the_sequences_of_a_list(rows, start, stop, step):
    """Counted from either end, forwards or backwards, and none where there are none."""
    piece = slice(start, stop, step)
    sliced = Ragged.of(rows)[piece]
    assert isinstance(sliced, Ragged)
    assert [row.tolist() for row in sliced] == rows[piece]


def test_a_slice_of_neighbours_copies_nothing():
    """A part of a large set costs its offsets."""
    ragged = Ragged.of([[1, 2], [3], [4, 5, 6]])
    assert np.shares_memory(ragged[1:].values, ragged.values)


def test_a_sequence_without_elements_may_be_among_vectors():
    """An image without a box: the others say that a box has four numbers."""
    for empty in ([], np.zeros((0, 4))):
        boxes = Ragged.of([empty, [[1, 2, 3, 4], [5, 6, 7, 8]], empty], dtype=np.float32)
        assert boxes.values.shape == (2, 4)
        assert boxes.lengths.tolist() == [0, 2, 0]
        assert boxes[0].shape == (0, 4)
    assert Ragged.of([np.zeros((0, 4)), []]).values.shape == (0, 4)
    assert Ragged.of([[], []]).values.shape == (0,)
    with pytest.raises(ValueError, match="dimension"):
        Ragged.of([[[1, 2]], [[1, 2, 3]]])


def test_lengths_say_where_sequences_begin():
    """They are those of all values, and none is negative."""
    ragged = Ragged.from_lengths(np.arange(5), [2, 0, 3])
    assert [row.tolist() for row in ragged] == [[0, 1], [], [2, 3, 4]]
    assert ragged.offsets.dtype == np.int64
    assert len(Ragged.from_lengths(np.empty(0), [])) == 0
    for lengths in ([2, 2], [6], [6, -1], []):
        with pytest.raises(DataError, match="offsets rise from 0 to 5"):
            Ragged.from_lengths(np.arange(5), lengths)


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
