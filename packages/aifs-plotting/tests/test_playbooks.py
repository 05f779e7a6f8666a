"""Playbooks: what is there is drawn, the rest is not."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from aifs_plotting import Provenance, generate_visualizations
from aifs_plotting.playbooks import foundational
from aifs_utils.exceptions import ConfigError

PROVENANCE = Provenance(model="perceptron", experiment="moons", data="moons (generated)", seed=0)
X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.arange(40) % 2


def predict(points):
    return (points[:, 0] > 0).astype(int)


EVERYTHING = {
    "history": {"epoch": [1, 2], "train_loss": [1.0, 0.5], "val_loss": [1.0, 0.6]},
    "X": X,
    "y": Y,
    "y_pred": predict(X),
    "scores": X[:, 0],
    "predict": predict,
    "snapshots": [(0, predict), (1, predict)],
    "weights": np.ones((3, 4)),
    "image_shape": (2, 2),
    "feature_names": ["x (cm)", "y (cm)"],
}
ALL_FILES = [
    "learning_curves.png",
    "confusion_matrix.png",
    "decision_boundary.png",
    "decision_boundary_evolution.png",
    "roc_curve.png",
    "precision_recall_curve.png",
    "weights.png",
]


def draw(folder, **inputs):
    files = generate_visualizations("foundational", output_dir=folder, provenance=PROVENANCE, **inputs)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert sorted(files) == sorted(folder.glob("*"))
    return [file.name for file in files]


def test_everything_is_drawn_into_small_files(tmp_path):
    assert draw(tmp_path / "new", **EVERYTHING) == ALL_FILES
    assert max(file.stat().st_size for file in (tmp_path / "new").iterdir()) < 150_000


def test_nothing_is_drawn_of_nothing(tmp_path):
    assert draw(tmp_path) == []
    assert draw(tmp_path, **dict.fromkeys(EVERYTHING)) == []


@pytest.mark.parametrize(
    ("absent", "files"),
    [
        ("history", {"learning_curves.png"}),
        ("X", {"decision_boundary.png", "decision_boundary_evolution.png"}),
        ("y_pred", {"confusion_matrix.png"}),
        ("scores", {"roc_curve.png", "precision_recall_curve.png"}),
        ("predict", {"decision_boundary.png"}),
        ("snapshots", {"decision_boundary_evolution.png"}),
        ("weights", {"weights.png"}),
        ("image_shape", {"weights.png"}),
    ],
)
def test_what_is_absent_is_not_drawn(absent, files):
    names = [f"{name}.png" for name, _ in foundational(**EVERYTHING | {absent: None})]
    assert names == [file for file in ALL_FILES if file not in files]


def test_thirty_features_have_no_boundary(tmp_path):
    wide = {
        "X": np.ones((40, 30)),
        "y": Y,
        "predict": predict,
        "snapshots": [(0, predict)],
        "feature_names": ["a"] * 30,
    }
    assert draw(tmp_path, **wide) == []


def test_images_have_no_boundary(tmp_path):
    assert draw(tmp_path, X=np.ones((40, 8, 8)), y=Y, predict=predict) == []


def test_four_points_have_no_curve_over_thresholds(tmp_path):
    assert draw(tmp_path, y=[0, 1, 1, 0], scores=[0.1, 0.2, 0.3, 0.4]) == []


def test_a_figure_that_cannot_be_drawn_costs_no_other(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        files = draw(tmp_path, **EVERYTHING | {"scores": np.full(40, np.nan), "weights": np.ones((3, 5))})
    assert files == ALL_FILES[:4]
    assert "roc_curve is not drawn: scores must be finite" in caplog.text
    assert "weights is not drawn: image_shape must be (rows, columns) of 5 pixels" in caplog.text


def test_files_are_replaced(tmp_path):
    draw(tmp_path, y=Y, y_pred=Y)
    before = (tmp_path / "confusion_matrix.png").read_bytes()
    assert draw(tmp_path, y=Y, y_pred=1 - Y) == ["confusion_matrix.png"]
    assert (tmp_path / "confusion_matrix.png").read_bytes() != before


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    some = EVERYTHING | {"scores": None, "snapshots": None}
    first, second = draw(tmp_path / "a", **some), draw(tmp_path / "b", **some)
    assert all(
        (tmp_path / "a" / a).read_bytes() == (tmp_path / "b" / b).read_bytes()
        for a, b in zip(first, second, strict=True)
    )


def test_an_unknown_playbook_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(ConfigError, match="unknown playbook 'foundatonal': did you mean 'foundational'"):
        generate_visualizations("foundatonal", output_dir=tmp_path)


def test_an_unknown_input_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(
        ConfigError, match="unknown input of the foundational playbook 'wieghts': did you mean 'weights'"
    ):
        generate_visualizations("foundational", output_dir=tmp_path, wieghts=1)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="output_dir must be a folder"):
        generate_visualizations("foundational", output_dir=tmp_path / "taken", y=Y, y_pred=Y)


def test_a_truth_table_loads_no_scikit_learn(tmp_path):
    code = f"""if True:
        import sys
        import numpy as np
        from aifs_plotting import generate_visualizations
        X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
        predict = lambda X: (X.sum(axis=1) > 1).astype(int)
        files = generate_visualizations(
            "foundational", output_dir={str(tmp_path)!r}, history={{"train_loss": [1.0]}}, X=X, y=y, y_pred=predict(X),
            scores=X.sum(axis=1), predict=predict, snapshots=[(0, predict)],
        )
        assert len(files) == 4
        late = {{"sklearn", "scipy", "matplotlib.pyplot", "pandas"}}
        assert not late & set(sys.modules), late & set(sys.modules)
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
