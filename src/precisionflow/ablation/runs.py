"""Runs of several data sets together: interquartile means and performance profiles of the variants."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from precisionflow.ablation.across import Groups, complete, scale_of
from precisionflow.ablation.bootstrap import Runs, interquartile_mean, profile
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.measured import Measured
from precisionflow.ablation.statistics import tied
from precisionflow.config import Experiment
from precisionflow.records.metrics import Metric

THRESHOLDS = 41
"""Scores at which a profile is told, evenly from the best to the worst run."""
Row = dict[str, Any]


def runs_of(experiment: Experiment, groups: Groups, measured: Measured) -> tuple[list[Row], list[Row]]:
    """Rows of IQM and of PROFILES, for each metric over two data sets or more.

    A run's score is its difference from the mean of the design's first variant on the same data set, or the log of its
    ratio to it; that mean counts as known. None of a metric with failed cells that are refused.
    """
    means: list[Row] = []
    profiles: list[Row] = []
    if len(groups) < 2:
        return means, profiles
    names = [variant.name for variant in next(iter(groups.values()))]
    for metric in contrasted(experiment):
        tables = [complete(experiment, variants, metric, measured) for variants in groups.values()]
        known = [table for table in tables if table.values.size]
        scores = [_relative(table.values, metric) for table in known]
        if len(scores) < 2 or any(np.isnan(table).any() for table in scores):
            continue
        runs = {name: [table[place] for table in scores] for place, name in enumerate(names)}
        key = {"experiment": experiment.name, "metric": metric.name}
        given: dict[str, Any] = {
            "confidence": experiment.ablation.confidence,
            "overlaps": [table.overlap for table in known],
        }
        for name, of in runs.items():
            found = interquartile_mean(of, **given)
            about = {"scale": scale_of(metric), "variant": name, "reference": names[0]}
            told = {"iqm": found.value, "low": found.low, "high": found.high}
            means.append(key | about | told | {"n": sum(map(len, of)), "sets": len(of)})
        profiles += [key | row for row in _profiles(runs, metric, **given)]
    return means, profiles


def _relative(
    table: Float[np.ndarray, "variants units"], metric: Metric
) -> Float[np.ndarray, "variants units"]:
    """Scores on a data set; NaN where a score of 0 or less has no ratio."""
    reference = table[0].mean()
    if scale_of(metric) == "difference":
        return table - reference
    if table.min() <= 0:
        return np.full_like(table, math.nan)
    return np.log(table / reference)


def _profiles(
    runs: Mapping[str, Runs], metric: Metric, *, confidence: float, overlaps: Sequence[float]
) -> list[Row]:
    """Share of runs of each variant that are at least as good as each threshold; none where all runs are alike."""
    sign = -1.0 if metric.better == "higher" else 1.0
    oriented = {name: [sign * of for of in each] for name, each in runs.items()}
    pooled = np.concatenate([of for each in oriented.values() for of in each])
    if tied(pooled.min(), pooled.max()):
        return []
    thresholds = np.linspace(pooled.min(), pooled.max(), THRESHOLDS)
    rows = []
    for name, each in oriented.items():
        found = profile(each, thresholds, confidence=confidence, overlaps=overlaps)
        for threshold, *told in zip(thresholds, *found, strict=True):
            shown = dict(zip(found._fields, map(float, told), strict=True))
            rows.append({"variant": name, "threshold": float(sign * threshold)} | shown)
    return rows
