"""Paired contrasts of variants: effects with intervals, p values by families, verdicts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from precisionflow.ablation import statistics
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
    rows, look = [], look_of(experiment)
    compared = pairs(experiment, variants)
    for metric in contrasted(experiment):
        units = {
            variant.name: units_of(variant, experiment, metric.name, measured, nominal=metric.nominal)
            for variant in variants
        }
        family = [_contrast(experiment, pair, metric, units) for pair in compared]
        differences = statistics.holm([look.overall_p(row["p"]) for row in family])
        equivalences = statistics.holm([look.overall_p(2 * row["equivalence"]) / 2 for row in family])
        for row, p, equivalence in zip(family, differences, equivalences, strict=True):
            row["p_adjusted"], row["equivalence_adjusted"] = p, equivalence
            row["verdict"] = _refused(row, experiment) or statistics.verdict(
                row["effect"],
                p=p,
                equivalence=equivalence,
                better="higher" if metric.better == "higher" else "lower",
                n=row["n"],
                unit=unit_of(experiment),
                family=len(family),
                confidence=experiment.ablation.confidence,
            )
        rows += family
    return rows


def _refused(row: Mapping[str, Any], experiment: Experiment) -> str | None:
    """Verdict of a contrast without a number: "refused: 1 of 10 splits failed"; none where it has one."""
    if not math.isnan(row["effect"]):
        return None
    unit = unit_of(experiment)
    units = len(experiment.splits if unit == "split" else experiment.seeds)
    return f"refused: {row['failed']} of {units} {unit}s failed"


def _contrast(
    experiment: Experiment, pair: Pair, metric: Metric, units: Mapping[str, Units]
) -> dict[str, Any]:
    """A row of CONTRASTS, but for what depends on its family; `units` are those of every variant."""
    variant, baseline = pair.variant, pair.baseline
    ours, theirs = units[variant.name], units[baseline.name]
    values, reference, failed = _compared(
        ours, theirs, missing=experiment.ablation.missing, worst=_worst(units.values(), metric)
    )
    differences = statistics.paired(values, reference)
    overlap = max(ours.overlap, theirs.overlap)
    level = look_of(experiment).nominal_level(1 - experiment.ablation.confidence)
    interval = statistics.mean_interval(differences, confidence=1 - level, overlap=overlap)
    margin = _margin(experiment.ablation.margins.get(metric.name), reference)
    return {
        "experiment": experiment.name,
        "dataset": variant.dataset,
        "metric": metric.name,
        "axis": pair.axis,
        "level": pair.level(variant),
        "baseline": pair.level(baseline),
        "variant": variant.name,
        "baseline_variant": baseline.name,
        "effect": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "std": interval.std,
        "p": statistics.difference_p(differences, overlap=overlap),
        "margin": margin,
        "equivalence": (
            math.nan
            if math.isnan(margin)
            else statistics.equivalence_p(differences, margin=margin, overlap=overlap)
        ),
        "n": interval.n,
        "failed": failed,
        "overlap": overlap,
    }


def _compared(
    ours: Units, theirs: Units, *, missing: str, worst: float
) -> tuple[list[float], list[float], int]:
    """Values of the units that a contrast is made of, one list for each side, and how many units have none.

    `worst` stands for the value of a failed unit where it counts as the worst.
    """
    pairs = list(zip(ours.values, theirs.values, strict=True))
    whole = [pair for pair in pairs if not math.isnan(sum(pair))]
    failed = len(pairs) - len(whole)
    match missing:
        case "refuse" if failed:
            whole = []
        case "worst_rank" if not math.isnan(worst):
            whole = [(worst if math.isnan(a) else a, worst if math.isnan(b) else b) for a, b in pairs]
    return [a for a, _ in whole], [b for _, b in whole], failed


def _worst(units: Iterable[Units], metric: Metric) -> float:
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
