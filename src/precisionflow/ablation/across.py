"""Several data sets together: the contrasts of their effects, and the ranks of their variants."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from precisionflow.ablation import statistics
from precisionflow.ablation.bootstrap import Stated, improvement
from precisionflow.ablation.contrasts import (
    compared,
    confidence_of,
    contrasted,
    effect_of,
    judge,
    named,
    worst,
)
from precisionflow.ablation.design import Pair, Variant, pairs
from precisionflow.ablation.measured import Measured, Units, units_of
from precisionflow.ablation.ranks import FEWEST, ranking
from precisionflow.config import Experiment
from precisionflow.config.ablation import Margin
from precisionflow.records.metrics import Metric

Groups = Mapping[str, Sequence[Variant]]
"""Data set -> its variants, the same and in the same order on each."""
OfSet = Mapping[str, Units]
"""Variant -> what its units measured on a data set."""
RATIOS = ("target", "target²", "choices", "s", "1/s")
"""Units of metrics that are above 0 and whose scale is another on every data set."""


class Sides(NamedTuple):
    """The paired units of a contrast on one data set, and the share of rows that splits have in common."""

    ours: list[float]
    theirs: list[float]
    overlap: float
    bounded: bool
    """As `contrasts.Pairs` has it."""


def scale_of(metric: Metric) -> Literal["difference", "log ratio"]:
    """How effects of different data sets are made comparable."""
    return "log ratio" if metric.unit in RATIOS else "difference"


def across_of(experiment: Experiment, groups: Groups, measured: Measured) -> list[dict[str, Any]]:
    """Rows of ACROSS: the effect of every contrast over two data sets or more, each set a unit of its own.

    With d_i the effect on data set i and v_i = s_i² (1 / n_i + overlap_i) the variance of its estimate,

        effect = mean of d_i ± t_{k-1} * S / sqrt(k) ,     between² = max(0, S² - mean of v_i) ,

    S² the variance of the d_i, which estimates between² + mean of v_i (Hedges 1983). Valid at 95 % whatever the v_i
    are (Ibragimov and Müller 2010). Holm's family is all contrasts of one metric.
    """
    variants = [list(of) for of in groups.values()]
    if len(variants) < 2:
        return []
    rows = []
    for metric in contrasted(experiment):
        units = [_units(experiment, of, metric, measured) for of in variants]
        family = [_contrast(experiment, pair, metric, units) for pair in pairs(experiment, variants[0])]
        judge(family, metric, experiment, unit="data set", asked=len(variants))
        rows += family
    return rows


def _units(
    experiment: Experiment, variants: Sequence[Variant], metric: Metric, measured: Measured
) -> dict[str, Units]:
    return {
        variant.name: units_of(variant, experiment, metric.name, measured, nominal=metric.nominal)
        for variant in variants
    }


def _contrast(experiment: Experiment, pair: Pair, metric: Metric, sets: Sequence[OfSet]) -> dict[str, Any]:
    """A row of ACROSS, but for what depends on its family."""
    known = [of for of in (_sides(experiment, pair, metric, units) for units in sets) if of is not None]
    failed = len(sets) - len(known)
    if failed and experiment.ablation.missing == "refuse":
        known = []
    effects = [_effect(of, metric) for of in known]
    likely = _improvement(known, metric, confidence=experiment.ablation.confidence)
    found = effect_of(
        [mean for mean, _ in effects],
        margin=_margin(experiment.ablation.margins.get(metric.name), metric),
        bounded=all(of.bounded for of in known),
        confidence=confidence_of(experiment),
    )
    return {
        **named(experiment, pair, metric),
        **found,
        "scale": scale_of(metric),
        "between": _between(found["std"], [error for _, error in effects]),
        "failed": failed,
        "improvement": likely.value,
        "improvement_low": likely.low,
        "improvement_high": likely.high,
    }


def _improvement(sets: Sequence[Sides], metric: Metric, *, confidence: float) -> Stated:
    """That of the variant over its baseline; NaN for no data set."""
    if not sets:
        return Stated(math.nan, math.nan, math.nan)
    sign = -1.0 if metric.better == "higher" else 1.0
    ours, theirs = [sign * np.array(of.ours) for of in sets], [sign * np.array(of.theirs) for of in sets]
    return improvement(ours, theirs, confidence=confidence, overlaps=[of.overlap for of in sets])


def _sides(experiment: Experiment, pair: Pair, metric: Metric, units: OfSet) -> Sides | None:
    """None where no pair is left, and where a score of 0 or less has no ratio."""
    ours, theirs = units[pair.variant.name], units[pair.baseline.name]
    both = compared(ours, theirs, missing=experiment.ablation.missing, worst=worst(units.values(), metric))
    if not both.ours or (scale_of(metric) == "log ratio" and min(*both.ours, *both.theirs) <= 0):
        return None
    return Sides(both.ours, both.theirs, max(ours.overlap, theirs.overlap), both.bounded)


def _effect(of: Sides, metric: Metric) -> tuple[float, float]:
    """Mean effect on a data set, and its standard error, NaN for one unit."""
    differences = statistics.paired(of.ours, of.theirs)
    if scale_of(metric) == "log ratio":
        differences = [math.log1p(d / value) for d, value in zip(differences, of.theirs, strict=True)]
    mean, _, _, std, n = statistics.mean_interval(differences, confidence=0.95)
    return mean, std * math.sqrt(1 / n + of.overlap)


def _between(std: float, errors: Sequence[float]) -> float:
    """Standard deviation of the true effects between data sets; NaN where a data set has one unit."""
    if not errors:
        return math.nan
    variance = std**2 - math.fsum(error**2 for error in errors) / len(errors)
    return math.nan if math.isnan(variance) else math.sqrt(max(variance, 0.0))


def _margin(margin: Margin | None, metric: Metric) -> float:
    """On the scale of the effects: an absolute margin of differences, log(1 + m) of a share m of ratios; else NaN."""
    match scale_of(metric), margin:
        case "difference", Margin(absolute=float(absolute)):
            return absolute
        case "log ratio", Margin(relative=float(relative)):
            return math.log1p(relative)
        case _:
            return math.nan


def ranks_of(experiment: Experiment, groups: Groups, measured: Measured) -> list[dict[str, Any]]:
    """Rows of RANKS: the ranks of all variants by their means, for each metric.

    None for fewer than `FEWEST` variants or data sets, and for a metric with failed cells that are refused.
    """
    names = [variant.name for variant in next(iter(groups.values()), [])]
    rows: list[dict[str, Any]] = []
    for metric in contrasted(experiment):
        tables = [complete(experiment, of, metric, measured).values for of in groups.values()]
        means = [[math.fsum(values) / len(values) for values in of.tolist()] for of in tables if of.size]
        table = np.array(means, dtype=float).reshape(-1, len(names))
        if min(table.shape) < FEWEST or np.isnan(table).any():
            continue
        found = ranking(
            -table if metric.better == "higher" else table, confidence=experiment.ablation.confidence
        )
        of_all = {"sets": len(table), **found._asdict()}
        del of_all["mean_ranks"]
        key = {"experiment": experiment.name, "metric": metric.name}
        rows += [
            key | {"variant": name, "mean_rank": rank} | of_all
            for name, rank in zip(names, found.mean_ranks, strict=True)
        ]
    return rows


class Complete(NamedTuple):
    """Values of all variants on a data set, and the share of rows that its splits have in common."""

    values: Float[np.ndarray, "variants units"]
    overlap: float


def complete(
    experiment: Experiment, variants: Sequence[Variant], metric: Metric, measured: Measured
) -> Complete:
    """Failed units are taken as `ablation.missing` says: NaN where refused, no column where left out."""
    units = _units(experiment, variants, metric, measured)
    values = np.array([of.values for of in units.values()])
    match experiment.ablation.missing:
        case "drop_pair":
            values = values[:, ~np.isnan(values).any(axis=0)]
        case "worst_rank":
            values = np.where(np.isnan(values), worst(units.values(), metric), values)
    return Complete(values, max(of.overlap for of in units.values()))
