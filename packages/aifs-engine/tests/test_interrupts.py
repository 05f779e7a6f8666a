import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from aifs_engine.interrupts import Interrupted, deferred_interrupts, raise_if_swallowed, raised_interrupts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_raised_interrupt_carries_the_exit_code_of_its_signal(number, code):
    with pytest.raises(Interrupted) as caught, raised_interrupts():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code
    assert str(caught.value) == f"interrupted by {number.name}"


def test_a_deferred_interrupt_waits_to_be_asked():
    with deferred_interrupts() as pending:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            pending.raise_if_any()


def test_without_a_signal_nothing_is_pending():
    with deferred_interrupts() as pending:
        pending.raise_if_any()


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal\n"
        "from aifs_engine.interrupts import deferred_interrupts\n"
        "with deferred_interrupts():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('first', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('second', flush=True)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (130, "first\n", "")


def test_handlers_are_put_back_however_the_block_ends():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), deferred_interrupts():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_is_a_keyboard_interrupt():
    assert issubclass(Interrupted, KeyboardInterrupt)


def test_outside_the_main_thread_handlers_stay_as_they_are():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with deferred_interrupts(), raised_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_interrupt_that_something_swallowed_is_raised_again():
    with raised_interrupts():
        with suppress(KeyboardInterrupt):  # as C extensions do while they are imported
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), deferred_interrupts():
            raise AssertionError("the training would begin")
        with pytest.raises(Interrupted):
            raise_if_swallowed()
    raise_if_swallowed()  # outside the block it is over
