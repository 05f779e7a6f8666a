"""Logging, on real streams in processes of their own where it matters."""

import io
import logging
import os
import subprocess
import sys
import textwrap
import warnings

import pytest

from aifs_utils import ConfigError, close_logging, setup_logging


@pytest.fixture(autouse=True)
def _close():
    yield
    close_logging()


def run(code, *args):
    """Run the code in a process of its own and return what it wrote to stderr."""
    code = "import logging\nfrom aifs_utils import *\n" + textwrap.dedent(code)
    result = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    return result.stderr


def test_warnings_are_one_clean_line_on_the_console_and_information_is_not_there():
    """Real stderr, not a terminal: no colours, no time, no logger's name."""
    stderr = run("""
        setup_logging()
        logging.getLogger("some.package").info("not for the console")
        logging.getLogger("some.package").warning("the disk is %d %% full", 97)
    """)
    assert stderr == "warning: the disk is 97 % full\n"


def test_a_python_warning_is_one_clean_line_too():
    """Without the path, the line number and the line of code."""
    stderr = run("""
        import warnings
        setup_logging()
        warnings.warn("overflow in exp", RuntimeWarning)
        import numpy as np
        np.float64(1e308) * 10
    """)
    first, second = stderr.splitlines()
    assert first == "warning: RuntimeWarning: overflow in exp"
    assert second.startswith("warning: RuntimeWarning: overflow encountered")


def test_an_exception_is_one_line_on_the_console_and_a_traceback_in_the_file(tmp_path):
    """The console is for the user, the file for whoever mends it."""
    stderr = run(
        """
        import sys
        from pathlib import Path
        setup_logging(Path(sys.argv[1]))
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("m").exception("the step\\nfailed")
        """,
        tmp_path / "deep" / "train.log",
    )
    assert stderr == "error: the step failed\n"
    log = (tmp_path / "deep" / "train.log").read_text()
    assert "ERROR    m: the step\nfailed\n" in log
    assert "ZeroDivisionError: division by zero" in log


def test_called_twice_each_record_appears_once(tmp_path):
    """The second call replaces the first."""
    stderr = run(
        """
        import sys
        from pathlib import Path
        folder = Path(sys.argv[1])
        setup_logging(folder / "a.log")
        logging.warning("first")
        setup_logging(folder / "b.log")
        setup_logging(folder / "b.log")
        logging.warning("second")
        """,
        tmp_path,
    )
    assert stderr == "warning: first\nwarning: second\n"
    assert [line.split(": ")[1] for line in (tmp_path / "a.log").read_text().splitlines()] == ["first"]
    assert [line.split(": ")[1] for line in (tmp_path / "b.log").read_text().splitlines()] == ["second"]


def test_the_file_is_appended_to_and_its_level_is_chosen(tmp_path):
    """A resumed run goes on in the same file."""
    log = tmp_path / "train.log"
    for level in (logging.INFO, logging.DEBUG, logging.ERROR):
        setup_logging(log, level=level, console=False)
        logging.getLogger("m").debug("at %d", level)
        logging.getLogger("m").info("at %d", level)
    assert [line[-5:] for line in log.read_text().splitlines()] == ["at 20", "at 10", "at 10"]


def test_closing_puts_everything_back(tmp_path):
    """Handlers, level, warnings; and the file is really closed."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, warnings.showwarning)
    setup_logging(tmp_path / "a.log", stream=io.StringIO())
    (stream,) = (handler.stream for handler in root.handlers if getattr(handler, "baseFilename", "")[-5:] == "a.log")
    assert root.level == logging.INFO
    close_logging()
    close_logging()
    assert stream.closed
    assert (list(root.handlers), root.level, warnings.showwarning) == before


def test_handlers_of_others_are_left_alone():
    """A notebook may have its own."""
    stderr = run("""
        logging.basicConfig(format="mine %(message)s")
        setup_logging()
        close_logging()
        logging.warning("x")
    """)
    assert stderr == "mine x\n"


def test_importing_configures_nothing():
    """Library code never does."""
    assert run("import aifs_utils.logs\nassert not logging.getLogger().handlers") == ""


def test_an_unwritable_log_file_is_said_and_the_old_logging_stays(tmp_path):
    """Where, why, what to do."""
    stream = io.StringIO()
    setup_logging(stream=stream)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write the log to .*train\.log \(.+\): choose another folder"):
        setup_logging(tmp_path / "file" / "train.log")
    logging.getLogger("m").warning("still here")
    assert stream.getvalue() == "warning: still here\n"


@pytest.mark.skipif(os.name == "nt", reason="resource limits are POSIX")
def test_a_full_disk_is_said_once_and_does_not_end_the_run(tmp_path):
    """Not a traceback for each record. A limit on the size of files stands in for the disk."""
    stderr = run(
        """
        import resource, sys
        from pathlib import Path
        setup_logging(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        for i in range(5):
            logging.info("step %d", i)
        logging.warning("still here")
        """,
        tmp_path / "train.log",
    )
    first, second = stderr.splitlines()
    assert first == f"warning: the log goes no further: {tmp_path}/train.log cannot be written (File too large)"
    assert second == "warning: still here"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_a_terminal_gets_colour_and_no_markup_is_read(monkeypatch):
    """A message with square brackets is printed as it is, and in one line."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    setup_logging(stream=terminal)
    logging.getLogger("m").warning("shape [bold] (3, 4) " + "x" * 300)
    assert terminal.getvalue() == "\x1b[33mwarning:\x1b[0m shape [bold] (3, 4) " + "x" * 300 + "\n"


def test_no_color_is_respected(monkeypatch):
    """Https://no-color.org."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    setup_logging(stream=terminal)
    logging.getLogger("m").warning("x")
    assert "\x1b[33m" not in terminal.getvalue()
    assert terminal.getvalue().endswith(" x\n")


def test_a_line_is_printed_above_a_progress_bar(monkeypatch):
    """The bar replaces sys.stderr while it is drawn; a line that went round it would break it."""
    from rich.console import Console
    from rich.progress import Progress

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    setup_logging()
    with Progress(console=Console(file=terminal, force_terminal=True, width=60), auto_refresh=False) as progress:
        progress.add_task("epoch", total=2)
        progress.refresh()
        logging.getLogger("m").warning("in the middle")
    lines = [line for line in terminal.getvalue().splitlines() if "in the middle" in line]
    assert len(lines) == 1
    assert "epoch" not in lines[0]


def test_a_process_without_a_console_logs_on(monkeypatch, tmp_path):
    """There, sys.stderr is None."""
    monkeypatch.setattr(sys, "stderr", None)
    setup_logging(tmp_path / "a.log")
    logging.getLogger("m").warning("x")
    assert "x" in (tmp_path / "a.log").read_text()


def test_rich_is_not_imported_where_there_is_no_terminal():
    """It costs a tenth of a second."""
    stderr = run("""
        import sys
        setup_logging()
        logging.warning("x")
        assert "rich" not in sys.modules
    """)
    assert stderr == f"warning: x{os.linesep}"
