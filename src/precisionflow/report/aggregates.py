"""Tables of all runs over several data sets: interquartile means, performance profiles."""

from collections.abc import Sequence

from precisionflow.report import digits, grouping, wording
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


def profile_table(rows: Sequence[Row], *, caption: str, shown: int = 5) -> Table:
    """Share of each variant's runs at thresholds that are evenly apart."""
    profiles = grouping.by(rows, "variant")
    thresholds = next(iter(profiles.values()))
    step = (len(thresholds) - 1) // (shown - 1)
    spread = abs(thresholds[-1]["threshold"] - thresholds[0]["threshold"]) / shown
    found = digits.common_digits([row["threshold"] for row in thresholds], spread=spread)
    headings = (found.times(found.number(row["threshold"], sign=True)) for row in thresholds[::step])
    body = [
        tuple(map(Entry, (variant, *(f"{row['share']:.2f}" for row in of[::step]))))
        for variant, of in profiles.items()
    ]
    return Table(caption, tuple(map(Entry, ("variant", *headings))), tuple(body))
