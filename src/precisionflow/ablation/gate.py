"""The gate: whether a variant's mean metrics lie where the experiment wants a champion's to lie.

It reads what the table shows, test rows but for `validation_loss`, and says so: a champion that was chosen of several
is the best of them on these rows, so its numbers on further rows are a little worse. The table keeps all variants.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import expand
from precisionflow.ablation.measured import Measured, cells_of, read_metrics
from precisionflow.config import Experiment
from precisionflow.config.ablation import Bounds
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import cell_folders


@dataclass(frozen=True)
class Reading:
    """A gated metric: its mean over the seeds and splits of one variant, and where it is wanted."""

    metric: str
    mean: float
    bounds: Bounds

    @property
    def rows(self) -> Literal["test", "validation"]:
        """Rows that the metric is measured on."""
        return "validation" if self.metric == "validation_loss" else "test"

    @property
    def good(self) -> bool:
        low, high = self.bounds.low, self.bounds.high
        return (low is None or low <= self.mean) and (high is None or self.mean <= high)

    def __str__(self) -> str:
        """nll 5.613 is above 5.5"""
        low, high = self.bounds.low, self.bounds.high
        shown = f"{self.metric} {self.mean:.6g} is"
        if low is not None and self.mean < low:
            return f"{shown} below {low:g}"
        if high is not None and self.mean > high:
            return f"{shown} above {high:g}"
        ends = [f"{word} {end:g}" for word, end in (("at least", low), ("at most", high)) if end is not None]
        return f"{shown} {' and '.join(ends)}"


@dataclass(frozen=True)
class Judgement:
    """Verdict of the gate on one variant and data set."""

    variant: Experiment
    readings: tuple[Reading, ...]
    loss: float
    """Mean of the experiment's first contrasted metric, lower is better after a turn; infinite where a cell failed."""
    failed: int = 0
    """Cells that failed: a variant that has one does not pass."""

    @property
    def passed(self) -> bool:
        return not self.failed and all(reading.good for reading in self.readings)

    @property
    def reason(self) -> str:
        """One line: every reading of a variant that passes, the bad ones of a variant that does not, and their rows."""
        if self.failed:
            return (
                f"missed: {self.failed} of {len(self.variant.seeds) * len(self.variant.splits)} cells failed"
            )
        shown = [reading for reading in self.readings if self.passed or not reading.good]
        rows = " and ".join(sorted({reading.rows for reading in shown}))
        verdict = "passed" if self.passed else "missed"
        return f"{verdict} on {rows} rows: {', '.join(map(str, shown))}"


def judge(experiment: Experiment, *, evaluations: Sequence[Path]) -> tuple[Judgement, ...]:
    """A judgement for every variant of `experiment` on every data set; none where it has no gate.

    `evaluations` are the folders of variants, as `aggregate` takes them. ValueError when a cell or a gated metric is
    missing.
    """
    if not experiment.gate:
        return ()
    whole, failed = parted(cell_folders(evaluations))
    measured = read_metrics(whole)
    (headline, *_) = contrasted(experiment)
    judgements = []
    for variant in expand(experiment):
        cells = [cell for row in cells_of(variant, experiment) for cell in row]
        if lost := sum(cell in failed for cell in cells):
            judgements.append(Judgement(variant.experiment, (), math.inf, lost))
            continue
        readings = tuple(
            Reading(metric, _mean(_values(cells, metric, measured)), bounds)
            for metric, bounds in experiment.gate.items()
        )
        values = _values(cells, headline.name, measured)
        if headline.nominal is not None:
            values = [abs(value - headline.nominal) for value in values]
        loss = -_mean(values) if headline.better == "higher" else _mean(values)
        judgements.append(Judgement(variant.experiment, readings, loss))
    return tuple(judgements)


def _values(cells: Sequence[Cell], metric: str, measured: Measured) -> list[float]:
    for cell in cells:
        if cell not in measured or metric not in measured[cell].values:
            raise ValueError(f"gate: {cell} has no metric {metric!r}; evaluate it again")
    return [measured[cell].values[metric] for cell in cells]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
