"""The command ``aifs-data``: what data sets there are, and what of them lies on this machine.

Exit codes: 0 done, 1 something could not be had or is damaged, 2 usage, 130 interrupted.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from aifs_utils import DataError, close_logging, setup_logging

if TYPE_CHECKING:
    from aifs_data.downloads import Download

EXIT_DONE, EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a console that lacks a sign shows "?" in its place
            stream.reconfigure(errors="replace")
    arguments = _parser().parse_args(argv)
    setup_logging()
    try:
        code: int = arguments.run(arguments)
    except DataError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror or error} ({error.filename})")
    except KeyboardInterrupt:
        return _fail("interrupted; what was downloaded so far is kept", EXIT_INTERRUPTED)
    finally:
        close_logging()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aifs-data",
        description="Data sets by name: list them, fetch them, check them, serve them to a classroom.",
        epilog="AIFS_DATA_DIR: the folder of downloads. AIFS_DATA_MIRROR: an http(s) or file URL that is asked first. "
        "AIFS_OFFLINE=1: never use the network.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], summary: str, names: str = "") -> None:
        description = summary[0].upper() + summary[1:] + "."
        # No abbreviations: --a is not to remove everything.
        command = commands.add_parser(name, help=summary, description=description, allow_abbrev=False)
        command.set_defaults(run=run)
        if name == "mirror":
            command.add_argument("folder", metavar="DIR", type=Path, help="is made if it is not there")
        if name == "clean":
            command.add_argument("--all", action="store_true", help="remove everything that was downloaded")
        if names:
            command.add_argument("names", metavar="NAME", nargs=names, help="a data set; see aifs-data list")

    add("list", _list, "list the data sets, and which of them lie on this machine")
    add("info", _info, "show the card of data sets: arrays, parameters, licence, citation", "+")
    add("fetch", _fetch, "download and decode data sets, so that loading them needs no network", "+")
    add("verify", _verify, "check all that was downloaded, and remove what is damaged", "*")
    add("mirror", _mirror, "lay out data sets in a folder, as a classroom's server must serve them", "*")
    add("where", _where, "print the folder of downloads")
    add("clean", _clean, "remove leftovers of broken downloads, or all of the data sets that are named", "*")
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from aifs_data import registry
    from aifs_data.stock import state

    rows = []
    for name in registry.list_datasets():
        source = registry.find_source(name)
        size = f"{source.download.size / 1e6:.1f} MB" if source.download else "-"
        where = state(name, source.download) if source.download else "always here"
        rows.append((name, source.info.task, size, where, source.info.title))
    rows.insert(0, ("name", "task", "download", "here", "title"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    _say(
        "\n".join("  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows)
    )
    return EXIT_DONE


def _info(arguments: argparse.Namespace) -> int:
    from aifs_data import describe

    _say("\n\n".join(describe(name) for name in arguments.names))
    return EXIT_DONE


def _fetch(arguments: argparse.Namespace) -> int:
    from aifs_data.cache import load_arrays

    failed = False
    for name, download in _downloads(arguments.names).items():
        try:
            arrays, came_from = load_arrays(name, download)
        except DataError as error:
            failed = True
            _fail(f"{name}: {error}")
        else:
            size = sum(array.nbytes for array in arrays.values())
            _say(f"{name}: ready, {size / 1e6:.1f} MB decoded ({came_from}); licence: {_licence(name)}")
    return EXIT_ERROR if failed else EXIT_DONE


def _verify(arguments: argparse.Namespace) -> int:
    from aifs_data.cache import cache_folder
    from aifs_data.stock import check, remove_damaged

    any_damage = False
    for name, download in _downloads(arguments.names).items():
        flaws = check(name, download)
        damages = {path: flaw for path, flaw in flaws.items() if flaw}
        any_damage |= bool(damages)
        for path, damage in damages.items():
            _say(f"{name}: {path.relative_to(cache_folder())} is damaged: {damage}")
        if damages:
            try:
                remove_damaged(name, download)
                _say(f"{name}: removed; the next load makes it whole again, or now: aifs-data fetch {name}")
            except OSError as error:
                _fail(f"{name}: what is damaged cannot be removed: {error.strerror or error} ({error.filename})")
        elif flaws:
            n_files = sum(path.is_file() for path in flaws)
            decoded = ", decoded" if len(flaws) > n_files else ""
            _say(f"{name}: whole, {n_files} of {len(download.files)} files{decoded}")
    return EXIT_ERROR if any_damage else EXIT_DONE


def _mirror(arguments: argparse.Namespace) -> int:
    from aifs_data.cache import files_folder
    from aifs_data.fetch import fetch
    from aifs_data.stock import lay_out

    laid_out = failed = False
    for name, download in _downloads(arguments.names).items():
        try:
            fetch(download.files, files_folder())
        except DataError as error:
            failed = True
            _fail(f"{name}: {error}")
        else:
            laid_out = True
            lay_out(download, arguments.folder)
            _say(f"{name}: {download.size / 1e6:.1f} MB; licence: {_licence(name)}")
    if laid_out:
        _say(
            f"\nserve it:    python -m http.server --directory {shlex.quote(str(arguments.folder))} 8000\n"
            "or share it: as a folder of the network\n"
            "and on each machine set AIFS_DATA_MIRROR to http://<this machine>:8000, "
            f"or to {arguments.folder.absolute().as_uri()}"
        )
    return EXIT_ERROR if failed else EXIT_DONE


def _where(arguments: argparse.Namespace) -> int:
    from aifs_data.cache import cache_folder

    _say(str(cache_folder()))
    return EXIT_DONE


def _clean(arguments: argparse.Namespace) -> int:
    from aifs_data.cache import cache_folder
    from aifs_data.stock import remove_leftovers, remove_set, state

    if arguments.all and arguments.names:
        return _fail("name data sets or give --all, not both", EXIT_USAGE)
    downloads = _downloads(arguments.names)
    if arguments.all or arguments.names:
        others = {name: download for name, download in _downloads([]).items() if name not in downloads}
        shared = {file.path for name, other in others.items() if state(name, other) == "ready" for file in other.files}
        freed = sum(remove_set(name, download, keep=shared) for name, download in downloads.items())
    else:
        freed = sum(remove_leftovers(name, download) for name, download in downloads.items())
    _say(f"{freed / 1e6:.1f} MB freed in {cache_folder()}")
    return EXIT_DONE


def _downloads(names: Sequence[str]) -> "dict[str, Download]":
    """Return the downloads of the sets that are named, or of all; of a set that needs none there is none."""
    from aifs_data import registry

    sets = {name: registry.find_source(name) for name in names or registry.list_datasets()}
    for name in names:
        if sets[name].download is None:
            _say(f"{name}: generated, or comes with a dependency; there is nothing to download")
    return {name: source.download for name, source in sets.items() if source.download is not None}


def _licence(name: str) -> str:
    from aifs_data.registry import find_source

    return find_source(name).info.licence


def _say(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:  # the reader has gone (``| head``)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, exit_code: int = EXIT_ERROR) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return exit_code


if __name__ == "__main__":
    raise SystemExit(main())
