"""A figure and the numbers that it draws, which come together: on the page, and as files."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import numpy as np

DIGITS = 5
"""Significant digits of a number; a figure shows fewer."""

Column = Sequence[Any] | np.ndarray
"""Numbers, whole or real, or texts; NaN or None where nothing is drawn."""


@dataclass(frozen=True)
class Numbers:
    """Series by name, each with one column of its own length for every heading; a single series may have no name."""

    headings: tuple[str, ...]
    series: Mapping[str, tuple[Column, ...]]

    def __post_init__(self) -> None:
        if not self.headings or not self.series:
            raise ValueError("a figure has numbers: at least one heading and one series")
        for name, columns in self.series.items():
            lengths = {len(column) for column in columns}
            if len(columns) != len(self.headings) or len(lengths) > 1:
                raise ValueError(
                    f"series {name!r}: given columns of {[len(c) for c in columns]} numbers; should be "
                    f"{len(self.headings)} of equal length, as the headings are {', '.join(self.headings)}"
                )

    @property
    def html(self) -> str:
        """A table whose bodies are the series, each below its name."""
        head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in self.headings)
        bodies = "\n".join(
            f"<tbody>\n{self._named(name)}{_lines(columns)}</tbody>" for name, columns in self.series.items()
        )
        return f"<table>\n<thead><tr>{head}</tr></thead>\n{bodies}\n</table>"

    def _named(self, name: str) -> str:
        if not name:
            return ""
        return f'<tr><th scope="rowgroup" colspan="{len(self.headings)}">{escape(name)}</th></tr>\n'


@dataclass(frozen=True)
class Drawn:
    """A figure."""

    svg: str
    numbers: Numbers


def _lines(columns: Sequence[Column]) -> str:
    texts = [[_shown(value) for value in _plain(column)] for column in columns]
    return "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>\n" for row in zip(*texts, strict=True))


def _plain(column: Column) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _shown(value: Any) -> str:
    """A number as spreadsheets read it: whole ones with all their digits, others with `DIGITS` significant ones."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or math.isnan(value):
        return ""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e9
    return f"{int(value)}" if whole else f"{value:.{DIGITS}g}"


_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_CELLS = re.compile(r"<(th|td)([^>]*)>(.*?)</\1>", re.DOTALL)


def separated(html: str) -> str:
    """The table of `Numbers.html` as comma-separated values, as in RFC 4180; the first column names the series.

    Without that column where the only series has no name.
    """
    head, *rows = [list(_cells(row)) for row in html.split("<tr>")[1:]]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    named = any(len(row) == 1 and 'scope="rowgroup"' in row[0][0] for row in rows)
    first: list[str] = ["series"] if named else []
    writer.writerow([*first, *(text for _, text in head)])
    for row in rows:
        if 'scope="rowgroup"' in row[0][0]:
            first = [row[0][1]]
        else:
            writer.writerow([*first, *(text for _, text in row)])
    return file.getvalue()


def _cells(row: str) -> Iterator[tuple[str, str]]:
    """Attributes and text of each cell of a row."""
    for found in _CELLS.finditer(row):
        yield found[2], unescape(found[3])
