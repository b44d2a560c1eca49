"""Sizes of a scaling analysis: its runs, and the variants that they are."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from precisionflow.ablation.analyses.layout import distinct, value_at
from precisionflow.ablation.points import Point
from precisionflow.config import ConfigError, Experiment
from precisionflow.config.analyses import Scaling


@dataclass(frozen=True)
class Sized:
    """The runs of an analysis."""

    runs: tuple[Mapping[str, float], ...]
    """Dotted key -> size."""
    points: tuple[Point, ...]
    """The variants, each once."""
    point_of: tuple[int, ...]
    """Index into `points` of each run."""
    own: Mapping[str, float]
    """Sizes of the experiment itself."""

    def alone(self, key: str) -> dict[float, Point]:
        """Size -> the variant in which this key has it and all others are the experiment's own, smallest first."""
        found = {
            run[key]: self.points[index]
            for run, index in zip(self.runs, self.point_of, strict=True)
            if all(size == self.own[other] for other, size in run.items() if other != key)
        }
        return dict(sorted(found.items()))


def sized(experiment: Experiment, analysis: Scaling) -> Sized:
    """The runs; ConfigError for a key whose value is no number."""
    tree = experiment.model_dump(mode="json")
    own = {key: _number(value_at(tree, key), key) for key in analysis.sizes}
    match analysis.design:
        case "one_at_a_time":
            runs = [own | {key: _plain(size)} for key, sizes in analysis.sizes.items() for size in sizes]
        case "product":
            _check_own(own, analysis)
            every = itertools.product(*analysis.sizes.values())
            runs = [dict(zip(analysis.sizes, map(_plain, chosen), strict=True)) for chosen in every]
        case _:
            assert_never(analysis.design)
    return Sized(tuple(runs), *distinct(runs), own)


def _check_own(own: Mapping[str, float], analysis: Scaling) -> None:
    """ConfigError where a size of a product would have no runs with the others at the experiment's own."""
    for key, sizes in analysis.sizes.items():
        if own[key] not in sizes:
            given = ", ".join(f"{size:g}" for size in sizes)
            raise ConfigError(
                f"analysis.sizes.{key}: the experiment's own {own[key]:g} is not among {given}, and the laws of the "
                "other sizes are those beside it; take it in"
            )


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"analysis.sizes.{key}: the experiment has {value!r} there, no number; name a size")
    return _plain(value)


def _plain(size: float) -> float:
    """A whole number as one, whether written 50 or 50.0."""
    return int(size) if float(size).is_integer() else size
