"""Checks at the boundary: a number that makes no sense is refused by name before anything is computed from it."""

import math
import operator
from typing import Any

from aifs_utils import DataError


def require_count(name: str, value: Any, at_least: int = 1) -> int:
    """Return `value` as an int if it is an integer of at least this; otherwise raise DataError."""
    try:
        count = operator.index(value)
    except TypeError:
        count = at_least - 1
    if isinstance(value, bool) or count < at_least:
        raise DataError(f"{name} is an integer of at least {at_least}, got {value!r}")
    return count


def require_number(
    name: str, value: Any, at_least: float | None = None, above: float | None = None, below: float | None = None
) -> float:
    """Return `value` as a float if it is a finite number within these bounds; otherwise raise DataError."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    bounds = {"at least": at_least, "above": above, "below": below}
    inside = (
        (at_least is None or number >= at_least)
        and (above is None or number > above)
        and (below is None or number < below)
    )
    if not (math.isfinite(number) and inside):
        wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
        raise DataError(f"{name} is a finite number {wanted}".rstrip() + f", got {value!r}")
    return number
