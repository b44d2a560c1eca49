"""The plan of an experiment: cells that are done and open, the time that is left, the effects that can be shown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from precisionflow.ablation import power
from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant, expand, pairs, unit_of
from precisionflow.ablation.sequential import look_of
from precisionflow.config import Experiment
from precisionflow.results.layout import Aggregated, Results
from precisionflow.results.progress import CellProgress, Progress


@dataclass(frozen=True)
class Row:
    """The cells of one variant on one data set."""

    dataset: str
    variant: str
    cells: int
    failed: int
    """Cells that are kept as failed."""
    seconds: tuple[float, ...]
    """Of each cell that is done and did not fail: training and evaluation."""
    each: float
    """Seconds that an open cell is expected to take: the mean of the variant's own cells, else of those on the same
    data set, else of all; NaN where none is done."""

    @property
    def open(self) -> int:
        return self.cells - len(self.seconds) - self.failed

    @property
    def left(self) -> float:
        """Seconds of work that are left."""
        return self.open * self.each if self.open else 0.0


@dataclass(frozen=True)
class Detectable:
    """The smallest effect in one metric that the experiment's units show with probability `power.POWER`."""

    metric: str
    std: float
    """Standard deviation of the units' differences in the contrast whose `effect` is in the middle of all; 1 where
    nothing is measured."""
    effect: float
    measured: bool
    margin: float = math.nan
    """Of the same contrast; NaN without any."""
    equivalent: float = math.nan
    """Probability that the units show equivalence where there is no difference; NaN without a margin."""
    enough: float = math.nan
    """Units that show it with probability `power.POWER`; NaN where no number does."""


@dataclass(frozen=True)
class Plan:
    """What a run of an experiment has done and has to do."""

    experiment: Experiment
    rows: tuple[Row, ...]
    units: int
    contrasts: int
    """On one data set: Holm's family for one metric."""
    level: float
    """Of a single test where Holm asks for the strictest; at the last look where there are several."""
    overlap: float
    """The largest of the data sets."""
    detectable: tuple[Detectable, ...]
    """By metric, in the metric's unit where the spread is measured; else one, in standard deviations."""


def plan(experiment: Experiment, results: Results, *, reused: Sequence[Results] = ()) -> Plan:
    """The plan of an experiment whose results lie, or will lie, in a folder; cells in the folders `reused` are done."""
    variants, progress = expand(experiment), Progress(results, tuple(reused))
    found = [progress.of(variant.experiment) for variant in variants]
    family = len(pairs(experiment, [v for v in variants if v.dataset == variants[0].dataset]))
    units = len(experiment.splits if unit_of(experiment) == "split" else experiment.seeds)
    level = look_of(experiment).nominal_level((1 - experiment.ablation.confidence) / max(family, 1))
    overlap = max(power.overlap_of(variant.experiment) for variant in variants)
    shown = _detectable(experiment, results, n=units, level=level, overlap=overlap) if family else ()
    return Plan(experiment, _rows(variants, found), units, family, level, overlap, tuple(shown))


def _rows(variants: Iterable[Variant], found: Iterable[list[CellProgress]]) -> tuple[Row, ...]:
    of_variants = [
        (
            variant,
            cells,
            tuple(cell.seconds for cell in cells if cell.seconds is not None and not cell.failed),
        )
        for variant, cells in zip(variants, found, strict=True)
    ]
    every = [second for _, _, seconds in of_variants for second in seconds]
    of_dataset: dict[str, list[float]] = {}
    for variant, _, seconds in of_variants:
        of_dataset.setdefault(variant.dataset, []).extend(seconds)
    return tuple(
        Row(
            variant.dataset,
            variant.name,
            len(cells),
            sum(cell.failed for cell in cells),
            seconds,
            _mean(seconds or of_dataset[variant.dataset] or every),
        )
        for variant, cells, seconds in of_variants
    )


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return math.fsum(known) / len(known) if known else math.nan


def _detectable(
    experiment: Experiment, results: Results, *, n: int, level: float, overlap: float
) -> list[Detectable]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    if Aggregated(results.aggregate).contrasts.exists():
        for row in read_aggregate(results.aggregate).contrasts.to_pylist():
            if row["experiment"] == experiment.name and row["std"] > 0:
                found.setdefault(row["metric"], []).append(row)
    measured = [
        _of_metric(m.name, found[m.name], n=n, level=level) for m in contrasted(experiment) if m.name in found
    ]
    usual = power.smallest_effect(std=1.0, n=n, level=level, overlap=overlap)
    return measured or [Detectable("", 1.0, usual, False)]


def _of_metric(metric: str, contrasts: Sequence[Mapping[str, Any]], *, n: int, level: float) -> Detectable:
    """By the contrast in the middle; `contrasts` are those whose units do not all agree."""
    of_one = {
        overlap: power.smallest_effect(std=1.0, n=n, level=level, overlap=overlap)
        for overlap in {row["overlap"] for row in contrasts}
    }
    effects = [row["std"] * of_one[row["overlap"]] for row in contrasts]
    effect = median_low(effects)
    middle = contrasts[effects.index(effect)]
    std, margin = middle["std"], middle["margin"]
    given = {"std": std, "level": level, "overlap": middle["overlap"]}
    equivalent = enough = math.nan
    if margin > 0:
        equivalent = power.power_of_equivalence(0.0, margin=margin, n=n, **given)
        enough = power.units_for_equivalence(0.0, margin=margin, **given)
    return Detectable(metric, std, effect, True, margin, equivalent, enough)
