"""Tables and sentences of a scaling analysis, for the page and for the terminal."""

import math
from collections.abc import Mapping, Sequence

from precisionflow.ablation.analyses.power_law import FLATTEST, STEEPEST
from precisionflow.ablation.analyses.scaling import FLOPS, SECONDS
from precisionflow.records.metrics import metric_named
from precisionflow.report import digits, wording
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

DEPARTS = 0.1
"""Share by which seconds leave what the operations predict before it is told."""
Names = Mapping[str, str]
"""Dotted key of a size -> its short name."""


def quantity(name: str) -> str:
    """The metric, or what is known of an optimiser step."""
    match name:
        case "seconds":
            return "seconds a step"
        case "flops":
            return "operations a step"
        case _:
            return wording.quantity(metric_named(name))


def determined(law: Row) -> bool:
    """Whether the sizes say what the exponent is: its interval has one sign and reaches no end of what is looked at."""
    ends = [law[f"exponent{end}"] for end in ("", "_low", "_high")]
    sizes = [math.copysign(size, size * law["exponent"]) for size in ends if not math.isnan(size)]
    return bool(sizes) and all(FLATTEST * 1.02 < size < STEEPEST * 0.98 for size in sizes)


def finding(law: Row, *, names: Names) -> str:
    """ "nll goes with width^−0.21 [−0.30, −0.15] to 1.92 [1.80, 2.00]"."""
    size, what = names[law["size"]], quantity(law["quantity"])
    if math.isnan(law["exponent"]):
        return f"{what} by {size}: {'does not change' if law['units'] else 'no law, as no unit is complete'}"
    if not determined(law):
        return f"{what} by {size}: these {law['n']} sizes do not determine an exponent"
    word = "goes" if law["quantity"] in (SECONDS, FLOPS) else "falls" if law["factor"] > 0 else "rises"
    start = "from" if law["quantity"] in (SECONDS, FLOPS) else "towards"
    end = f"{start} {stated(law, 'offset', sign=False)}"
    return f"{what} {word} with {size} to the power {stated(law, 'exponent')} {end}"


def law_table(laws: Sequence[Row], *, names: Names, caption: str) -> Table:
    """A line for each size and quantity."""
    headings = ("size", "quantity", "exponent", "offset", "factor", "sizes", "units")
    body = []
    for law in laws:
        shown = (
            Entry(stated(law, "exponent"), "" if determined(law) else "not determined"),
            Entry(stated(law, "offset", sign=False)),
            Entry(stated(law, "factor", sign=False)),
        )
        about = (Entry(names[law["size"]]), Entry(quantity(law["quantity"])))
        body.append((*about, *shown, Entry(str(law["n"])), Entry(str(law["units"]))))
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def point_table(points: Sequence[Row], *, names: Names, caption: str) -> Table:
    """What was measured at each size, what its law says there, and of seconds where they leave the prediction."""
    headings = ("size", "quantity", "at", "measured", "by the law", "measured / predicted")
    body = [
        (
            Entry(names[point["size"]]),
            Entry(quantity(point["quantity"])),
            Entry(f"{point['at']:g}"),
            Entry(digits.plus_minus(point["mean"], point["high"] - point["mean"])),
            Entry(digits.significant(point["fitted"])),
            Entry(_ratio(point), departure(point)),
        )
        for point in points
        if point["quantity"] != FLOPS
    ]
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def departure(point: Row) -> str:
    """ "above": seconds are shown to be further from what the operations predict than DEPARTS; else empty."""
    if math.isnan(point["ratio_low"]):
        return ""
    if point["ratio_low"] > 1 + DEPARTS:
        return "above"
    return "below" if point["ratio_high"] < 1 - DEPARTS else ""


def isoflop_table(rows: Sequence[Row], *, metric: str, caption: str) -> Table:
    """A line for each budget; what lies outside of the runs is said to."""
    headings = ("operations", "best parameters", "targets to learn from", metric)
    body = []
    for row in rows:
        notes = {name: "outside of the runs" for name in row["outside"].split(", ") if name}
        notes |= {"loss": "by the law alone"} if notes else {}
        best = [
            Entry(stated(row, name, sign=False), notes.get(name, ""))
            for name in ("parameters", "data", "loss")
        ]
        body.append((Entry(digits.significant(row["flops"], digits=2)), *best))
    outside = sum(bool(row["outside"]) for row in rows)
    if outside:
        caption += (
            f"; outside of the runs, and so a guess, at {outside} of {wording.count(len(rows), 'budget')}"
        )
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def stated(row: Row, name: str, *, sign: bool = True) -> str:
    """A number of a row with its interval."""
    return digits.with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], sign=sign)


def _ratio(point: Row) -> str:
    if math.isnan(point["ratio"]):
        return "—"
    if point["ratio_low"] == point["ratio_high"]:
        return "1, by definition"
    return digits.with_interval(point["ratio"], point["ratio_low"], point["ratio_high"], sign=False)
