"""What the tests of every figure share."""

import io
import itertools

import pytest


def check_tidy(fig):
    """Fail where a text is cut off by the figure's edge or lies on another text; return the PNG."""
    from matplotlib.text import Text

    from aifs_plotting import style

    file = io.BytesIO()
    with style.context():
        fig.savefig(file, format="png", dpi="figure")
        renderer = fig.canvas.get_renderer()
        drawn = _drawn_ticks(fig)
        texts = [text for text in fig.findobj(Text) if text.get_visible() and text.get_text().strip()]
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if drawn.get(text, True)]
    width, height = fig.bbox.width, fig.bbox.height
    for text, box in boxes:
        inside = box.x0 >= -0.5 and box.y0 >= -0.5 and box.x1 <= width + 0.5 and box.y1 <= height + 0.5
        assert inside, f"{text!r} is cut off: {box} in {width} x {height}"
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        overlap_x = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        overlap_y = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        assert not (overlap_x > 2 and overlap_y > 2), f"{text!r} lies on {other!r}"
    return file.getvalue()


def _drawn_ticks(fig):
    """For each tick label whether its tick lies within the limits of its axis."""
    drawn = {}
    for axes in fig.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in [*axis.majorTicks, *axis.minorTicks]:
                inside = low - slack <= tick.get_loc() <= high + slack
                drawn[tick.label1] = drawn[tick.label2] = inside
    return drawn


@pytest.fixture(scope="session")
def tidy():
    """A function that draws a figure and checks that no text is cut off or lies on another."""
    return check_tidy


@pytest.fixture(scope="session")
def words():
    """A function that gives all text of a figure, axes' labels and titles included."""

    def all_words(fig):
        from matplotlib.text import Text

        return " | ".join(text.get_text() for text in fig.findobj(Text) if text.get_text())

    return all_words
