"""Write a page for every data set: what it holds, how to load it, whom to cite, and what it looks like.

``nox -s docs`` calls it. It loads every set with its default parameters, from the cache, a mirror or the public URLs;
one that cannot be had keeps the samples that its page has, and a new page is written without.
``python docs/dataset_pages.py --check`` writes nothing and needs no data: what was measured on them (sizes, samples)
stands between markers, and all else is compared with the registry.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from as_markdown import code, fenced, literal, prose, table

from aifs_data import Dataset, Source, list_datasets, load_dataset
from aifs_data.arrays import Ragged
from aifs_data.downloads import Download, RemoteFile
from aifs_data.registry import find_source, parameters_of
from aifs_data.vocabulary import Vocabulary
from aifs_utils.files import atomic_write

FOLDER = Path(__file__).resolve().parent / "datasets"
INDEX = "README.md"
START, END = "<!-- measured -->", "<!-- /measured -->"
_MEASURED = re.compile(f"{START}(.*?){END}", re.DOTALL)
WRITTEN_BY = "<!-- Written by `nox -s docs`: change the registry or docs/dataset_pages.py, not this page. -->"

N_ROWS = 6  # of a table of texts
LONGEST_TEXT, LONGEST_STREAM, LINE = 160, 600, 100  # characters


class Measured(NamedTuple):
    """What a page says of the data themselves, in Markdown."""

    n_samples: str = ""
    parts: str = ""
    samples: str = ""
    offline: str = ""


NOTHING_MEASURED = Measured()


# --- pages ------------------------------------------------------------------------------------------------------------


def page(entry: Source, measured: Measured, related: Sequence[str]) -> str:
    """Return the page of a set."""
    info = entry.info
    links = ", ".join(f"[{name}]({name}.md)" for name in related)
    sections = {
        "": f"{WRITTEN_BY}\n\n# {prose(info.title)}\n\n`{info.name}` · {info.task} · [all data sets]({INDEX})",
        "What it is": prose(info.description) + (f"\n\nSee also {links}." if related else ""),
        "Samples": _between_markers(measured.samples),
        "Load it": _load_it(entry, measured),
        "Arrays": _arrays(entry),
        "Parts": _between_markers(measured.parts),
        "Files": _files(entry.download, measured) if entry.download else _no_files(entry),
        "Licence and citation": f"Licence: {prose(info.licence)}. Homepage: <{info.homepage}>\n\n"
        f"{fenced(info.citation, 'bibtex')}",
    }
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections.items()) + "\n"


def _load_it(entry: Source, measured: Measured) -> str:
    arrays = [array for array in entry.info.specs if array not in ("X", "y")]
    lines = [
        "from aifs_data import load_dataset",
        "",
        f'dataset = load_dataset("{entry.info.name}", seed=0)',
        "X, y = dataset.train.X, dataset.train.y",
        *(f'{array} = dataset.train.extras["{array}"]' for array in arrays),
    ]
    parameters = parameters_of(entry)
    rows = [(code(name), code(repr(value))) for name, value in parameters.items()]
    varied = table(("parameter", "default"), rows) if rows else "It has no parameters beside the seed."
    return f"{fenced(chr(10).join(lines), 'python')}\n\n{varied}"


def _arrays(entry: Source) -> str:
    rows = []
    for name, spec in entry.info.specs.items():
        shape = f"({', '.join(map(str, spec.shape))}{',' if len(spec.shape) == 1 else ''})"
        ends = ["" if end is None else f"{end:g}" for end in (spec.low, spec.high)]
        bounds = " to ".join(ends) if all(ends) else f"from {ends[0]}" if ends[0] else ends[1] and f"up to {ends[1]}"
        rows.append((code(name), code(spec.dtype), code(shape), bounds, prose(spec.meaning)))
    classes = ""
    if entry.info.class_names:
        classes = f"\n\n{len(entry.info.class_names)} classes: {', '.join(map(literal, entry.info.class_names))}."
    return table(("array", "dtype", "shape", "range", "meaning"), rows) + classes


def _files(download: Download, measured: Measured) -> str:
    served = _served(download)
    hosts = ", ".join(sorted({str(urlsplit(url).hostname) for file in served for url in file.urls})) or "a mirror"
    remark = f" {prose(download.remark).rstrip('.')}." if download.remark else ""
    inside = {file.archive.file.path: file.archive.prefix for file in download.files if file.archive}
    members = "".join(f" What is needed of `{path}` lies in it under `{prefix}`." for path, prefix in inside.items())
    every = [*(file for file in served if file.path in inside), *download.files]
    rows = [(code(file.path), f"{file.size:,}", code(file.sha256)) for file in every]
    return (
        f"{megabytes(download.size)} are downloaded once, from {hosts}, and verified.{members}{remark}\n\n"
        f"{table(('file', 'bytes', 'SHA-256'), rows)}\n\n{_between_markers(measured.offline)}"
    )


def _no_files(entry: Source) -> str:
    where = ["generated" if origin == "generated" else f"shipped with {origin}" for origin in entry.origins]
    return f"None are downloaded: the set is {' or '.join(where)}, and needs no network."


def _served(download: Download) -> list[RemoteFile]:
    """What servers have: the archives instead of their members."""
    served = [file.archive.file if file.archive else file for file in download.files]
    return list({file.path: file for file in served}.values())


def index(entries: Mapping[str, Source], measured: Mapping[str, Measured]) -> str:
    """Return the list of all sets, by task."""
    tasks: dict[str, list[Source]] = {}
    for entry in entries.values():
        tasks.setdefault(entry.info.task, []).append(entry)
    sections = [f"{WRITTEN_BY}\n\n# Data sets\n\nEach is loaded by its name, `load_dataset(name)` of `aifs_data`."]
    for task, of_task in sorted(tasks.items()):
        rows = []
        for entry in of_task:
            info, download = entry.info, entry.download
            n_samples = _between_markers(measured[info.name].n_samples, inline=True)
            size = megabytes(download.size) if download else "–"
            link = f"[{info.name}]({info.name}.md)"
            n_classes = str(len(info.class_names) or "–")
            rows.append((link, prose(info.title), n_samples, n_classes, size, prose(info.licence)))
        header = ("name", "what it is", "train + val + test", "classes", "download", "licence")
        sections.append(f"## {task.capitalize()}\n\n{table(header, rows)}")
    return "\n\n".join(sections) + "\n"


def related_to(name: str, entries: Mapping[str, Source]) -> list[str]:
    """Return the sets that share files with this one, or the beginning of its name."""
    folders = {
        other: {file.path.partition("/")[0] for file in entry.download.files} if entry.download else set()
        for other, entry in entries.items()
    }
    return [
        other
        for other in entries
        if other != name
        and (folders[other] & folders[name] or other.startswith(f"{name}-") or name.startswith(f"{other}-"))
    ]


# --- what is measured -------------------------------------------------------------------------------------------------


def measure(entry: Source, folder: Path) -> Measured:
    """Load a set, and write its figure."""
    name, download = entry.info.name, entry.download
    figure = folder / f"{name}.png"
    dataset = load_dataset(name)
    offline = ""
    if download is not None:
        standin = dataset.standin or load_dataset(name, source="standin").standin
        offline = (
            "Where they cannot be had, other data stand in, with a warning, unless a `source` is named: "
            f"{prose(standin)}."
        )
    if dataset.is_standin:
        assert download is not None
        before = _measured_before(name, folder)
        if before is not None:
            sys.stderr.write(f"{name}: cannot be had; its page keeps the samples that it has\n")
            return before
        sorry = "No samples are shown: the set's files were not there when this page was written."
        return Measured(_n_in_files(download), _arrays_in_files(download), sorry, offline)
    n_samples = " + ".join(f"{len(part):,}" for _, part in _parts(dataset))
    return Measured(n_samples, _parts_table(dataset), _samples(dataset, figure), offline)


def _measured_before(name: str, folder: Path) -> Measured | None:
    """What the pages say already of a set that cannot be had now, if it was measured once."""
    index, text = (
        path.read_text(encoding="utf-8") if path.exists() else "" for path in (folder / INDEX, folder / f"{name}.md")
    )
    row = next((line for line in index.splitlines() if f"]({name}.md)" in line), "")
    blocks = [block.strip() for block in _MEASURED.findall(text)]
    if len(blocks) != 3:  # samples, parts, and what stands in
        return None
    samples, parts, offline = blocks
    return Measured("".join(_MEASURED.findall(row)), parts, samples, offline)


def _parts(dataset: Dataset) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(dataset, name)) for name in ("train", "val", "test"))


def _parts_table(dataset: Dataset) -> str:
    header, rows = ["part", "samples"], [[name, f"{len(part):,}"] for name, part in _parts(dataset)]
    for array in dataset.train.arrays:
        if isinstance(dataset.train.arrays[array], Ragged):
            header.append(f"lengths of {array}")
            for row, (_, part) in zip(rows, _parts(dataset), strict=True):
                lengths = part.arrays[array].lengths
                row.append(f"{lengths.min()} to {lengths.max()}" if len(lengths) else "–")
    known = [
        f"`dataset.{field}` has {len(vocabulary):,} {_KINDS[vocabulary.kind]}."
        for field in ("vocabulary", "target_vocabulary")
        if (vocabulary := getattr(dataset, field)) is not None
    ]
    if dataset.graph is not None:
        n_features, n_edges = dataset.graph.features.shape[1], dataset.graph.adjacency.nnz // 2
        known.append(
            f"`dataset.graph` has {dataset.graph.n_nodes:,} nodes with {n_features:,} features each, and "
            f"{n_edges:,} edges."
        )
    if dataset.draw is not None:
        known.append("`dataset.draw` makes more of them, without end.")
    return "\n\n".join(filter(None, (table(header, rows), " ".join(known))))


_KINDS = {"characters": "characters", "words": "words", "bpe": "pieces of words"}


def _n_in_files(download: Download) -> str:
    """The number of samples in files that are not there: that of their labels, as far as the registry knows them."""
    n_samples = sum(facts.shape[0] for facts in download.arrays.values() if facts.counts is not None)
    return f"{n_samples:,} in all" if n_samples else "–"


def _arrays_in_files(download: Download) -> str:
    rows = [(code(name), code(facts.dtype), code(str(facts.shape))) for name, facts in download.arrays.items()]
    return f"The parts are made of what the files hold:\n\n{table(('array', 'dtype', 'shape'), rows)}" if rows else ""


def _samples(dataset: Dataset, figure: Path) -> str:
    import dataset_figures  # with matplotlib, which a check does without

    draw = dataset_figures.drawing_of(dataset)
    if draw is not None:
        dataset_figures.write_figure(dataset, draw, figure)
        return f"![Samples: {literal(dataset.info.title)}]({figure.name})"
    figure.unlink(missing_ok=True)
    is_one_text = isinstance(dataset.train.X, np.ndarray) and dataset.train.X.ndim == 1
    return _beginning(dataset) if is_one_text else _texts(dataset)


def _beginning(dataset: Dataset) -> str:
    """The first lines of one long text."""
    vocabulary = dataset.vocabulary
    assert vocabulary is not None
    text = vocabulary.decode(dataset.train.X[:LONGEST_STREAM])[:LONGEST_STREAM]
    if vocabulary.kind != "characters" and vocabulary.eos is not None:
        lines = text.rpartition(" ")[0].split(vocabulary.tokens[vocabulary.eos])  # the last word may be cut
        text = "\n".join(fill(line.strip(), LINE) for line in lines)
    return f"The training part begins:\n\n{fenced(text.strip(), 'text')}"


def _texts(dataset: Dataset) -> str:
    """A few different sequences, decoded, of as many classes as there is room for."""
    y = dataset.train.y
    rows = list(range(min(10 * N_ROWS, len(dataset.train))))
    if isinstance(y, np.ndarray) and y.ndim == 1 and dataset.class_names:
        rows = [*np.unique(y, return_index=True)[1].tolist(), *rows]
    vocabulary = dataset.vocabulary
    targets = dataset.target_vocabulary or vocabulary
    lines = [(_decoded(dataset.train.X[i], vocabulary), _target(y[i], dataset.class_names, targets)) for i in rows]
    different = dict.fromkeys(lines)
    return table(("X", "y"), list(different)[:N_ROWS])


def _decoded(ids: Any, vocabulary: Vocabulary | None) -> str:
    """A sequence as a cell of a table: characters one by one, words as they are read."""
    if vocabulary is None:
        return code(shortened(" ".join(map(str, np.ravel(ids)))))
    text = shortened(vocabulary.decode(ids))
    return code(text) if vocabulary.kind == "characters" else literal(text)


def _target(target: Any, class_names: Sequence[str], vocabulary: Vocabulary | None) -> str:
    if np.ndim(target):
        return _decoded(target, vocabulary)
    return literal(class_names[int(target)]) if class_names else f"{target:g}"


# --- pieces -----------------------------------------------------------------------------------------------------------


def shortened(text: str) -> str:
    """Return the beginning of a text that is too long for a table."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + "…"


def megabytes(size: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / 1e6:.1f} MB"


def _between_markers(text: str, *, inline: bool = False) -> str:
    return f"{START}{text}{END}" if inline else f"{START}\n\n{text}\n\n{END}"


def without_measured(text: str) -> str:
    """Return a page without what was measured."""
    return _MEASURED.sub(START + END, text)


# --- files ------------------------------------------------------------------------------------------------------------


def pages(entries: Mapping[str, Source], measured: Mapping[str, Measured]) -> dict[str, str]:
    """Return all pages by the names of their files."""
    of_sets = {f"{name}.md": page(entry, measured[name], related_to(name, entries)) for name, entry in entries.items()}
    return {INDEX: index(entries, measured)} | of_sets


def out_of_date(folder: Path, entries: Mapping[str, Source]) -> list[str]:
    """Return what is wrong with the pages in a folder, as far as the registry knows."""
    expected = pages(entries, dict.fromkeys(entries, NOTHING_MEASURED))
    wrong = [f"{name}: belongs to no data set" for name in strangers(folder, entries)]
    for name, text in expected.items():
        if not (folder / name).exists():
            wrong.append(f"{name}: is missing")
        elif without_measured((folder / name).read_text(encoding="utf-8")) != without_measured(text):
            wrong.append(f"{name}: differs from the registry")
    return wrong


def strangers(folder: Path, entries: Mapping[str, Source]) -> list[str]:
    """Return the files in the folder that no set explains."""
    known = {INDEX, *(f"{name}{suffix}" for name in entries for suffix in (".md", ".png"))}
    return sorted(path.name for path in folder.glob("*") if path.name not in known)


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description="Write the page of every data set.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page differs from the registry")
    check = parser.parse_args().check
    entries = {name: find_source(name) for name in list_datasets()}
    if check:
        wrong = out_of_date(FOLDER, entries)
        if wrong:
            sys.stderr.write("\n".join([*wrong, "run: nox -s docs"]) + "\n")
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    measured = {name: measure(entry, FOLDER) for name, entry in entries.items()}
    for name in strangers(FOLDER, entries):
        (FOLDER / name).unlink()
    for name, text in pages(entries, measured).items():
        with atomic_write(FOLDER / name, "w") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
