import math

import pytest

from aifs_engine import History


def test_columns_put_nan_where_a_row_has_no_value():
    history = History([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "val_loss": 3.0}])
    assert history["train_loss"] == [2.0, 1.0]
    assert math.isnan(history.columns()["val_loss"][0])


def test_an_unknown_column_names_the_known_ones():
    with pytest.raises(KeyError, match="no column 'loss'; there are: epoch, train_loss"):
        History([{"epoch": 1, "train_loss": 2.0}])["loss"]


def test_rows_are_copies():
    row = {"epoch": 1}
    history = History([row])
    row["epoch"] = 5
    assert history.last == {"epoch": 1}


def test_the_last_row_of_nothing_is_empty():
    assert History().last == {}
    assert len(History()) == 0
