"""What is compared: axes of overlays, datasets, metrics."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from precisionflow.config.base import Fraction, Label, Part

Overlay = dict[str, Any]
"""Dotted keys and their values: the same thing as `--set` on the command line."""


class Ablation(Part):
    """Every combination of the axes' levels is a variant; the first level of an axis is its baseline."""

    axes: dict[Label, dict[Label, Overlay]] = {}
    """axis -> level -> overlay."""
    datasets: dict[Label, Overlay] = {}
    """dataset -> overlay; none: the experiment's own task."""
    metrics: tuple[str, ...] = ()
    """Metrics of the contrasts; none: the task's headline metrics."""
    confidence: Fraction = 0.95
    """Level of the intervals; 1 - confidence is the level of the tests."""

    @model_validator(mode="after")
    def _axes_have_levels(self) -> Self:
        for axis, levels in self.axes.items():
            if not levels:
                raise ValueError(f"ablation.axes.{axis} has no level; give it at least one")
        return self


Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
