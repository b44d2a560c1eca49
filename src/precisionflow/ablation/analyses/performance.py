"""Performance of the variants: what a step took by phase and layer, memory, speed, the front of quality and seconds."""

from collections.abc import Sequence
from typing import Any, Literal

from precisionflow.ablation.analyses.compute import flops_of_step, tokens_of_step
from precisionflow.ablation.design import Variant
from precisionflow.ablation.measured import Measured, Scores, scores_of
from precisionflow.ablation.statistics import mean_interval
from precisionflow.config import Experiment
from precisionflow.config.analyses import Performance

Row = dict[str, Any]


def performance_of(experiment: Experiment, variants: Sequence[Variant], measured: Measured) -> list[Row]:
    """Rows of PERFORMANCE on one data set; none where the experiment is no such analysis.

    Units of which a cell failed are left out: what they took says nothing of a whole training.
    """
    if not isinstance(experiment.analysis, Performance):
        return []
    rows = []
    for variant in variants:
        units = [
            _of_unit(variant.experiment, [scores for scores in unit if scores is not None])
            for unit in scores_of(variant, experiment, measured)
            if all(scores is not None and scores.cost is not None for scores in unit)
        ]
        key = {"experiment": experiment.name, "dataset": variant.dataset, "variant": variant.name}
        for measure in dict.fromkeys(name for unit in units for name in unit):
            known = [unit[measure] for unit in units if measure in unit]
            found = mean_interval(known, confidence=experiment.ablation.confidence)
            told = {"value": found.mean, "low": found.low, "high": found.high, "n": found.n}
            rows.append(key | {"measure": measure} | told)
    return rows


def _of_unit(experiment: Experiment, cells: Sequence[Scores]) -> dict[str, float]:
    """Measure -> its mean over the cells of a unit."""
    every = [_of_cell(experiment, cell) for cell in cells]
    names = dict.fromkeys(name for cell in every for name in cell)
    return {
        name: sum(cell[name] for cell in every) / len(every)
        for name in names
        if all(name in cell for cell in every)
    }


def _of_cell(experiment: Experiment, cell: Scores) -> dict[str, float]:
    assert cell.cost is not None
    cost, given = cell.cost, {"batch_size": cell.cost.batch_size}
    found = {"step": cost.seconds_per_step, "training": cost.steps * cost.seconds_per_step}
    if cost.seconds_per_step > 0:
        found["targets_per_second"] = tokens_of_step(experiment, **given) / cost.seconds_per_step
    if cost.parameters is not None:
        flops = flops_of_step(experiment, parameters=cost.parameters, **given)
        found |= {"parameters": float(cost.parameters), "flops": cost.steps * flops}
        if cost.seconds_per_step > 0:
            found["flops_per_second"] = flops / cost.seconds_per_step
    return found | cost.profile


def front(
    costs: Sequence[float], values: Sequence[float], *, better: Literal["lower", "higher"]
) -> list[bool]:
    """Whether each is on the Pareto front: no other one costs no more and is no worse, and differs in either."""
    sign = -1.0 if better == "higher" else 1.0
    points = [(cost, sign * value) for cost, value in zip(costs, values, strict=True)]
    return [
        not any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points)
        for point in points
    ]
