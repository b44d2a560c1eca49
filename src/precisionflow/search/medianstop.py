"""Katib's early stopping `medianstop`, which compares with a mean: of first reports of trials that succeeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Better = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class MedianStop:
    """When a trial is stopped."""

    better: Better
    min_trials_required: int = 3
    """Succeeded trials before there is a threshold."""
    start_step: int = 4
    """Reports of the objective that are averaged, and that a trial may make before it is judged."""

    def threshold(self, histories: Sequence[Sequence[float]]) -> float | None:
        """What a new trial has to reach: the mean over trials of the mean of their first `start_step` reports.

        `histories` are the objective's reports of the succeeded trials; none where there are too few.
        """
        means = [mean(history[: self.start_step]) for history in histories if history]
        return mean(means) if len(means) >= self.min_trials_required else None

    def stops(self, reports: Sequence[float], threshold: float | None) -> bool:
        """Whether a trial with these reports ends: its best is worse than the threshold fixed at its creation."""
        if threshold is None or len(reports) < self.start_step:
            return False
        return max(reports) < threshold if self.better == "maximize" else min(reports) > threshold


def medianstop(settings: Mapping[str, str], better: Better) -> MedianStop:
    """From the settings of a study's `earlyStopping`."""
    return MedianStop(better, **{name: int(value) for name, value in settings.items()})


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
