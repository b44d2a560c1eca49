"""A study's parameters as Optuna draws them: one axis each, from draw to the text that Katib would assign."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from precisionflow.search.plan import Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Shape = Literal["declared", "with-normal", "flat", "logarithmic"]
"""What becomes of `distribution`: uniform and logUniform count as in Katib's Optuna service; normal ones too, by their
quantiles; none counts; none counts and doubles are drawn by their logarithms."""
Value = int | float | str
_LEAST = 1e-10
"""Lowest end of a logarithmic double; Katib raises a lower one to it."""


@dataclass(frozen=True)
class Axis:
    """One parameter."""

    name: str
    distribution: "BaseDistribution"
    value: Callable[[Any], Any] = str
    """From what Optuna draws to the text of the assignment."""


def axes(parameters: Sequence[Parameter], *, shape: Shape, algorithm: str) -> list[Axis]:
    """One axis for each parameter. ValueError where `algorithm` has no such distribution."""
    return [_axis(parameter, shape, algorithm) for parameter in parameters]


def _axis(parameter: Parameter, shape: Shape, algorithm: str) -> Axis:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space, name = parameter.space, parameter.name
    if parameter.kind in ("categorical", "discrete"):
        return Axis(name, CategoricalDistribution(list(space.list)))
    distribution = space.distribution if shape in ("declared", "with-normal") else "uniform"
    if distribution in ("normal", "logNormal"):
        if shape != "with-normal":
            raise ValueError(
                f"parameter {name}: {algorithm} draws no {distribution} values; choose uniform or logUniform"
            )
        return Axis(name, FloatDistribution(0.0, 1.0), _normal_quantile(parameter))
    low, high = float(space.min), float(space.max)
    if parameter.kind == "int":
        if distribution == "logUniform":
            return Axis(name, IntDistribution(max(1, int(low)), int(high), log=True))
        return Axis(name, IntDistribution(int(low), int(high), step=int(space.step or 1)))
    if distribution == "logUniform" or shape == "logarithmic":
        return Axis(name, FloatDistribution(max(_LEAST, low), high, log=True))
    return Axis(name, FloatDistribution(low, high, step=float(space.step) if space.step else None))


def _normal_quantile(parameter: Parameter) -> Callable[[float], str]:
    """From a probability to a value; the range is six standard deviations wide, as Katib has it, and is not left."""
    space = parameter.space
    logarithmic = space.distribution == "logNormal"
    low, high = float(space.min), float(space.max)
    step = float(space.step) if space.step else 1.0 if parameter.kind == "int" else None

    def value(probability: float) -> str:
        from scipy.stats import truncnorm

        ends = (math.log(low), math.log(high)) if logarithmic else (low, high)
        drawn = float(truncnorm.ppf(probability, -3, 3, loc=sum(ends) / 2, scale=(ends[1] - ends[0]) / 6))
        drawn = math.exp(drawn) if logarithmic else drawn
        if step:
            drawn = low + round((drawn - low) / step) * step
        return text(min(max(drawn, low), high), parameter)

    return value


def grid_values(parameter: Parameter) -> list[str]:
    """Every value of a parameter on Katib's grid; ValueError for a double without a step."""
    space = parameter.space
    if parameter.kind in ("categorical", "discrete"):
        return list(space.list)
    if parameter.kind == "int":
        return [str(value) for value in range(int(space.min), int(space.max) + 1, int(space.step or 1))]
    if not space.step:
        raise ValueError(
            f"parameter {parameter.name}: a grid needs the step of a double; add feasibleSpace.step"
        )
    low, high, step = float(space.min), float(space.max), float(space.step)
    values = [float(value) for value in np.arange(low, high + step, step)]
    return [str(value) for value in values if value <= high]


def grid(parameters: Sequence[Parameter]) -> list[dict[str, str]]:
    """Every combination, the last parameter changing fastest."""
    names = [parameter.name for parameter in parameters]
    return [
        dict(zip(names, values, strict=True)) for values in itertools.product(*map(grid_values, parameters))
    ]


def at_fraction(parameter: Parameter, fraction: float) -> str:
    """The value at a fraction in [0, 1) of a parameter's range; every step and every choice gets an equal share."""
    space = parameter.space
    if parameter.kind in ("categorical", "discrete"):
        return space.list[int(fraction * len(space.list))]
    low, high = float(space.min), float(space.max)
    step = float(space.step) if space.step else 1.0 if parameter.kind == "int" else None
    if step is None:
        return str(low + fraction * (high - low))
    steps = math.floor((high - low) / step + 1e-9) + 1
    return text(low + int(fraction * steps) * step, parameter)


def text(value: float, parameter: Parameter) -> str:
    """As Katib writes a number."""
    return str(round(value)) if parameter.kind == "int" else str(value)


def typed(value: str, parameter: Parameter) -> Value:
    """An assignment as the number that it stands for; a listed one is a number where it reads as one."""
    if parameter.kind == "int":
        return int(value)
    if parameter.kind == "double":
        return float(value)
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
