"""The report of a task that states no uncertainty of a target: nothing could be calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth


@dataclass(frozen=True)
class Unstated(TaskReport):
    """Something is found or done, of which no uncertainty is stated."""

    done: str
    """What is done, as the beginning of a sentence."""

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:  # noqa: ARG002
        return []

    def calibration(self, *, name: str) -> Calibration:  # noqa: ARG002
        return Calibration(f"{self.done}, no uncertainty is stated: there is nothing to calibrate.", ())

    @property
    def truths(self) -> dict[str, Truth]:
        return {}
