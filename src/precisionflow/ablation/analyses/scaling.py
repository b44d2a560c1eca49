"""Scaling of loss and cost with sizes: laws with intervals, their points, the best use of a budget of compute."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from precisionflow.ablation.analyses.compute import flops_of_step, tokens_of_step
from precisionflow.ablation.analyses.power_law import JointLaw, PowerLaw, joint_law, power_law
from precisionflow.ablation.analyses.sizes import Sized, sized
from precisionflow.ablation.bootstrap import shares, widened
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant
from precisionflow.ablation.measured import Measured, Scores, overlap_in, scores_of, units_in
from precisionflow.ablation.statistics import ROUNDING, mean_interval
from precisionflow.config import Experiment
from precisionflow.config.analyses import FEWEST_SIZES, Scaling

DRAWS, JOINT_DRAWS = 400, 100
"""Draws of the units, of a law of one size and of the joint law."""
FEWEST_RUNS, FEWEST_EACH = 6, 3
"""Runs, and numbers of parameters and of data among them, that the joint law of five numbers takes."""
BUDGETS = 5
"""Budgets of compute that are told, evenly apart in their logarithms from the smallest run's to the largest one's."""
SECONDS, FLOPS = "seconds", "flops"
"""Quantities beside the metrics: measured seconds and predicted operations of an optimiser step."""
LARGEST_LOGARITHM = 700.0
"""Of a number that is told."""
Row = dict[str, Any]


class Rows(NamedTuple):
    """Rows of LAWS, SIZES and ISOFLOP."""

    laws: list[Row]
    sizes: list[Row]
    isoflop: list[Row]


def scaling_of(experiment: Experiment, variants: Sequence[Variant], measured: Measured) -> Rows:
    """The rows on one data set; none where the experiment is no scaling analysis."""
    analysis, found = experiment.analysis, Rows([], [], [])
    if not isinstance(analysis, Scaling):
        return found
    runs = sized(experiment, analysis)
    of = {variant.name: _Run(experiment, variant, measured) for variant in variants}
    key = {"experiment": experiment.name, "dataset": variants[0].dataset}
    for size in analysis.sizes:
        for quantity in (*(metric.name for metric in contrasted(experiment)), SECONDS, FLOPS):
            law, points = _law(experiment, runs, of, size, quantity)
            found.laws.append(key | {"size": size, "quantity": quantity} | law)
            found.sizes.extend(key | {"size": size, "quantity": quantity} | point for point in points)
    for metric in contrasted(experiment):
        if metric.better == "lower":
            found.isoflop.extend(
                key | {"metric": metric.name} | row
                for row in _budgets(experiment, list(of.values()), metric.name)
            )
    return found


@dataclass(frozen=True)
class _Run:
    """What the units of one variant measured and took; NaN where a unit has no value."""

    experiment: Experiment
    variant: Variant
    measured: Measured

    def units(self, quantity: str) -> Float[np.ndarray, " units"]:
        """A metric, or what a step took or should take, of each unit."""
        scored = scores_of(self.variant, self.experiment, self.measured)
        if quantity in (SECONDS, FLOPS):
            return np.array([self._cost(unit, quantity) for unit in scored])
        nominal = next((m.nominal for m in contrasted(self.experiment) if m.name == quantity), None)
        known = [scores for unit in scored for scores in unit if scores is not None]
        if not known:
            return np.full(len(scored), math.nan)
        return np.array(units_in(scored, self.experiment, quantity, nominal=nominal).values)

    @property
    def overlap(self) -> float:
        """Share of rows that its units have in common."""
        return overlap_in(scores_of(self.variant, self.experiment, self.measured), self.experiment)

    def _cost(self, unit: Sequence[Scores | None], quantity: str) -> float:
        there = [scores.cost for scores in unit if scores is not None and scores.cost is not None]
        if len(there) < len(unit) or any(cost.parameters is None for cost in there):
            return math.nan
        if quantity == SECONDS:
            return math.fsum(cost.seconds_per_step for cost in there) / len(there)
        return flops_of_step(
            self.variant.experiment, parameters=there[0].parameters or 0, batch_size=there[0].batch_size
        )

    @property
    def compute(self) -> tuple[float, float, float] | None:
        """Parameters, targets that were learned from, operations of the whole training; none where nothing is known."""
        for unit in scores_of(self.variant, self.experiment, self.measured):
            for scores in unit:
                if scores is not None and scores.cost is not None and scores.cost.parameters is not None:
                    cost, of = scores.cost, self.variant.experiment
                    steps, given = cost.steps, {"batch_size": cost.batch_size}
                    tokens = steps * tokens_of_step(of, **given)
                    flops = steps * flops_of_step(of, parameters=scores.cost.parameters, **given)
                    return float(scores.cost.parameters), float(tokens), flops
        return None


def _kept(
    experiment: Experiment, values: Float[np.ndarray, "sizes units"]
) -> Float[np.ndarray, "sizes units"]:
    """The units that every size has a value of; none where failed ones are refused."""
    whole = ~np.isnan(values).any(axis=0)
    if experiment.ablation.missing == "refuse" and not whole.all():
        return values[:, :0]
    return values[:, whole]


def _law(
    experiment: Experiment, runs: Sized, of: dict[str, _Run], size: str, quantity: str
) -> tuple[Row, list[Row]]:
    """A row of LAWS and its rows of SIZES, but for what they are about."""
    alone = runs.alone(size)
    x = np.array(list(alone), dtype=float)
    values = _kept(experiment, np.array([of[point.name].units(quantity) for point in alone.values()]))
    predicted = (
        _predicted(experiment, [of[point.name] for point in alone.values()]) if quantity == SECONDS else None
    )
    law, drawn, n = None, None, values.shape[1]
    costs = quantity in (SECONDS, FLOPS)
    overlap = 0.0 if costs else max(of[point.name].overlap for point in alone.values())
    if n and len(x) >= FEWEST_SIZES and np.ptp(values.mean(axis=1)) > ROUNDING * np.abs(values).max():
        law = power_law(x, values.mean(axis=1)[None], falls=not costs)
        if n > 1:
            drawn = power_law(x, shares(n)[:DRAWS] @ values.T, falls=not costs)
    confidence = experiment.ablation.confidence
    given = {"confidence": confidence, "overlap": overlap}
    told: Row = {"n": len(x), "units": n}
    for name in PowerLaw._fields:
        told[name] = float(getattr(law, name)[0]) if law else math.nan
        told |= _ends(name, told[name], getattr(drawn, name) if drawn else None, n=n, **given)
    points = []
    for place, at in enumerate(x.tolist()):
        interval = mean_interval(values[place].tolist(), **given)
        points.append(
            {
                "at": at,
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "fitted": float(law.at(at)[0]) if law else math.nan,
                **_ratio(values, predicted, place, confidence),
            }
        )
    return told, points


def _predicted(experiment: Experiment, runs: Sequence[_Run]) -> Float[np.ndarray, " sizes"] | None:
    """Operations of a step at each size; none where they are not known of all."""
    flops = _kept(experiment, np.array([run.units(FLOPS) for run in runs]))
    return flops[:, 0] if flops.shape[1] else None


def _ratio(
    values: Float[np.ndarray, "sizes units"],
    predicted: Float[np.ndarray, " sizes"] | None,
    place: int,
    confidence: float,
) -> Row:
    """Seconds over those that the operations predict from the largest size."""
    nothing = {"ratio": math.nan, "ratio_low": math.nan, "ratio_high": math.nan}
    if predicted is None or not values.shape[1]:
        return nothing
    ratios = values[place] / values[-1] * (predicted[-1] / predicted[place])
    found = mean_interval(ratios.tolist(), confidence=confidence)
    return {"ratio": found.mean, "ratio_low": found.low, "ratio_high": found.high}


def _ends(
    name: str,
    value: float,
    draws: Float[np.ndarray, " draws"] | None,
    *,
    n: int,
    confidence: float,
    overlap: float,
) -> Row:
    if draws is None:
        return {f"{name}_low": math.nan, f"{name}_high": math.nan}
    low, high = widened(value, draws, n=n, confidence=confidence, overlap=overlap)
    return {f"{name}_low": low, f"{name}_high": high}


def _ends_above_0(name: str, value: float, draws: Float[np.ndarray, " draws"] | None, **given: Any) -> Row:
    """Of a number that is above 0: by its logarithm."""
    ends = _ends(name, math.log(value), None if draws is None else np.log(draws), **given)
    return {end: math.exp(min(of, LARGEST_LOGARITHM)) for end, of in ends.items()}


def _budgets(experiment: Experiment, runs: Sequence[_Run], metric: str) -> Iterator[Row]:
    """Rows of ISOFLOP; none for too few runs, for failed ones that are refused, and where the loss does not fall with
    both."""
    known = [(run, compute) for run in runs if (compute := run.compute) is not None]
    lost = len(known) < len(runs) and experiment.ablation.missing == "refuse"
    if len(known) < FEWEST_RUNS or lost:
        return
    parameters, data, flops = (np.array(of) for of in zip(*(compute for _, compute in known), strict=True))
    values = _kept(experiment, np.array([run.units(metric) for run, _ in known]))
    n = values.shape[1]
    if min(len(set(parameters)), len(set(data))) < FEWEST_EACH or not n:
        return
    law = joint_law(parameters, data, values.mean(axis=1))
    if law is None:
        return
    drawn = []
    if n > 1:
        found = (joint_law(parameters, data, y, near=law) for y in shares(n)[:JOINT_DRAWS] @ values.T)
        drawn = [each for each in found if each is not None]
    given = {"confidence": experiment.ablation.confidence, "overlap": max(run.overlap for run, _ in known)}
    for budget in np.geomspace(flops.min(), flops.max(), BUDGETS).tolist():
        row: Row = {"flops": budget, "runs": len(known), "units": n}
        best = _optimum(law, budget)
        row["outside"] = ", ".join(
            name
            for name, there, of in (("parameters", best[0], parameters), ("data", best[1], data))
            if not of.min() <= there <= of.max()
        )
        others = np.array([_optimum(each, budget) for each in drawn]).T if drawn else None
        for place, (name, ends) in enumerate(
            {"parameters": _ends_above_0, "data": _ends_above_0, "loss": _ends}.items()
        ):
            row[name] = best[place]
            drawn_of = None if others is None else others[place]
            row |= ends(name, best[place], drawn_of, n=n, **given)
        yield row


def _optimum(law: JointLaw, flops: float) -> tuple[float, float, float]:
    """Parameters, data and loss of the best use of a budget, by 6 operations for each parameter and target."""
    parameters, data = law.optimum(flops / 6)
    return parameters, data, law.at(parameters, data)
