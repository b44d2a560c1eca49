"""Katib's early stopping `medianstop`: its threshold is a mean, over trials that succeeded, of their first reports."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.records.search import Better
from precisionflow.search.study import Algorithm


@dataclass(frozen=True)
class MedianStop:
    """Rule by which a trial is stopped."""

    better: Better
    min_trials_required: int = 3
    """Succeeded trials before there is a threshold."""
    start_step: int = 4
    """Reports of the objective that are averaged, and that a trial makes before it is judged."""

    def threshold(self, histories: Sequence[Sequence[float]]) -> float | None:
        """Mean over trials of the mean of their first `start_step` reports; none where there are too few trials.

        `histories` are the reports of the objective by the trials that succeeded.
        """
        means = [_mean(history[: self.start_step]) for history in histories if history]
        return _mean(means) if len(means) >= self.min_trials_required else None

    def stops(self, reports: Sequence[float], threshold: float | None) -> bool:
        """Whether the best of a trial's reports is worse than the threshold that was fixed when it was made."""
        if threshold is None or len(reports) < self.start_step:
            return False
        return max(reports) < threshold if self.better == "maximize" else min(reports) > threshold


def medianstop(stopping: Algorithm, better: Better) -> MedianStop:
    """The rule of a study's `earlyStopping`."""
    return MedianStop(better, **{name: int(value) for name, value in stopping.settings.items()})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
