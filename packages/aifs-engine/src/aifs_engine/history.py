"""The record of a training run, one row per epoch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class History:
    """Metrics by epoch: a list of rows that can also be read by column.

    A row holds ``epoch`` (counted from 1), ``step`` (updates so far) and the epoch's means, prefixed with the part of
    the data that they were measured on: ``train_loss``, ``val_accuracy``… Nothing in it depends on the clock, so two
    runs of the same experiment have equal histories.

    Examples
    --------
    >>> history = History([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}])
    >>> history["train_loss"]
    [0.5, 0.25]
    >>> len(history), history.last["epoch"]
    (2, 2)
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self.rows: list[dict[str, Any]] = [dict(row) for row in rows]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of one more epoch."""
        self.rows.append(dict(row))

    def columns(self) -> dict[str, list[Any]]:
        """Every column by name; NaN stands where a row lacks a value."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {name: [row.get(name, float("nan")) for row in self.rows] for name in names}

    @property
    def last(self) -> dict[str, Any]:
        """The newest row; empty before the first epoch is over."""
        return self.rows[-1] if self.rows else {}

    def __getitem__(self, name: str) -> list[Any]:
        if not any(name in row for row in self.rows):
            raise KeyError(f"no column {name!r}; there are: {', '.join(self.columns()) or 'none'}")
        return self.columns()[name]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return self.rows == other.rows if isinstance(other, History) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"History({len(self)} epochs: {', '.join(self.columns())})"
