"""Rows of a table, grouped by one of its columns."""

from collections.abc import Sequence

from precisionflow.report.wording import Row


def by(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    """Rows with one value of a column each, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
