"""Dates and times as texts: the moment that one says, the formats that fit all."""

import datetime
import re
from collections.abc import Sequence

from precisionflow.data.readers.mistakes import shortened

_YEAR_FIRST = re.compile(r"[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?")
_FORMATS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%y",
    "%y-%m-%d",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%b-%y",
    "%H:%M",
    "%H:%M:%S",
    "%I:%M %p",
)
"""Of dates whose year does not come first, and of times of a day."""


def formats_of(cells: Sequence[str]) -> list[str | None]:
    """Formats that fit all dates, none of them where none does; None: the year comes first."""
    if all(_YEAR_FIRST.fullmatch(cell) and moment_of(cell, None) for cell in cells):
        return [None]
    return [written for written in _FORMATS if all(moment_of(cell, written) for cell in cells)]


def moment_of(cell: str, written: str | None) -> datetime.datetime | None:
    """The moment that a cell says in a format of strptime, without one with the year first; none where it says none."""
    try:
        if written is not None:
            return datetime.datetime.strptime(cell, written)
        if not _YEAR_FIRST.fullmatch(cell):
            return None
        return datetime.datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        return None


def is_time_of_day(written: str | None) -> bool:
    """Whether a format has no date."""
    return written is not None and "%y" not in written.lower()


def no_date(cell: str, written: str | None) -> str:
    """What is wrong with a cell that says no moment, and what to do."""
    shown = repr(shortened(cell))
    if written is not None:
        return (
            f"{shown} is no date of the form {written}; mend the cell, or state another format of the column"
        )
    for pattern, format in (
        (r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", "%d.%m.%Y"),
        (r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}", "%d/%m/%Y or %m/%d/%Y"),
        (r"[0-9]{8}", "%Y%m%d"),
    ):
        if re.fullmatch(pattern, cell):
            return f"{shown} is no date with the year first; state the format of the column, such as {format}"
    return f"{shown} is no date; write it as 2026-01-31, or state the format of the column, such as %d.%m.%Y"
