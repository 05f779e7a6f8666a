"""Logging, on real streams in processes of their own where it matters."""

import io
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest

from aifs_utils import ConfigError, close_logging, setup_logging
from aifs_utils.logs import write_held_warnings


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


def test_a_prefix_stands_before_each_message_on_the_console_and_not_in_the_file(tmp_path):
    """The file is that process's own; the console is shared."""
    stream = io.StringIO()
    setup_logging(tmp_path / "a.log", stream=stream, prefix="[rank 1] ")
    logging.getLogger("m").warning("x")
    assert stream.getvalue() == "warning: [rank 1] x\n"
    assert (tmp_path / "a.log").read_text().endswith(" WARNING  m: x\n")


def test_a_filter_decides_what_comes_to_the_console_and_not_about_errors(tmp_path):
    """It is asked about the line without the prefix; the file gets everything."""
    stream, asked = io.StringIO(), []

    def is_wanted(line):
        asked.append(line)
        return "no" not in line

    setup_logging(tmp_path / "a.log", stream=stream, prefix="[rank 0] ", console_filter=is_wanted)
    for number, message in enumerate(("yes", "no", "no", "yes")):
        logging.getLogger("m").log(logging.ERROR if number == 2 else logging.WARNING, message)
    assert stream.getvalue() == "warning: [rank 0] yes\nerror: [rank 0] no\nwarning: [rank 0] yes\n"
    assert asked == ["warning: yes", "warning: no", "warning: yes"]
    assert len((tmp_path / "a.log").read_text().splitlines()) == 4


@pytest.mark.parametrize("options", ["", "console_filter=bool", "console_filter=bool, hold=60.0"])
def test_a_message_that_cannot_be_formatted_is_said_and_does_not_end_the_run(options):
    """Wherever the line is first made."""
    stderr = run(f"""
        setup_logging({options})
        logging.getLogger("m").warning("%d", "seven")
        logging.getLogger("m").error("still here")
    """)
    assert stderr.count("--- Logging error ---") == 1
    assert stderr.endswith("error: still here\n")


def test_a_held_warning_waits_and_is_asked_about_only_then():
    """By then another process may have said it. An error does not wait."""
    stream, said = io.StringIO(), set()
    setup_logging(stream=stream, console_filter=lambda line: line not in said, hold=0.2)
    for message in ("theirs", "ours"):
        logging.getLogger("m").warning(message)
    logging.getLogger("m").error("at once")
    write_held_warnings()
    assert stream.getvalue() == "error: at once\n"
    said.add("warning: theirs")
    time.sleep(0.25)
    write_held_warnings()
    write_held_warnings()
    assert stream.getvalue() == "error: at once\nwarning: ours\n"


def test_a_held_warning_says_what_was_true_when_it_was_logged():
    """Its arguments may change while it waits."""
    stream, shape = io.StringIO(), [3, 4]
    setup_logging(stream=stream, hold=60.0)
    logging.getLogger("m").warning("shape %s", shape)
    shape.append(5)
    close_logging()
    assert stream.getvalue() == "warning: shape [3, 4]\n"


@pytest.mark.parametrize(
    ("end", "code"),
    [("close_logging()", 0), ("", 0), ("raise OSError('the disk is gone')", 1), ("import sys; sys.exit(3)", 3)],
)
def test_held_warnings_are_written_however_the_process_ends(end, code):
    """In order, and each is still asked about."""
    program = "import logging\nfrom aifs_utils import setup_logging, close_logging\n" + textwrap.dedent(
        f"""
        setup_logging(prefix="[rank 1] ", console_filter=lambda line: "theirs" not in line, hold=60.0)
        for message in ("first", "theirs", "second"):
            logging.getLogger("m").warning(message)
        {end}
        """
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == code
    lines = [line for line in finished.stderr.splitlines() if line.startswith("warning: ")]
    assert lines == ["warning: [rank 1] first", "warning: [rank 1] second"]


@pytest.mark.parametrize("hold", [0.0, 0.01])
def test_nothing_else_waits_for_a_filter_that_does_not_answer(hold):
    """Whoever notices that it does not must be able to say so."""
    stream, asked, answer = io.StringIO(), threading.Event(), threading.Event()

    def is_wanted(line):
        asked.set()
        return answer.wait(30)

    def warn():
        logging.getLogger("m").warning("x")
        time.sleep(2 * hold)
        write_held_warnings()

    setup_logging(stream=stream, console_filter=is_wanted, hold=hold)
    thread = threading.Thread(target=warn)
    thread.start()
    assert asked.wait(10)
    logging.getLogger("m").error("it does not answer")
    assert stream.getvalue() == "error: it does not answer\n"
    answer.set()
    thread.join()
    assert stream.getvalue() == "error: it does not answer\nwarning: x\n"


def test_without_logging_there_is_nothing_held():
    """It may be called at any time."""
    close_logging()
    write_held_warnings()
