"""Measured rows and verdicts in words, the same on the page and in the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from precisionflow.ablation.power import MOST
from precisionflow.config.ablation import Margin
from precisionflow.records.metrics import Metric, metric_named
from precisionflow.report import digits
from precisionflow.report.digits import Digits

Row = dict[str, Any]
"""A row of records.schemas.TABLE or records.schemas.CONTRASTS."""

VerdictKind = Literal["better", "worse", "equivalent", "open", "too-few"]
"""What verdicts are counted and coloured by."""


def plus_minus(row: Row) -> str:
    """mean ± half the width of the interval; the mean alone where there is none."""
    return digits.plus_minus(row["mean"], row["high"] - row["mean"])


def chance(row: Row) -> str:
    """ "0.25 to 0.55": where a calibrated model's mean lies by chance; empty where chance plays no part."""
    return "" if math.isnan(row["chance_low"]) else digits.span(row["chance_low"], row["chance_high"])


def effect(row: Row) -> str:
    """effect [low, high]; the effect alone where there is no interval."""
    return digits.with_interval(row["effect"], row["low"], row["high"])


def probability(p: float) -> str:
    """Three decimals; "< 0.001" below; an em dash for NaN."""
    return "< 0.001" if p < 0.001 else Digits(3).number(p)


def count(n: int, noun: str) -> str:
    """ "3 seeds"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def interval_name(confidence: float) -> str:
    """ "95 % interval"."""
    return f"{100 * confidence:g} % interval"


def quantity(metric: Metric) -> str:
    """What is contrasted: the metric, or its distance from the calibrated value."""
    return metric.name if metric.nominal is None else f"|{metric.name} − {metric.nominal:g}|"


def is_ratio(row: Row) -> bool:
    """Whether the effect of a contrast is a log ratio, as over data sets it may be."""
    return row.get("scale") == "log ratio"


def compared(row: Row) -> str:
    """ "nll", "|coverage_90 − 0.9|", "log ratio of rmse": what the effect of a contrast is one of."""
    shown = quantity(metric_named(row["metric"]))
    return f"log ratio of {shown}" if is_ratio(row) else shown


def direction(metric: Metric) -> str:
    """In words, which values of the metric are good."""
    return f"calibrated at {metric.nominal:g}" if metric.better == "nominal" else f"{metric.better} is better"


def levels_compared(row: Row) -> str:
    """ "precision vs dot_product": the contrast's level and its baseline."""
    return f"{row['level']} vs {row['baseline']}"


Levels = Mapping[str, Mapping[str, str]]
"""Variant -> axis -> level."""


def setting(row: Row, levels: Levels) -> str:
    """ "learning=backprop": where the axes stand in which the two variants agree; may be empty."""
    ours, theirs = levels[row["variant"]], levels[row["baseline_variant"]]
    return ", ".join(f"{axis}={level}" for axis, level in ours.items() if theirs[axis] == level)


def comparison(row: Row, levels: Levels) -> str:
    """ "precision vs dot_product (learning=backprop)"."""
    where = setting(row, levels)
    return levels_compared(row) + (f" ({where})" if where else "")


def margin(row: Row) -> str:
    """ "±0.021": the difference that does not matter; an em dash where none is stated."""
    if math.isnan(row["margin"]):
        return "—"
    return f"±{digits.significant(row['margin'], digits=2)}"


def margins(stated: Mapping[str, Margin]) -> str:
    """ "nll ±1 % of the baseline, ece ±0.01": the margins that an experiment states; empty without any."""
    return ", ".join(
        f"{metric} ±{given.absolute:g}"
        if given.relative is None
        else f"{metric} ±{_per_cent(given.relative)}"
        for metric, given in stated.items()
    )


def outcome(contrasts: Sequence[Row], stated: Mapping[str, Margin]) -> str:
    """ "3 contrasts: 2 better, 1 undecided; margins: ece ±0.01": the tally, and the margins where there are any."""
    told = margins(stated)
    return tally(contrasts) + (f"; margins: {told}" if told else "")


def _per_cent(share: float) -> str:
    return f"{100 * share:g} % of the baseline"


def finding(row: Row, *, unit: str) -> str:
    """ "nll −0.012 [−0.020, −0.004], margin ±0.021, n = 8 seeds": what a contrast measured."""
    stated = "" if math.isnan(row["margin"]) else f", margin {margin(row)}"
    return f"{compared(row)} {effect(row)}{stated}, n = {count(row['n'], unit)}"


def deciding(row: Row) -> str:
    """ "n = 23 would show the difference, 41 equivalence": units that an undecided contrast needs; else empty.

    Empty too where the units do not vary, which says nothing about others.
    """
    if row["verdict"] != "undecided" or not row["std"] > 0:
        return ""
    wanted = {"the difference": row["units_for_difference"], "equivalence": row["units_for_equivalence"]}
    known = {what: f"{n:,.0f}" for what, n in wanted.items() if not math.isnan(n)}
    if not known:
        return f"no n up to {MOST:,} would decide"
    (first, n), *rest = known.items()
    return ", ".join([f"n = {n} would show {first}", *(f"{more} {what}" for what, more in rest)])


def verdict_kind(verdict: str) -> VerdictKind:
    """The group that a verdict of ablation.statistics belongs to."""
    match verdict:
        case "better" | "worse":
            return verdict
        case "undecided":
            return "open"
        case _:
            return "equivalent" if verdict.startswith("equivalent") else "too-few"


def hinges(contrasts: Sequence[Row], levels: Levels, *, confidence: float) -> str:
    """ "Shown by Student's t alone, not by ...: nll of a vs b": differences that hinge on normality; empty for none."""
    only_by_t = [
        f"{compared(row)} of {comparison(row, levels)}"
        for row in contrasts
        if row["verdict"].split()[-1] in ("better", "worse")
        and row.get("sign_flip_adjusted", math.nan) > 1 - confidence
    ]
    if not only_by_t:
        return ""
    named = [*only_by_t[:3], *([f"{len(only_by_t) - 3} more"] if len(only_by_t) > 3 else [])]
    test = "the test of sign flips, which assumes no normal differences"
    return f"Shown by Student's t alone, not by {test}: {', '.join(named)}."


def tally(rows: Sequence[Row]) -> str:
    """ "12 contrasts: 2 better, 6 equivalent, 4 undecided"."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    order = sorted(counts, key=lambda v: (get_args(VerdictKind).index(verdict_kind(v)), v))
    return f"{count(len(rows), 'contrast')}: " + ", ".join(f"{counts[v]} {_counted(v)}" for v in order)


def _counted(verdict: str) -> str:
    if verdict_kind(verdict) == "too-few":
        return f"undecidable ({verdict})"
    first, _, aside = verdict.partition(", ")
    return f"{first} ({aside})" if aside else verdict
