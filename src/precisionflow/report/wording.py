"""Numbers and verdicts in words, the same on the page and in the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from precisionflow.records.metrics import Metric, metric_named

Row = dict[str, Any]
"""A row of records.schemas.TABLE or records.schemas.CONTRASTS."""

VerdictKind = Literal["better", "worse", "open", "too-few"]


def number(value: float, *, decimals: int, sign: bool = False) -> str:
    """Fixed point with a true minus sign; an em dash for NaN."""
    if math.isnan(value):
        return "—"
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def decimals(spread: float, value: float) -> int:
    """Decimals that show two digits of `spread`, or four digits of `value` where the spread is none or rounding."""
    size, digits = (spread, 2) if spread > 1e-9 * abs(value) else (abs(value), 4)
    if not size > 0 or math.isinf(size):
        return 3
    return min(max(digits - 1 - math.floor(math.log10(size)), 0), 8)


def plus_minus(row: Row) -> str:
    """mean ± half the width of the interval; the mean alone where there is none."""
    half = row["high"] - row["mean"]
    places = decimals(half, row["mean"])
    mean = number(row["mean"], decimals=places)
    return mean if math.isnan(half) else f"{mean} ± {number(half, decimals=places)}"


def effect(row: Row) -> str:
    """effect [low, high]; the effect alone where there is no interval."""
    places = decimals(row["high"] - row["effect"], row["effect"])
    text = number(row["effect"], decimals=places, sign=True)
    if math.isnan(row["low"]):
        return text
    return f"{text} [{number(row['low'], decimals=places)}, {number(row['high'], decimals=places)}]"


def probability(p: float) -> str:
    """Three decimals; "< 0.001" below; an em dash for NaN."""
    return "< 0.001" if p < 0.001 else number(p, decimals=3)


def count(n: int, noun: str) -> str:
    """ "3 seeds"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def interval_name(confidence: float) -> str:
    """ "95 % interval"."""
    return f"{100 * confidence:g} % interval"


def quantity(metric: Metric) -> str:
    """What is contrasted: the metric, or its distance from the calibrated value."""
    return metric.name if metric.nominal is None else f"|{metric.name} − {metric.nominal:g}|"


def direction(metric: Metric) -> str:
    """In words, which values of the metric are good."""
    return f"calibrated at {metric.nominal:g}" if metric.better == "nominal" else f"{metric.better} is better"


def levels_compared(row: Row) -> str:
    """ "precision vs dot_product": the contrast's level and its baseline."""
    return f"{row['level']} vs {row['baseline']}"


def setting(row: Row, levels: Mapping[str, str]) -> str:
    """ "learning=backprop": where the other axes stand, `levels` being those of the variant; may be empty."""
    return ", ".join(f"{axis}={level}" for axis, level in levels.items() if axis != row["axis"])


def comparison(row: Row, levels: Mapping[str, str]) -> str:
    """ "precision vs dot_product (learning=backprop)"."""
    where = setting(row, levels)
    return levels_compared(row) + (f" ({where})" if where else "")


def finding(row: Row, *, unit: str) -> str:
    """ "nll −0.012 [−0.020, −0.004], n = 3 seeds": what a contrast measured."""
    return f"{quantity(metric_named(row['metric']))} {effect(row)}, n = {count(row['n'], unit)}"


def verdict_kind(verdict: str) -> VerdictKind:
    """The group that a verdict of ablation.statistics belongs to."""
    match verdict:
        case "better" | "worse":
            return verdict
        case "no difference shown":
            return "open"
        case _:
            return "too-few"


def tally(rows: Sequence[Row]) -> str:
    """ "12 contrasts: 2 better, 10 no difference shown"."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    order = sorted(counts, key=lambda v: (("better", "worse", "open", "too-few").index(verdict_kind(v)), v))
    return f"{count(len(rows), 'contrast')}: " + ", ".join(f"{counts[v]} {_counted(v)}" for v in order)


def _counted(verdict: str) -> str:
    kind = verdict_kind(verdict)
    return verdict if kind != "too-few" else f"undecidable ({verdict})"
