"""Paired contrasts of variants: effects with intervals, p values by families, verdicts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from precisionflow.ablation import power, statistics
from precisionflow.ablation.bootstrap import mean_intervals
from precisionflow.ablation.design import Pair, Variant, pairs, unit_of
from precisionflow.ablation.measured import Measured, Units, units_of
from precisionflow.ablation.sequential import look_of
from precisionflow.config import Experiment
from precisionflow.config.ablation import Margin
from precisionflow.records.metrics import Metric, metric_named


def contrasted(experiment: Experiment) -> list[Metric]:
    """The metrics that the experiment's contrasts are about."""
    return [metric_named(name) for name in experiment.ablation.metrics or experiment.task.headline]


def contrasts_of(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[dict[str, Any]]:
    """Paired contrasts of one dataset; Holm's families are all contrasts of one metric, for each kind of p."""
    rows = []
    compared = pairs(experiment, variants)
    for metric in contrasted(experiment):
        units = {
            variant.name: units_of(variant, experiment, metric.name, measured, nominal=metric.nominal)
            for variant in variants
        }
        family = [_contrast(experiment, pair, metric, units) for pair in compared]
        asked = len(experiment.splits if unit_of(experiment) == "split" else experiment.seeds)
        judge(family, metric, experiment, unit=unit_of(experiment), asked=asked)
        look = look_of(experiment)
        flips = statistics.holm([look.overall_p(row["sign_flip"]) for row in family])
        rows += [row | {"sign_flip_adjusted": p} for row, p in zip(family, flips, strict=True)]
    return rows


def judge(
    family: list[dict[str, Any]],
    metric: Metric,
    experiment: Experiment,
    *,
    unit: statistics.Unit,
    asked: int,
) -> None:
    """Give the rows of one of Holm's families their adjusted p, verdicts and the units that would decide.

    `asked` is the number of units of each.
    """
    look, confidence = look_of(experiment), experiment.ablation.confidence
    differences = statistics.holm([look.overall_p(row["p"]) for row in family])
    equivalences = statistics.holm([look.overall_p(2 * row["equivalence"]) / 2 for row in family])
    level = look.last.nominal_level((1 - confidence) / max(len(family), 1))
    why = "without an effect to compare" if unit == "data set" else "failed"
    for row, p, equivalence in zip(family, differences, equivalences, strict=True):
        row["p_adjusted"], row["equivalence_adjusted"] = p, equivalence
        refused = f"refused: {row['failed']} of {asked} {unit}s {why}" if math.isnan(row["effect"]) else None
        row["verdict"] = refused or statistics.verdict(
            row["effect"],
            p=p,
            equivalence=equivalence,
            better="higher" if metric.better == "higher" else "lower",
            n=row["n"],
            unit=unit,
            family=len(family),
            confidence=confidence,
        )
        row |= _deciding(row, level=level)


def _deciding(row: Mapping[str, Any], *, level: float) -> dict[str, float]:
    """Units that would show the measured effect, or equivalence, with `power.POWER`; NaN where the verdict is another.

    More than there are: an early of several looks may ask for more than its units show.

    `level` is what Holm asks of the strictest test of the family, at the last look where there are several.
    """
    std = row["std"] if row["verdict"] == "undecided" else math.nan
    given = {"std": std, "level": level, "overlap": row.get("overlap", 0.0)}
    margin = math.nan if math.isnan(row["equivalence"]) else row["margin"]
    found = {
        "units_for_difference": power.units_for_difference(row["effect"], **given),
        "units_for_equivalence": power.units_for_equivalence(row["effect"], margin=margin, **given),
    }
    return {name: n if math.isnan(n) else max(n, row["n"] + 1.0) for name, n in found.items()}


def _contrast(
    experiment: Experiment, pair: Pair, metric: Metric, units: Mapping[str, Units]
) -> dict[str, Any]:
    """A row of CONTRASTS, but for what depends on its family; `units` are those of every variant."""
    ours, theirs = units[pair.variant.name], units[pair.baseline.name]
    both = compared(ours, theirs, missing=experiment.ablation.missing, worst=worst(units.values(), metric))
    overlap = max(ours.overlap, theirs.overlap)
    differences = statistics.paired(both.ours, both.theirs)
    found = effect_of(
        differences,
        margin=_margin(experiment.ablation.margins.get(metric.name), both.theirs),
        bounded=both.bounded,
        overlap=overlap,
        confidence=confidence_of(experiment),
    )
    return {
        **named(experiment, pair, metric),
        **found,
        "dataset": pair.variant.dataset,
        "failed": both.failed,
        "overlap": overlap,
        "sign_flip": math.nan if overlap else statistics.sign_flip_p(differences),
        **mean_intervals(differences, confidence=confidence_of(experiment), overlap=overlap)._asdict(),
    }


LEAST_LEVEL = 1e-12
"""Of an interval: at early looks less is spent than a float64 below 1 can tell."""


def confidence_of(experiment: Experiment) -> float:
    """Of a single interval, so that those of all looks hold together at the experiment's, up to LEAST_LEVEL."""
    return 1 - max(look_of(experiment).nominal_level(1 - experiment.ablation.confidence), LEAST_LEVEL)


def named(experiment: Experiment, pair: Pair, metric: Metric) -> dict[str, Any]:
    """What a row of contrasts is about, but for its data set."""
    return {
        "experiment": experiment.name,
        "metric": metric.name,
        "axis": pair.axis,
        "level": pair.level(pair.variant),
        "baseline": pair.level(pair.baseline),
        "variant": pair.variant.name,
        "baseline_variant": pair.baseline.name,
    }


def effect_of(
    differences: list[float], *, margin: float, bounded: bool, confidence: float, overlap: float = 0.0
) -> dict[str, Any]:
    """Effect, interval and p alone of paired differences; a `margin` of NaN stands for none.

    Of differences that are not `bounded` (`Pairs`) equivalence is not tested.
    """
    interval = statistics.mean_interval(differences, confidence=confidence, overlap=overlap)
    return {
        "effect": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "std": interval.std,
        "p": statistics.difference_p(differences, overlap=overlap),
        "margin": margin,
        "equivalence": (
            math.nan
            if math.isnan(margin) or not bounded
            else statistics.equivalence_p(differences, margin=margin, overlap=overlap)
        ),
        "n": interval.n,
    }


class Pairs(NamedTuple):
    """Values of the units that a contrast is made of, one list for each side; of copies on both the first alone."""

    ours: list[float]
    theirs: list[float]
    failed: int
    """Units of which a side has no value."""
    bounded: bool
    """Whether all are measured: what stands for a failed unit says that it is bad, not how bad."""


def compared(ours: Units, theirs: Units, *, missing: str, worst: float) -> Pairs:
    """The pairs by the rule for `missing` values; none where no unit of either side has one.

    `worst` stands for the value of a failed unit where it counts as the worst.
    """
    values = list(zip(ours.values, theirs.values, strict=True))
    whole = [pair for pair in values if not math.isnan(sum(pair))]
    measured = len(whole)
    match missing:
        case "refuse" if measured < len(values):
            whole = []
        case "worst_rank" if ours.known or theirs.known:
            whole = [(worst if math.isnan(a) else a, worst if math.isnan(b) else b) for a, b in values]
    if ours.copies and theirs.copies:
        whole = whole[:1]
    one, other = ([pair[side] for pair in whole] for side in (0, 1))
    return Pairs(one, other, len(values) - measured, bounded=len(whole) <= measured)


def worst(units: Iterable[Units], metric: Metric) -> float:
    """The worst unit of all variants; NaN where none has a value."""
    known = [value for of in units for value in of.known]
    return (min if metric.better == "higher" else max)(known, default=math.nan)


def _margin(margin: Margin | None, baseline: list[float]) -> float:
    """In the metric's own unit; NaN where none is stated."""
    if margin is None or not baseline:
        return math.nan
    if margin.absolute is not None:
        return margin.absolute
    assert margin.relative is not None
    return margin.relative * abs(math.fsum(baseline) / len(baseline))
