import numpy as np

from aifs_data.streams import epoch_order, random_stream


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


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    """Every sample once; not shuffled, they come as they are."""
    order = epoch_order(50, seed=1, epoch=2, shuffle=True)
    assert sorted(order) == list(range(50))
    assert order.tolist() == epoch_order(50, seed=1, epoch=2, shuffle=True).tolist()
    for other in ({"seed": 2, "epoch": 2}, {"seed": 1, "epoch": 3}):
        assert order.tolist() != epoch_order(50, **other, shuffle=True).tolist()
    assert epoch_order(3, seed=1, epoch=2, shuffle=False).tolist() == [0, 1, 2]
