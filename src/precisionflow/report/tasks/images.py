"""The report of images without classes: whether the intervals of their missing pixels are true."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth


@dataclass(frozen=True)
class Unlabelled(TaskReport):
    """Pixels are predicted, as Gaussians, and no classes."""

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:
        of = tuple(name for name in metrics if name.startswith("coverage_"))
        title = f"Coverage of missing pixels by central intervals on {dataset}, by level in per cent"
        return [FinerScores(title, of)] if of else []

    def calibration(self, *, name: str) -> Calibration:  # noqa: ARG002 - no figure needs an id
        return Calibration("Distributions of the pixels of a missing half, given the other half.", ())

    @property
    def truths(self) -> dict[str, Truth]:
        return {}
