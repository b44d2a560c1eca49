"""The report of a task whose rows are episodes of an agent: how their rewards are spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import PLAYED
from precisionflow.report.digits import significant
from precisionflow.report.tables import Entry, Table
from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth
from precisionflow.results.layout import EvaluatedCell

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Episodes(TaskReport):
    """Episodes are played."""

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:  # noqa: ARG002 - all in one table
        return []

    def calibration(self, *, name: str) -> Calibration:  # noqa: ARG002 - there are no figures
        rows = tuple((Entry(variant), *self._quantiles(variant)) for variant in self.folders)
        columns = (Entry("variant"), *(Entry(f"{share:.0%}") for share in SHARES))
        note = (
            "An agent acts, and states no distribution of a target. Whether its beliefs are true is told by state_nll, "
            "-ln of the belief in the true state, and by surprise, -ln p(o) of its observations."
        )
        table = Table("Quantiles of the reward over episodes of all runs", columns, rows)
        return Calibration(note, pictures=(), tables=(table,))

    def _quantiles(self, variant: str) -> list[Entry]:
        files = [EvaluatedCell(folder).predictions for folder in self.folders[variant]]
        rewards = np.concatenate([read_parquet(file, PLAYED)["reward"].to_numpy() for file in files])
        return [Entry(significant(float(value))) for value in np.quantile(rewards, SHARES)]

    @property
    def truths(self) -> dict[str, Truth]:
        return {}
