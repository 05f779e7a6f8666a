"""Text of the registry and of data sets as Markdown that shows it as it is."""

import re
from collections.abc import Iterable, Sequence


def prose(text: str) -> str:
    """Return text that may have code between backticks, so that no other sign of it is taken for Markdown or HTML."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(code(piece[1:-1]) if i % 2 else literal(piece) for i, piece in enumerate(pieces))


def literal(text: str) -> str:
    """Return text so that no sign of it is taken for Markdown or HTML, and that fits into one line."""
    return re.sub(r"([\\`*_\[\]<>~&$#])", r"\\\1", re.sub(r"\s+", " ", text))


def code(text: str) -> str:
    """Return text as code that fits into a cell of a table."""
    text = text.replace("\n", "↵")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fenced(text: str, language: str) -> str:
    """Return text as a block of code, whatever fences it holds itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines, escaped = [header, ["---"] * len(header), *rows], "\\|"
    # A bar ends a cell even in code.
    return "\n".join(f"| {' | '.join(cell.replace('|', escaped) for cell in cells)} |" for cells in lines)
