"""Each set is the learning problem that it says it is."""

import numpy as np
import pytest

from aifs_data import load_dataset
from aifs_data.sources import _scikit_learn


def together(dataset):
    """Return the samples of all three parts."""
    parts = (dataset.train, dataset.val, dataset.test)
    return np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])


def one_hot_least_squares(X, y, X_test):
    """Predict by the linear rule of least squares: near the best line where there is one."""
    targets = np.eye(y.max() + 1)[y]
    weights = np.linalg.lstsq(np.c_[X, np.ones(len(X))], targets, rcond=None)[0]
    return (np.c_[X_test, np.ones(len(X_test))] @ weights).argmax(axis=1)


def nearest_neighbours(X, y, X_test, k=7):
    """Predict by the majority of the k nearest: no shape is too curved for it."""
    distances = (X**2).sum(axis=1) - 2 * X_test @ X.T  # without the term that is the same for all X
    votes = y[distances.argsort(axis=1)[:, :k]]
    return np.array([np.bincount(row).argmax() for row in votes])


def accuracy(rule, name, **parameters):
    """Return the mean test accuracy of a rule over five seeds."""
    sets = [load_dataset(name, seed=seed, **parameters) for seed in range(5)]
    return np.mean([(rule(d.train.X, d.train.y, d.test.X) == d.test.y).mean() for d in sets])


@pytest.mark.parametrize(("name", "function"), [("and", min), ("or", max), ("xor", lambda x: int(x[0] != x[1]))])
def test_a_truth_table_is_the_gate(name, function):
    """Its four points in every part."""
    dataset = load_dataset(name)
    for part in (dataset.train, dataset.val, dataset.test):
        assert sorted(map(tuple, part.X)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert [function(x) for x in part.X] == part.y.tolist()


@pytest.mark.parametrize("gate", ["and", "or", "xor"])
def test_a_cloud_without_noise_is_the_truth_table_repeated(gate):
    """As often for each of the four points."""
    X, y = together(load_dataset(f"{gate}-cloud", n_samples=80, noise=0))
    table = load_dataset(gate).train
    for corner, label in zip(table.X, table.y, strict=True):
        rows = (corner == X).all(axis=1)
        assert rows.sum() == 20
        assert set(y[rows]) == {label}


def test_the_clouds_of_one_seed_differ_in_their_labels_only():
    """So gates can be compared point by point."""
    clouds = [together(load_dataset(f"{gate}-cloud", seed=3))[0] for gate in ("and", "or", "xor")]
    ordered = [X[np.lexsort(X.T)] for X in clouds]
    np.testing.assert_array_equal(ordered[0], ordered[1])
    np.testing.assert_array_equal(ordered[0], ordered[2])


@pytest.mark.parametrize("n_features", [1, 2, 30])
@pytest.mark.parametrize("margin", [0.01, 0.1, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_hyperplane_through_the_origin_separates_with_the_margin(n_features, margin, seed):
    """The hard-margin problem is solved to check it: max γ with y (w·x) >= γ for a unit w."""
    from scipy.optimize import minimize

    dataset = load_dataset("linearly-separable", seed=seed, n_features=n_features, margin=margin)
    assert dataset.feature_names == tuple(f"x{i + 1}" for i in range(n_features))
    X, y = together(dataset)
    signed = X * (2 * y - 1)[:, np.newaxis]
    # min ‖w‖² subject to signed @ w >= 1; the margin is 1/‖w‖.
    result = minimize(
        lambda w: w @ w,
        x0=signed.mean(axis=0) / margin,
        jac=lambda w: 2 * w,
        constraints={"type": "ineq", "fun": lambda w: signed @ w - 1, "jac": lambda w: signed},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert (signed @ result.x).min() >= 1 - 1e-6
    assert 1 / np.linalg.norm(result.x) >= margin * (1 - 1e-5)


def test_the_perceptron_converges_within_the_bound_on_it():
    """Novikoff's theorem: at most (R/γ)² mistakes without a bias."""
    dataset = load_dataset("linearly-separable", seed=5, margin=0.2)
    X, y = dataset.train.X, 2 * dataset.train.y - 1
    w, mistakes, before = np.zeros(2), 0, -1
    while mistakes != before:
        before = mistakes
        for x, target in zip(X, y, strict=True):
            if target * (w @ x) <= 0:
                w, mistakes = w + target * x, mistakes + 1
    assert 0 < mistakes <= (np.linalg.norm(X, axis=1).max() / 0.2) ** 2


@pytest.mark.parametrize(
    ("name", "linear", "curved"),
    [
        ("and-cloud", (0.90, 1.0), (0.97, 1.0)),
        ("or-cloud", (0.90, 1.0), (0.97, 1.0)),
        ("xor-cloud", (0.0, 0.76), (0.98, 1.0)),
        ("blobs", (0.97, 1.0), (0.97, 1.0)),
        ("circles", (0.0, 0.70), (0.97, 1.0)),
        ("moons", (0.82, 0.92), (0.96, 1.0)),
        ("spirals", (0.0, 0.75), (0.95, 1.0)),
        ("linearly-separable", (0.95, 1.0), (0.93, 1.0)),
        ("iris", (0.75, 1.0), (0.90, 1.0)),
        ("iris-easy", (1.0, 1.0), (1.0, 1.0)),
        ("iris-hard", (0.90, 1.0), (0.90, 1.0)),
        ("wine", (0.95, 1.0), (0.60, 1.0)),
        ("breast-cancer", (0.93, 1.0), (0.90, 1.0)),
        ("digits", (0.90, 0.96), (0.97, 1.0)),
        ("digits-0-1", (0.99, 1.0), (0.99, 1.0)),
    ],
)
def test_a_line_and_a_curve_do_as_well_as_expected(name, linear, curved):
    """The strengths and weaknesses that models claim are in the data."""
    assert linear[0] <= accuracy(one_hot_least_squares, name) <= linear[1]
    assert curved[0] <= accuracy(nearest_neighbours, name) <= curved[1]


@pytest.mark.parametrize("name", ["xor-cloud", "blobs", "circles", "moons", "spirals"])
def test_noise_makes_a_set_harder_and_none_makes_it_clean(name):
    """The parameter does what it says."""
    clean, noisy = (accuracy(nearest_neighbours, name, noise=noise) for noise in (0.0, 0.6))
    assert clean >= 0.99
    assert noisy <= 0.9


@pytest.mark.parametrize("name", ["blobs", "circles", "moons", "spirals", "linearly-separable"])
def test_classes_of_generated_sets_are_balanced(name):
    """Their sizes differ by one at most."""
    counts = np.bincount(together(load_dataset(name, n_samples=101))[1])
    assert counts.sum() == 101
    assert counts.max() - counts.min() <= 1


def test_without_noise_the_shapes_are_the_formulas():
    """Circles have their radii, moons their half circles, spirals their turns."""
    X, y = together(load_dataset("circles", noise=0, factor=0.3))
    np.testing.assert_allclose(np.hypot(*X.T), np.where(y == 0, 1, 0.3))
    X, y = together(load_dataset("moons", noise=0))
    np.testing.assert_allclose(np.hypot(*(X - np.where(y == 0, [[0], [1]], [[1], [0.5]]).T * [1, 1]).T)[y == 1], 1)
    np.testing.assert_allclose(np.hypot(*X[y == 0].T), 1)
    assert (X[y == 0][:, 1] >= 0).all()
    assert (X[y == 1][:, 1] <= 0.5).all()
    X, y = together(load_dataset("spirals", noise=0, turns=2))
    radius = np.hypot(*X.T)
    np.testing.assert_allclose(np.exp(1j * (4 * np.pi * radius + np.pi * y)), (X[:, 0] + 1j * X[:, 1]) / radius)


def test_blobs_are_one_apart():
    """However many there are."""
    X, y = together(load_dataset("blobs", n_classes=5, n_samples=50, noise=0))
    centres = np.array([X[y == k][0] for k in range(5)])
    np.testing.assert_allclose(np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1), 1)
    assert load_dataset("blobs", n_classes=5).class_names == ("blob 0", "blob 1", "blob 2", "blob 3", "blob 4")


SHIPPED = {"iris": "load_iris", "wine": "load_wine", "breast-cancer": "load_breast_cancer", "digits": "load_digits"}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_set_is_the_one_of_scikit_learn(name):
    """Sample for sample, against its own loader."""
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = getattr(datasets, SHIPPED[name])()
    X, y = together(load_dataset(name))
    expected = np.c_[bunch.data / (16 if name == "digits" else 1), bunch.target]
    mine = np.c_[X, y]
    np.testing.assert_array_equal(mine[np.lexsort(mine.T)], expected[np.lexsort(expected.T)])
    if name in {"iris", "breast-cancer"}:
        info = load_dataset(name).info
        assert (info.class_names, info.feature_names) == (tuple(bunch.target_names), tuple(bunch.feature_names))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SHIPPED)
def test_files_that_moved_are_no_matter(name, tmp_path, monkeypatch):
    """Then scikit-learn's own loader gives the same digest."""
    digest = load_dataset(name).digest
    monkeypatch.setattr(_scikit_learn, "_folder", lambda: tmp_path)
    assert load_dataset(name).digest == digest


def test_two_classes_are_called_zero_and_one():
    """Whatever they were called among three or ten."""
    iris, hard = load_dataset("iris"), load_dataset("iris-hard")
    X, y = together(hard)
    all_X, all_y = together(iris)
    for mine, theirs in ((0, 1), (1, 2)):
        assert sorted(map(tuple, X[y == mine])) == sorted(map(tuple, all_X[all_y == theirs]))
    assert len(together(load_dataset("digits-0-1"))[1]) == 360


def test_pixels_are_from_zero_to_one():
    """In sixteenths."""
    X, _ = together(load_dataset("digits"))
    assert (X.min(), X.max()) == (0, 1)
    np.testing.assert_array_equal(X * 16, np.round(X * 16))
