"""How the benchmarks here measure: in turns, by the median, and in calls."""

import statistics
import sys
import time


class CallCounter:
    """While it is entered, `count` is how many functions of Python and C have been called."""

    def __init__(self):
        self.count = 0

    def __enter__(self):
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _note(self, frame, event, argument):
        self.count += event in ("call", "c_call")


def calls(function):
    """Return how many functions of Python and C a function calls."""
    with CallCounter() as counter:
        function()
    return counter.count


def interleaved(ways, repetitions):
    """Return the median seconds of each function, called in turns; that what it returns goes away is part of it."""
    seconds = {title: [] for title in ways}
    for _ in range(repetitions):
        for title, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[title].append(time.perf_counter() - started)
    return {title: statistics.median(values) for title, values in seconds.items()}
