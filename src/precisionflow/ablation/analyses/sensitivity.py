"""Sensitivity of the metrics to the parameters of an analysis, from what its runs measured."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, assert_never

import numpy as np
from jaxtyping import Bool, Int

from precisionflow.ablation.analyses import indices
from precisionflow.ablation.analyses.additive import Additive, quadratic, saturated, shared_variance
from precisionflow.ablation.analyses.indices import Index, Values, row_means
from precisionflow.ablation.analyses.layout import Layout, label, layout
from precisionflow.ablation.analyses.responses import judged
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant
from precisionflow.ablation.measured import Measured, units_of
from precisionflow.ablation.statistics import Interval, mean_interval
from precisionflow.config import Experiment
from precisionflow.config.ablation import Margin
from precisionflow.config.analyses import Morris, Parameter, Range, Sensitivity, Sobol, Sweep
from precisionflow.records.metrics import Metric

QUARTERS = 4
"""Parts of a range that the places of Sobol's samples are told by."""
Row = dict[str, Any]


def sensitivity_of(
    experiment: Experiment, variants: Sequence[Variant], measured: Measured
) -> tuple[list[Row], list[Row]]:
    """Rows of SENSITIVITY and of RESPONSE on one data set; none where the experiment is no sensitivity analysis."""
    analysis = experiment.analysis
    rows: tuple[list[Row], list[Row]] = [], []
    if not isinstance(analysis, Sensitivity):
        return rows
    runs = layout(experiment, analysis)
    for metric in contrasted(experiment):
        values, overlap = _values(experiment, runs, variants, metric, measured)
        gone = np.isnan(values).any(axis=1)
        failed = int(gone.sum())
        if experiment.ablation.missing == "worst_rank":
            values[np.isnan(values)] = _worst(values, metric)
        elif failed and experiment.ablation.missing == "refuse":
            values = np.full_like(values, math.nan)
        of = _OfMetric(experiment, analysis, runs, metric, values, overlap, gone)
        key = {"experiment": experiment.name, "dataset": variants[0].dataset, "metric": metric.name}
        for index, parameter in enumerate(runs.parameters):
            named = key | {"parameter": parameter}
            rows[0].extend(named | found._asdict() | {"failed": failed} for found in of.indices(index))
            rows[1].extend(named | found for found in of.response(index))
    return rows


def _values(
    experiment: Experiment, runs: Layout, variants: Sequence[Variant], metric: Metric, measured: Measured
) -> tuple[Values, float]:
    """What the units of every run measured, and the share of rows that they have in common."""
    units = {
        variant.name: units_of(variant, experiment, metric.name, measured, nominal=metric.nominal)
        for variant in variants
    }
    values = np.array([units[name].values for name in runs.names], dtype=float)
    return values, max(of.overlap for of in units.values())


def _worst(values: Values, metric: Metric) -> float:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan
    return float(known.min() if metric.better == "higher" else known.max())


class _Level(NamedTuple):
    """A level of a parameter: its place, its value as text, the runs at it."""

    place: float
    value: str
    runs: Int[np.ndarray, " runs"]


@dataclass(frozen=True)
class _OfMetric:
    """One metric of all runs on a data set."""

    experiment: Experiment
    analysis: Sensitivity
    runs: Layout
    metric: Metric
    values: Values
    overlap: float
    failed: Bool[np.ndarray, " runs"]
    """Whether a unit of the run has failed, whatever counts in its place."""

    @property
    def _confidence(self) -> float:
        return self.experiment.ablation.confidence

    def indices(self, index: int) -> list[Index]:
        """How far the parameter moves the metric."""
        given = {"confidence": self._confidence, "overlap": self.overlap}
        match self.analysis.method:
            case Sweep():
                runs = [int(level.runs[0]) for level in self._levels[index]]
                return [indices.swing(self.values[runs], **given)]
            case Morris():
                effects = indices.elementary_effects(self.runs.places, self.values)
                return indices.morris(effects[index], **given)
            case Sobol() as method:
                parts = self.values.reshape(-1, method.samples, self.values.shape[1])
                return indices.sobol(parts[0], parts[1], parts[2 + index], **given)
            case _:
                assert_never(self.analysis.method)

    def response(self, index: int) -> Iterator[Row]:
        """The parameter's levels."""
        key = self.runs.parameters[index]
        parameter, levels = self.analysis.parameters[key], self._levels[index]
        sign = -1.0 if self.metric.better == "higher" else 1.0
        means = [self._mean(index, number) for number in range(len(levels))]

        def behind(level: int, best: int) -> Interval:
            found = self._difference(index, level, best)
            low, high = sorted((sign * found.low, sign * found.high))
            return found._replace(mean=sign * found.mean, low=low, high=high)

        found = judged(
            [sign * interval.mean for interval in means],
            behind,
            margin=self._margin,
            ordered=isinstance(parameter, Range),
            own=_nearest(self.runs.own[index], [level.place for level in levels], parameter),
            lost=self._lost(levels),
        )
        for level, mean, each in zip(levels, means, found, strict=True):
            distance = {
                "behind": each.behind.mean,
                "behind_low": each.behind.low,
                "behind_high": each.behind.high,
            }
            said = {"own": each.own, "robust": each.robust, "recommended": each.recommended}
            known = {"mean": mean.mean, "low": mean.low, "high": mean.high, "n": mean.n}
            yield {"value": level.value, "place": level.place} | known | distance | said

    def _lost(self, levels: Sequence[_Level]) -> list[int]:
        """Levels whose every run has a failed unit that counts as the worst."""
        if self.experiment.ablation.missing != "worst_rank":
            return []
        return [number for number, level in enumerate(levels) if self.failed[level.runs].all()]

    def _mean(self, index: int, level: int) -> Interval:
        if not isinstance(self.analysis.method, Sweep):
            return self._additive.mean(index, level)
        units = self.values[self._levels[index][level].runs[0]]
        return mean_interval(
            units[~np.isnan(units)].tolist(), confidence=self._confidence, overlap=self.overlap
        )

    def _difference(self, index: int, level: int, other: int) -> Interval:
        if not isinstance(self.analysis.method, Sweep):
            return self._additive.difference(index, level, other)
        ours, theirs = (self.values[self._levels[index][of].runs[0]] for of in (level, other))
        paired = ours - theirs
        return mean_interval(
            paired[~np.isnan(paired)].tolist(), confidence=self._confidence, overlap=self.overlap
        )

    @cached_property
    def _additive(self) -> Additive:
        """Of Morris's runs quadratic: a trajectory comes to two levels of a parameter alone."""
        of_run = np.zeros(self.runs.places.shape, dtype=int)
        for index, levels in enumerate(self._levels):
            for number, level in enumerate(levels):
                of_run[level.runs, index] = number
        coarse = isinstance(self.analysis.method, Morris)
        bases = [
            quadratic([level.place for level in levels]) if coarse else saturated(len(levels))
            for levels in self._levels
        ]
        shared, units = shared_variance(self.values, overlap=self.overlap)
        return Additive(of_run, bases, row_means(self.values), self._confidence, shared, units)

    @cached_property
    def _levels(self) -> list[list[_Level]]:
        """Of each parameter the levels that some run is at, in the order of their places."""
        return [self._of_parameter(index) for index in range(len(self.runs.parameters))]

    def _of_parameter(self, index: int) -> list[_Level]:
        key, places = self.runs.parameters[index], self.runs.places[:, index]
        parameter = self.analysis.parameters[key]
        if isinstance(self.analysis.method, Sweep):
            return [
                _Level(float(places[run]), label(self.runs.point_of_run(run).settings[key]), np.array([run]))
                for run in self._swept(index)
            ]
        if isinstance(self.analysis.method, Sobol) and isinstance(parameter, Range):
            quarters = np.minimum((places * QUARTERS).astype(int), QUARTERS - 1)
            return [
                _Level(
                    (quarter + 0.5) / QUARTERS,
                    f"{label(parameter.value(quarter / QUARTERS))} to "
                    f"{label(parameter.value((quarter + 1) / QUARTERS))}",
                    np.flatnonzero(quarters == quarter),
                )
                for quarter in sorted(set(quarters.tolist()))
            ]
        return [
            _Level(place, label(parameter.value(place)), np.flatnonzero(places == place))
            for place in sorted(set(places.tolist()))
        ]

    def _swept(self, index: int) -> list[int]:
        """Runs of a sweep in which the parameter moves, in the order of its levels; the own settings among them."""
        places = self.runs.places
        others = np.delete(places, index, axis=1) == np.delete(places[:1], index, axis=1)
        distinct: dict[int, int] = {}
        for run in np.flatnonzero(others.all(axis=1)).tolist():
            distinct.setdefault(self.runs.point_of[run], run)
        return sorted(distinct.values(), key=lambda run: float(places[run, index]))

    @property
    def _margin(self) -> float:
        """Stated margin in the metric's unit, a relative one of the mean of all runs; NaN without one."""
        margin: Margin | None = self.experiment.ablation.margins.get(self.metric.name)
        known = self.values[~np.isnan(self.values)]
        if margin is None or not len(known):
            return math.nan
        return margin.absolute or (margin.relative or 0.0) * abs(float(known.mean()))


def _nearest(own: float, places: Sequence[float], parameter: Parameter) -> int | None:
    """Index of the level that the own value is, or is nearest to; none of a value outside the range."""
    if math.isnan(own) or not places:
        return None
    distances = [abs(place - own) for place in places]
    nearest = distances.index(min(distances))
    return nearest if isinstance(parameter, Range) or distances[nearest] < 1e-9 else None
