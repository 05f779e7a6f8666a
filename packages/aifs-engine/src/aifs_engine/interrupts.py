"""Ctrl-C and SIGTERM: the first asks, the second is obeyed at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop by a signal. ``exit_code`` is what a shell expects: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")


class PendingInterrupt:
    """Whether a signal has arrived that still has to be obeyed."""

    def __init__(self) -> None:
        self.signal_number = 0

    def raise_if_any(self) -> None:
        """Raise `Interrupted` if a signal has arrived."""
        if self.signal_number:
            raise Interrupted(self.signal_number)

    def conclude(self) -> None:
        """The same at the end of what was not to be interrupted."""
        self.raise_if_any()


@contextmanager
def deferred_interrupts() -> Iterator[PendingInterrupt]:
    """Within the block a first signal only leaves a note; a second one ends the process at once, saving nothing.

    Under torchrun a second one is left to torchrun, which passes on what the terminal has already sent to all, and ends
    a process that takes too long.
    """
    raise_if_swallowed()
    pending = PendingInterrupt()

    def note(signal_number: int, frame: FrameType | None) -> None:
        if pending.signal_number and "TORCHELASTIC_RUN_ID" not in os.environ:
            if sys.stdout is not None and sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h")  # the cursor, which a progress bar hides
            os._exit(128 + signal_number)
        pending.signal_number = signal_number

    with _handlers(note):
        yield pending


_raised = PendingInterrupt()


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """Within the block a signal raises `Interrupted` where the program stands."""

    def leave(signal_number: int, frame: FrameType | None) -> None:
        _raised.signal_number = signal_number
        raise Interrupted(signal_number)

    with _handlers(leave):
        try:
            yield
        finally:
            _raised.signal_number = 0


def raise_if_swallowed() -> None:
    """Raise `Interrupted` again if it was raised and something kept it, as C extensions do while they are imported."""
    _raised.raise_if_any()


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install `handler` for both signals and put the earlier ones back. Only a process's main thread can do so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
