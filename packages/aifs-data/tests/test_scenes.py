"""Scenes are what their targets say, pixel by pixel."""

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_data.sources._images import grey_levels, read_digits
from aifs_data.sources._scenes import _first_that_fits
from aifs_data.validation import check_dataset
from aifs_utils import DataError

SCENES = ["digit-scenes", "shapes"]
CROWDED = {"count_min": 3, "count_max": 8, "overlap": 0.4}


def objects(part, i):
    """Return the label, box and mask of each object of scene i."""
    present = part.y[i] >= 0
    masks = [part.extras["instances"][i] == k + 1 for k in range(present.sum())]
    return list(zip(part.y[i][present], part.extras["boxes"][i][present], masks, strict=True))


def iou(a, b):
    """Return the intersection over union of two boxes, from their definition."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("parameters", [{}, CROWDED, {"count_min": 0, "count_max": 1, "size": 40}])
def test_all_targets_tell_of_the_same_objects(name, parameters):
    """Labels, boxes, classes of pixels and instances, by a loop over scenes and objects."""
    dataset = load_dataset(name, n_samples=120, **parameters)
    check_dataset(dataset)
    part = dataset.train
    for i in range(len(part)):
        found = objects(part, i)
        semantic = np.zeros(part.X.shape[2:], dtype=int)
        for label, box, mask in found:
            rows, columns = mask.nonzero()
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            semantic[mask] = 1 + label
        np.testing.assert_array_equal(part.extras["semantic"][i], semantic)
        assert part.extras["instances"][i].max() == len(found)
        assert (part.y[i, len(found) :] == -1).all()
        assert (part.extras["boxes"][i, len(found) :] == -1).all()


@pytest.mark.parametrize("name", SCENES)
def test_without_overlap_no_two_boxes_meet(name):
    """And nothing is hidden."""
    part = load_dataset(name, n_samples=200, count_max=8).train
    for i in range(len(part)):
        boxes = [box for _, box, _ in objects(part, i)]
        assert all(iou(a, b) == 0 for k, a in enumerate(boxes) for b in boxes[:k])


@pytest.mark.parametrize("name", SCENES)
def test_with_overlap_some_boxes_meet(name):
    """The parameter does what it says."""
    part = load_dataset(name, n_samples=100, **CROWDED).train
    boxes = [[box for _, box, _ in objects(part, i)] for i in range(len(part))]
    overlaps = [iou(a, b) for scene in boxes for k, a in enumerate(scene) for b in scene[:k]]
    assert np.mean(np.array(overlaps) > 0) > 0.05


@pytest.mark.parametrize("overlap", [0, 0.1, 0.5, 0.9])
def test_the_first_place_is_taken_that_keeps_to_the_overlap(overlap):
    """By a loop over all pairs of boxes."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (200, 20, 2))
    box = np.array([[1, 2, 9, 12]]).repeat(200, axis=0)
    starts = rng.integers(0, 30, (200, 4, 2))
    others = np.concatenate([starts, starts + rng.integers(1, 14, (200, 4, 2))], axis=2)
    others[:, 3] = 0  # one that is not there
    corner, chosen, fits = _first_that_fits(corners, box, others, overlap)
    for i in range(200):
        tried = [box[i] + np.tile(place, 2) for place in corners[i]]
        fine = [all(iou(a, b) <= overlap for b in others[i, :3]) for a in tried]
        assert fits[i] == any(fine)
        if any(fine):
            first = fine.index(True)
            assert (corner[i].tolist(), chosen[i].tolist()) == (corners[i, first].tolist(), tried[first].tolist())


def test_at_least_half_of_each_object_is_visible():
    """Squares show it: of a known side, with no noise, and much overlap."""
    part = load_dataset("shapes", n_samples=300, side_min=16, side_max=16, count_max=8, overlap=0.8).train
    visible = [mask.sum() / 256 for i in range(300) for label, _, mask in objects(part, i) if label == 1]
    assert 0.5 <= min(visible) < 0.6
    assert max(visible) == 1


@pytest.mark.parametrize("name", SCENES)
def test_there_are_as_many_objects_as_was_asked_for_where_they_fit(name):
    """On a canvas that is large enough; in a small one fewer."""
    roomy = load_dataset(name, n_samples=300, size=128, count_min=2, count_max=4).train
    counts = (roomy.y >= 0).sum(axis=1)
    assert set(counts) == {2, 3, 4}
    assert np.bincount(counts)[2:].min() > 60  # of 100
    tight = load_dataset(name, n_samples=100, size=30, count_min=4, count_max=4, side_min=14, side_max=20).train
    counts = (tight.y >= 0).sum(axis=1)
    assert counts.min() >= 1
    assert counts.mean() < 3.5


@pytest.mark.parametrize("name", SCENES)
def test_every_class_and_every_place_occurs(name):
    """About as often."""
    dataset = load_dataset(name)
    labels = dataset.train.y[dataset.train.y >= 0]
    counts = np.bincount(labels, minlength=dataset.n_classes)
    assert counts.min() > 0.7 * counts.mean()
    covered = (dataset.train.extras["instances"] > 0).mean(axis=0)
    assert covered[10:-10, 10:-10].min() > 0.04  # less at the edges, which fewer objects reach


# --- digits -----------------------------------------------------------------------------------------------------------


def test_digits_of_the_parts_have_nothing_in_common():
    """Every scene is traced back to the digit it shows: drawn at their own size they can be recognised."""
    pictures = read_digits()[0] * 255 // 16
    pictures[pictures < 64] = 0
    known = {ink(picture): i for i, picture in enumerate(pictures)}
    dataset = load_dataset("digit-scenes", n_samples=1500, size=12, count_max=1, side_min=8, side_max=8)
    seen = [{known[ink(scene[0])] for scene in part.X} for part in (dataset.train, dataset.val, dataset.test)]
    assert len(seen[0]) > 700  # of 1,078
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def ink(picture):
    """Return what is not black, with its shape."""
    rows, columns = picture.nonzero()
    inside = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return inside.shape, inside.astype(np.uint8).tobytes()


def test_digits_are_enlarged_linearly():
    """As by interpolation along one axis and then along the other, each to its own side."""
    rng = np.random.default_rng(0)
    images, sides = rng.integers(0, 17, (20, 8, 8)), np.arange(5, 25)
    numerators, denominators = grey_levels(images, sides, 24)
    for image, side, picture in zip(images, sides, numerators / denominators, strict=True):
        centres = (np.arange(side) + 0.5) * 8 / side - 0.5
        rows = np.array([np.interp(centres, np.arange(8), column) for column in image.T]).T
        expected = np.array([np.interp(centres, np.arange(8), row) for row in rows]) * 255 / 16
        np.testing.assert_allclose(picture[:side, :side], expected, atol=1e-9)
        assert not picture[side:].any()
        assert not picture[:, side:].any()


def test_digits_are_all_that_is_not_black():
    """So a mask has no pixel too many and none too few."""
    part = load_dataset("digit-scenes", n_samples=100, **CROWDED).train
    np.testing.assert_array_equal(part.X[:, 0] > 0, part.extras["instances"] > 0)
    assert part.X[part.X > 0].min() >= 64


def test_digit_scenes_say_where_the_digits_come_from():
    """scikit-learn, with its licence."""
    assert load_dataset("digit-scenes", n_samples=1).provenance["source"] == "scikit-learn"


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_without_noise_every_shape_has_one_light_colour_on_dark_grey():
    """The mask is the region of that colour."""
    part = load_dataset("shapes", n_samples=60, noise=0, **CROWDED).train
    for i in range(len(part)):
        background = part.X[i][:, part.extras["instances"][i] == 0]
        assert len(np.unique(background)) == 1
        assert background.max() < 96
        for _, _, mask in objects(part, i):
            assert len(np.unique(part.X[i][:, mask], axis=1).T) == 1
            assert part.X[i][:, mask].min() >= 128


@pytest.mark.parametrize("side", [7, 10, 24, 41])
def test_shapes_have_the_areas_of_geometry(side):
    """And fill their box from edge to edge."""
    part = load_dataset("shapes", n_samples=60, count_max=1, side_min=side, side_max=side, noise=0).train
    shares = {0: np.pi / 4, 1: 1, 2: 1 / 2}
    for i in range(len(part)):
        ((label, box, mask),) = objects(part, i)
        assert (box[2] - box[0], box[3] - box[1]) == (side, side)
        assert mask.sum() / side**2 == pytest.approx(shares[label], abs=1.2 / side)


def test_noise_changes_values_by_no_more_than_it_says():
    """In both directions, and every pixel by itself."""
    clean, noisy = (load_dataset("shapes", n_samples=50, noise=noise).train for noise in (0, 20))
    difference = noisy.X.astype(int) - clean.X
    assert abs(difference).max() == 20
    assert len(np.unique(difference)) == 41
    np.testing.assert_array_equal(noisy.extras["instances"], clean.extras["instances"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"count_min": 6}, "count_min <= count_max <= 255 is needed, got 6 and 5"),
        ({"count_max": 256}, "count_min <= count_max <= 255 is needed, got 1 and 256"),
        ({"side_max": 65}, "side_min <= side_max <= size is needed, got 10, 65 and 64"),
        ({"side_min": 3}, "side_min is an integer of at least 4, got 3"),
        ({"overlap": 1}, "overlap is a finite number at least 0 and below 1, got 1"),
        ({"noise": 256}, "noise is at most 255, got 256"),
        ({"noise": -1}, "noise is an integer of at least 0, got -1"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    """What was expected, and what was got."""
    with pytest.raises(DataError, match=message):
        load_dataset("shapes", **parameters)
