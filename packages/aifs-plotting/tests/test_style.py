"""The look: colours for every eye, a footer, settings put back, whole files."""

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from aifs_plotting import Provenance, decision_boundary, learning_curves, save_figure, style
from aifs_utils.exceptions import ConfigError

PNG = b"\x89PNG\r\n\x1a\n"

# Machado, Oliveira, Fernandes. "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG
# 15(6), 2009: severity 1.0, applied to linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
HISTORY = {"train_loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "train_accuracy": [0.5, 0.9], "val_accuracy": [0.5, 0.8]}


def linear(colour):
    """Linear RGB of "#rrggbb"."""
    c = np.array(style.channels(colour)) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Ottosson's perceptual space: a distance of 0.02 is just noticeable."""
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ np.clip(rgb, 0, 1))


def closest(colours, vision):
    """The smallest perceptual distance between two of the colours, as seen with that vision."""
    seen = [oklab(np.array(VISION[vision]) @ linear(colour)) for colour in colours]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


def contrast(colour, other="#ffffff"):
    """The contrast ratio of WCAG 2."""
    lights = sorted(float(np.dot([0.2126, 0.7152, 0.0722], linear(c))) for c in (colour, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("vision", VISION)
def test_the_palette_stays_apart(vision):
    assert closest(style.PALETTE, vision) > 0.12
    assert closest(style.PALETTE[:3], vision) > 0.17
    assert closest([style.TRAIN, style.VALIDATION], vision) > 0.2


@pytest.mark.parametrize("vision", VISION)
def test_the_tints_of_the_first_classes_stay_apart(vision):
    assert closest([style.tint(k) for k in range(3)], vision) > 0.03


@pytest.mark.parametrize("vision", VISION)
def test_both_ends_of_the_diverging_map_differ_from_each_other_and_from_its_middle(vision):
    colours = [matplotlib.colors.to_hex(style.diverging()(value)) for value in (0.1, 0.5, 0.9)]
    assert closest(colours, vision) > 0.15


def test_the_simulation_finds_a_palette_that_is_not_safe():
    assert closest(["#d62728", "#2ca02c"], "deuteranopia") < 0.12 < closest(["#d62728", "#2ca02c"], "normal")


def test_text_has_enough_contrast():
    label = [style.mix(colour, style.INK, 0.25) for colour in (style.TRAIN, style.VALIDATION)]
    alarm = style.mix(style.PALETTE[1], style.INK, 0.3)
    assert min(contrast(colour) for colour in (style.INK, style.MUTED, alarm, *label)) >= 4.5


def test_classes_differ_in_colour_and_marker_as_long_as_possible():
    looks = [(style.class_colour(k), style.class_marker(k)) for k in range(56)]
    assert len(set(looks)) == 56
    assert len({colour for colour, _ in looks[:7]}) == len({marker for _, marker in looks[:7]}) == 7


def test_no_text_is_smaller_than_nine_points():
    assert min(style.SMALL, style.NORMAL, style.LARGE) >= 9
    sizes = {key: value for key, value in style.RC.items() if key.endswith(("labelsize", "titlesize", "font.size"))}
    assert min(sizes.values()) >= 9


def test_the_settings_are_put_back_even_after_an_error():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["font.size"] == style.NORMAL
    with pytest.raises(RuntimeError), style.context():
        raise RuntimeError
    assert dict(matplotlib.rcParams) == before


def test_a_figure_changes_no_setting(tmp_path):
    before = dict(matplotlib.rcParams)
    save_figure(learning_curves(HISTORY), tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_the_settings_of_the_user_do_not_leak_into_a_figure(tmp_path):
    plain = save_figure(learning_curves(HISTORY), tmp_path / "plain.png").read_bytes()
    theirs = {
        "axes.facecolor": "black",
        "font.size": 30,
        "axes.grid": True,
        "text.usetex": True,
        "savefig.bbox": "tight",
    }
    with matplotlib.rc_context(theirs | {"figure.constrained_layout.use": True, "lines.marker": "o"}):
        assert save_figure(learning_curves(HISTORY), tmp_path / "theirs.png").read_bytes() == plain


def test_threads_leave_the_settings_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)

    def draw(i):
        save_figure(learning_curves(HISTORY), tmp_path / f"{i}.png")

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(matplotlib.rcParams) == before
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_importing_the_package_imports_neither_matplotlib_nor_numpy():
    code = """if True:
        import sys
        import aifs_plotting
        from aifs_plotting import Provenance, generate_visualizations
        late = {"matplotlib", "numpy", "sklearn", "scipy"}
        assert not late & set(sys.modules), late & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_imports_pyplot(tmp_path):
    code = f"""if True:
        import sys
        import numpy as np
        from aifs_plotting import *
        X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
        predict = lambda X: (X[:, 0] > 0).astype(int)
        files = generate_visualizations(
            "foundational", output_dir={str(tmp_path)!r}, history={{"train_loss": [1, 2]}}, X=X, y=y, y_pred=predict(X),
            scores=X[:, 0], predict=predict, snapshots=[(0, predict)], weights=X.T, image_shape=(8, 5),
        )
        assert len(files) == 7
        compare_boundaries({{"a": predict}}, X, y, overlay=True)
        assert "sklearn" in sys.modules and "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_footer_names_model_experiment_data_and_seed(words):
    provenance = Provenance(model="perceptron", experiment="xor", data="xor (generated)", seed=3, note="a note")
    fig = learning_curves(HISTORY, provenance=provenance)
    assert "perceptron · xor · data: xor (generated) · seed 3 · a note" in words(fig)


def test_a_stand_in_is_seen(words):
    data = {"name": "digits", "source": "scikit-learn", "is_standin": True}
    provenance = Provenance.from_data(data, model="lenet", experiment="mnist", seed=0)
    fig = learning_curves(HISTORY, provenance=provenance)
    (footer,) = [text for text in fig.texts if "STAND-IN DATA: digits (scikit-learn)" in text.get_text()]
    assert footer.get_weight() == "bold"
    assert footer.get_color() != style.MUTED


def test_a_stand_in_says_what_it_is():
    data = {"name": "mnist", "source": "standin", "is_standin": True, "standin": "upscaled digits"}
    text = Provenance.from_data(data, model="lenet", experiment="mnist", seed=0).text
    assert text == "lenet · mnist · STAND-IN DATA: mnist (upscaled digits) · seed 0"


def test_data_without_a_source_is_named():
    provenance = Provenance.from_data({"name": "mine"}, model="a", experiment="b", seed=0)
    assert (provenance.data, provenance.is_standin) == ("mine", False)


def test_long_text_is_wrapped_or_cut(tidy):
    word = "x" * 300
    provenance = Provenance(model="m", experiment=word, data="many words " * 30, seed=0, note="$ and \\ and _ and {")
    tidy(learning_curves(HISTORY, provenance=provenance, title="a long title " * 20))


def test_dollars_are_no_mathematics(words, tidy):
    fig = decision_boundary(lambda X: X[:, 0] > 0, [[0, 1], [1, 0]], [0, 1], class_names=["$a$", "$"], title="$x_1$")
    tidy(fig)
    assert "$a$" in words(fig)


def test_a_figure_is_saved_as_png(tmp_path):
    path = save_figure(learning_curves(HISTORY), tmp_path / "new" / "folder" / "curves.png")
    assert path.read_bytes().startswith(PNG)
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_a_figure_of_ones_own_is_saved_with_its_own_size(tmp_path):
    from matplotlib.figure import Figure
    from PIL import Image

    path = save_figure(Figure(figsize=(2, 1), dpi=100), str(tmp_path / "own.PNG"))
    with Image.open(path) as image:
        assert image.size == (200, 100)


def test_the_old_file_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")
    fig = learning_curves(HISTORY)

    def fail(file, **_):
        file.write(b"half a ")
        raise OSError("disk full")

    monkeypatch.setattr(fig, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(fig, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.png.*curves\.pdf"):
        save_figure(learning_curves(HISTORY), tmp_path / "curves.pdf")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.50"), (1.0, "1.00"), (0.9996, "0.9996"), (0.12345, "0.123"), (0, "0.00"), (1 - 1e-16, "1.00")],
)
def test_a_share_is_not_rounded_up_to_one(value, text):
    assert style.share(value) == text


@pytest.mark.parametrize("value", [0.0, -1.5, 1.0, 123456.0, 0.99999999, 1e-300, 1e99])
def test_numbers_are_short_and_true(value):
    assert float(style.number(value)) == pytest.approx(value, rel=6e-3)


def test_the_stub_names_what_the_package_offers():
    import aifs_plotting

    stub = (Path(aifs_plotting.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    assert sorted(line.split()[-1] for line in stub.splitlines()) == sorted(aifs_plotting.__all__)
    assert all(callable(getattr(aifs_plotting, name)) for name in aifs_plotting.__all__)
