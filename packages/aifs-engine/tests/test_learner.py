import math

import numpy as np
import pytest

from aifs_engine import NonFiniteError, Trainer, require_finite
from aifs_engine.learner import as_loader, batch_size
from aifs_utils.exceptions import DataError


def test_a_list_of_batches_becomes_a_loader_that_can_start_anywhere():
    loader = as_loader(["a", "b", "c"])
    assert len(loader) == 3
    assert list(loader.batches(0)) == list(loader.batches(1)) == ["a", "b", "c"]
    assert list(loader.batches(0, start=2)) == ["c"]


def test_an_object_with_batches_is_a_loader_itself(batches):
    class Loader:
        def __len__(self):
            return 1

        def batches(self, epoch, start=0):
            yield epoch

    loader = Loader()
    assert as_loader(loader) is loader


@pytest.mark.parametrize("bad", [iter([1, 2]), (x for x in range(3)), 5])
def test_a_one_shot_iterator_is_refused(bad):
    with pytest.raises(DataError, match="readable once per epoch"):
        as_loader(bad)


def test_no_batches_are_refused(learner):
    with pytest.raises(DataError, match="there are no batches"):
        Trainer(learner, epochs=1).train([])


def test_batch_size_is_the_length_of_the_first_array():
    X = np.zeros((4, 2))
    assert batch_size(X) == batch_size((X, None)) == batch_size([X]) == batch_size({"pixels": (X, 1)}) == 4
    assert batch_size([1.0, 2.0, 3.0]) == 3


def test_finite_losses_pass_and_others_raise():
    assert require_finite(0.5) == 0.5
    for loss in (math.nan, math.inf, -math.inf, np.float32("nan")):
        with pytest.raises(NonFiniteError, match="loss is"):
            require_finite(loss)


def test_a_loader_whose_order_is_drawn_anew_is_warned_of(caplog):
    """Its run cannot be continued to the bit in the middle of an epoch."""

    class RandomSampler: ...

    class DataLoader(list):
        sampler = RandomSampler()

    as_loader(["a"])
    assert caplog.text == ""
    as_loader(DataLoader(["a"]))
    assert "draws another order each time" in caplog.text
