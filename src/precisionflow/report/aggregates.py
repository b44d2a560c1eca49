"""Table of all runs over several data sets: interquartile means."""

from collections.abc import Sequence

from precisionflow.report import digits, wording
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row


def iqm_table(rows: Sequence[Row], *, caption: str) -> Table:
    """Variants by metrics: interquartile mean of all runs, relative to the reference."""
    where = {(row["variant"], row["metric"]): row for row in rows}
    scales = {row["metric"]: wording.compared(row) for row in rows}
    body = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        of = [where[variant, metric] for metric in scales]
        shown = [digits.with_interval(row["iqm"], row["low"], row["high"]) for row in of]
        body.append(tuple(map(Entry, (variant, *shown, str(of[0]["n"])))))
    return Table(caption, tuple(map(Entry, ("variant", *scales.values(), "runs"))), tuple(body))
