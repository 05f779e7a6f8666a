import numpy as np

from aifs_data.streams import random_stream


def test_a_stream_depends_on_its_arguments_and_on_nothing_else():
    np.random.seed(1)  # noqa: NPY002  # the global state must not matter
    first = random_stream(3, "noise", 5).random(4)
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(random_stream(3, "noise", 5).random(4), first)


def test_seed_purpose_and_index_each_make_another_stream():
    streams = [
        random_stream(3, "noise", 5),
        random_stream(4, "noise", 5),
        random_stream(3, "split", 5),
        random_stream(3, "noise", 6),
        random_stream(3, "noise"),
        random_stream(5, "noise", 3),
    ]
    draws = {stream.random() for stream in streams}
    assert len(draws) == len(streams)
