"""The report of images of objects: nothing is stated of a group that could be calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth


@dataclass(frozen=True)
class Groups(TaskReport):
    """Groups of pixels are found."""

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:  # noqa: ARG002
        return []

    def calibration(self, *, name: str) -> Calibration:  # noqa: ARG002
        return Calibration(
            "Groups of pixels are found, no uncertainty is stated: there is nothing to calibrate.", ()
        )

    @property
    def truths(self) -> dict[str, Truth]:
        return {}
