"""Ablations: axes of overlays, datasets, metrics."""

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Label, Positive, nearest
from precisionflow.config.designs import Design, Product
from precisionflow.config.tuning import Tuning

Overlay = dict[str, Any]
"""Dotted keys and their values: the same thing as `--set` on the command line."""

VARIED = ("task", "model", "objective", "learning", "training", "engine")
"""Parts that an overlay may reach into; everything else is the same for all variants, so that they can be compared."""


class Margin(Config):
    """Difference from the baseline that does not matter: variants that differ by less are equivalent."""

    absolute: Positive | None = None
    """In the metric's own unit."""
    relative: Positive | None = None
    """Share of the absolute value of the baseline's mean."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("should have either absolute or relative")
        return self


class Ablation(Config):
    """Combinations of the axes' levels are the variants; the first level of an axis is its baseline."""

    axes: dict[Label, dict[Label, Overlay]] = {}
    """axis -> level -> overlay."""
    design: Design = Product()
    """Which combinations of levels are variants."""
    datasets: dict[Label, Overlay] = {}
    """dataset -> overlay; none: the experiment's own task."""
    metrics: tuple[str, ...] = ()
    """Metrics of the contrasts; none: the task's headline metrics."""
    contrasted: tuple[Label, ...] = ()
    """Axes whose levels are contrasted, at each combination of the others' levels; none: every axis."""
    margins: dict[str, Margin] = {}
    """Metric -> difference that does not matter; without one nothing is called equivalent in it."""
    missing: Literal["refuse", "drop_pair", "worst_rank"] = "refuse"
    """What becomes of a unit with a failed cell. refuse: no number of a variant with one, nor of its contrasts.
    drop_pair: the unit is left out. worst_rank: in contrasts it counts as the worst unit of all variants."""
    unreadable: Literal["refuse", "failed"] = "refuse"
    """What becomes of an evaluated cell a file of which is damaged. refuse: no table, and a line that names the file.
    failed: the cell has failed, with that line as its cause; `missing` says the rest."""
    confidence: Annotated[float, Field(ge=0.5, lt=1), NUMBER] = 0.95
    """Level of the intervals; 1 - confidence is the level of the tests."""
    looks: tuple[Count, ...] = ()
    """Numbers of seeds after which contrasts are looked at, and the run ends where all are decided: tests and their
    intervals hold at all looks together. None: one look, at all seeds."""

    matched: tuple[Literal["parameters", "seconds", "tuning"], ...] = ()
    """What a variant is to have in common with its baseline: as many parameters, as long a training, a study of equal
    budget. The report names the contrasts that have not."""
    tuned: Tuning | None = None
    """Axes whose levels are tuned before their seeds run; none: levels are compared as they are written."""

    @model_validator(mode="after")
    def _named_axes_are_there(self) -> Self:
        for field, axes in (
            ("contrasted", self.contrasted),
            ("tuned.axes", self.tuned.axes if self.tuned else ()),
        ):
            for axis in axes:
                if axis not in self.axes:
                    allowed = f"allowed: {', '.join(self.axes)}{nearest(axis, list(self.axes))}"
                    raise ValueError(f"ablation.{field}: unknown axis {axis!r}; {allowed}")
        return self

    @model_validator(mode="after")
    def _looks_increase(self) -> Self:
        if any(later <= look for look, later in itertools.pairwise(self.looks)):
            raise ValueError(f"ablation.looks: given {list(self.looks)}; write increasing numbers of seeds")
        return self

    @model_validator(mode="after")
    def _axes_have_levels(self) -> Self:
        for axis, levels in self.axes.items():
            if not levels:
                raise ValueError(f"ablation.axes.{axis}: has no level; give it at least one")
        return self

    @model_validator(mode="after")
    def _overlays_vary_parts(self) -> Self:
        owners: dict[str, str] = {}
        for owner, name, overlay in self._overlays():
            for dotted in overlay:
                part = dotted.split(".")[0]
                if part not in VARIED or dotted == "task.kind":
                    allowed = f"allowed: keys of {', '.join(VARIED)}{nearest(part, VARIED)}"
                    raise ValueError(f"{owner}.{name}: {dotted!r} cannot differ between variants; {allowed}")
                for leaf in _leaves(dotted, overlay[dotted]):
                    if owners.setdefault(leaf, owner) != owner:
                        raise ValueError(
                            f"{owner}: sets {leaf!r}, and so does {owners[leaf]}; keep one of them"
                        )
        return self

    def _overlays(self) -> list[tuple[str, str, Overlay]]:
        """(axis or data sets, name, overlay) of every overlay."""
        found = [("ablation.datasets", name, overlay) for name, overlay in self.datasets.items()]
        for axis, levels in self.axes.items():
            found += [(f"ablation.axes.{axis}", level, overlay) for level, overlay in levels.items()]
        if self.tuned:
            found.append(("ablation.tuned", "parameters", dict.fromkeys(self.tuned.parameters)))
        return found


def _leaves(dotted: str, value: Any) -> list[str]:
    """The dotted keys of all values that a setting brings."""
    if not isinstance(value, dict):
        return [dotted]
    return [leaf for key, inside in value.items() for leaf in _leaves(f"{dotted}.{key}", inside)]


End = Annotated[float | None, Field(allow_inf_nan=False), NUMBER]


class Bounds(Config):
    """Where a metric must lie, ends included."""

    low: End = None
    high: End = None
