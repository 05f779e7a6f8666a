"""Every data set has a page, and the pages are those that the registry would write."""

import re
from pathlib import Path

import pytest

from .workspace import ROOT, Checkout, load_script

FOLDER = ROOT / "docs" / "datasets"
PAGES = sorted(FOLDER.glob("*.md"))
FIGURES = sorted(FOLDER.glob("*.png"))
SOURCES = sorted((ROOT / "packages" / "aifs-data" / "src" / "aifs_data" / "sources").glob("[!_]*.py"))
CHECK = "uv run --package aifs-data python docs/dataset_pages.py --check"

LARGEST_FIGURE = 120_000  # bytes: every clone carries them all

as_markdown = load_script(ROOT / "docs" / "as_markdown.py")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def targets(page: Path) -> list[str]:
    """Return what a page links to or shows beside it, web pages left out; code is no link."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!\\)\]\(([^):]+)\)", re.sub(r"`[^`\n]+`", "", text))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_sets_of_a_source_have_pages(source: Path):
    name = source.stem.rstrip("_").replace("_", "-")
    assert any(page.stem == name or page.stem.startswith(f"{name}-") for page in PAGES)


@every_page
def test_links_of_a_page_lead_somewhere(page: Path):
    assert targets(page) != []
    assert [target for target in targets(page) if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_index():
    listed = targets(FOLDER / "README.md")
    assert sorted(listed) == sorted(page.name for page in PAGES if page.stem != "README")


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.stem)
def test_a_figure_is_small_and_shown_on_its_page(figure: Path):
    assert figure.stat().st_size <= LARGEST_FIGURE
    assert figure.name in targets(figure.with_suffix(".md"))


@pytest.mark.slow
def test_the_pages_are_those_of_the_registry(checkout: Checkout):
    done = checkout.run(CHECK)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_check_names_the_pages_that_are_wrong_and_leaves_them(checkout: Checkout):
    folder = checkout.root / "docs" / "datasets"
    before = {name: (folder / name).read_bytes() for name in ("iris.md", "moons.md", "wine.md")}
    stranger = folder / "no-such-set.md"
    (folder / "iris.md").unlink()
    (folder / "moons.md").write_bytes(before["moons.md"].replace(b"`noise`", b"`loudness`"))
    (folder / "wine.md").write_bytes(re.sub(rb"\| train \|[^|]*\|", b"| train | 1 |", before["wine.md"]))
    stranger.write_text("# No such set\n", encoding="utf-8")
    try:
        done = checkout.run(CHECK)
        assert done.returncode == 1
        for line in ("iris.md: is missing", "moons.md: differs", "no-such-set.md: belongs to no"):
            assert line in done.stdout
        assert "wine.md" not in done.stdout, "what was measured is no matter of the registry"
        assert stranger.exists()
        assert not (folder / "iris.md").exists()
    finally:
        stranger.unlink()
        for name, text in before.items():
            (folder / name).write_bytes(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<unk> of y[i], `count_min`", r"\<unk\> of y\[i\], `count_min`"),
        ("a *b* _c_ # $ &amp; ~", r"a \*b\* \_c\_ \# \$ \&amp; \~"),
        ("two\n lines", "two lines"),
        ("a stray ` tick", r"a stray \` tick"),
    ],
)
def test_signs_in_prose_are_not_taken_for_markdown(text: str, shown: str):
    assert as_markdown.prose(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("a_b", "`a_b`"), ("`", "`` ` ``"), (" a", "`  a `"), ("a``b", "```a``b```"), ("a\nb", "`a↵b`")]
)
def test_code_shows_ticks_blanks_and_line_ends(text: str, shown: str):
    assert as_markdown.code(text) == shown


def test_a_bar_does_not_end_a_cell():
    assert as_markdown.table(("X",), [("`a|b`",)]) == "| X |\n| --- |\n| `a\\|b` |"


def test_a_block_of_code_holds_fences():
    assert as_markdown.fenced("```\nb", "text") == "````text\n```\nb\n````"
