"""Look things up by name, with a suggestion when the name is unknown."""

from collections.abc import Mapping
from typing import TypeVar

from aifs_utils.exceptions import AIFromScratchError, ConfigError

T = TypeVar("T")


def look_up(
    choices: Mapping[str, T],
    name: str,
    kind: str,
    error: type[AIFromScratchError] = ConfigError,
) -> T:
    """Return ``choices[name]``, or say which name was probably meant.

    Parameters
    ----------
    choices : mapping of str to T
        What there is.
    name : str
        What is asked for; it must match exactly.
    kind : str
        What the choices are, in one word for the message ("experiment").
    error : type of AIFromScratchError
        What to raise.

    Returns
    -------
    T
        The value of that name.

    Raises
    ------
    AIFromScratchError
        Of type `error`, when there is no such name.

    Examples
    --------
    >>> look_up({"and": 1, "xor": 2}, "xor", "experiment")
    2
    >>> look_up({"and": 1, "xor": 2}, "xro", "experiment")
    Traceback (most recent call last):
        ...
    aifs_utils.exceptions.ConfigError: unknown experiment 'xro': did you mean 'xor'? (choices: and, xor)
    """
    if isinstance(name, str) and name in choices:
        return choices[name]
    meant = _closest(name, choices) if isinstance(name, str) else None
    suggestion = f": did you mean {meant!r}?" if meant else ""
    raise error(f"unknown {kind} {name!r}{suggestion} (choices: {', '.join(choices) or 'none'})")


def _closest(name: str, choices: Mapping[str, object]) -> str | None:
    import difflib

    folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else None
