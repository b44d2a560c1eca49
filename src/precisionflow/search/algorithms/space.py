"""Values of a study's parameters: drawn by Optuna, on a grid, at a fraction of a range; always the text of Katib."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from precisionflow.records.search import Value
from precisionflow.search.study import Parameter
from precisionflow.search.template import Assignments

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Shape = Literal["declared", "with-normal", "flat", "logarithmic"]
"""Treatment of a parameter's `distribution`. declared: uniform and logUniform count, as in Katib's Optuna service;
with-normal: normal ones count too, by their quantiles; flat: none counts; logarithmic: none counts, and doubles are
drawn by their logarithms."""
_LEAST = 1e-10
"""Lowest end of a logarithmic double, to which Katib raises a lower one."""


@dataclass(frozen=True)
class Axis:
    """One parameter as Optuna draws it."""

    name: str
    distribution: "BaseDistribution"
    value: Callable[[Any], Any] = str
    """From Optuna's draw to the text that Katib would assign."""


def axes(parameters: Sequence[Parameter], *, shape: Shape, algorithm: str) -> list[Axis]:
    """Axis of each parameter. ValueError where `algorithm` has no such distribution."""
    return [_axis(parameter, shape, algorithm) for parameter in parameters]


def _axis(parameter: Parameter, shape: Shape, algorithm: str) -> Axis:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space, name = parameter.space, parameter.name
    if not parameter.numeric:
        return Axis(name, CategoricalDistribution(list(space.choices)))
    distribution = space.distribution if shape in ("declared", "with-normal") else "uniform"
    if distribution in ("normal", "logNormal"):
        if shape != "with-normal":
            raise ValueError(
                f"parameter {name}: {algorithm} draws no {distribution} values; choose uniform or logUniform"
            )
        return Axis(name, FloatDistribution(0.0, 1.0), _normal_quantile(parameter))
    low, high = float(space.low), float(space.high)
    if parameter.kind == "int":
        if distribution == "logUniform":
            return Axis(name, IntDistribution(max(1, int(low)), int(high), log=True))
        return Axis(name, IntDistribution(int(low), int(high), step=int(space.step or 1)))
    if distribution == "logUniform" or shape == "logarithmic":
        return Axis(name, FloatDistribution(max(_LEAST, low), high, log=True))
    return Axis(name, FloatDistribution(low, high, step=float(space.step) if space.step else None))


def _normal_quantile(parameter: Parameter) -> Callable[[float], str]:
    """From a probability to a value; the range is six standard deviations wide, as in Katib, and is not left."""
    space = parameter.space
    logarithmic = space.logarithmic
    low, high = float(space.low), float(space.high)
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
    """Values of a parameter on Katib's grid; ValueError for a double without a step."""
    space = parameter.space
    if not parameter.numeric:
        return list(space.choices)
    if parameter.kind == "int":
        return [str(value) for value in range(int(space.low), int(space.high) + 1, int(space.step or 1))]
    if not space.step:
        raise ValueError(
            f"parameter {parameter.name}: a grid needs the step of a double; add feasibleSpace.step"
        )
    low, high, step = float(space.low), float(space.high), float(space.step)
    values = [float(value) for value in np.arange(low, high + step, step)]
    return [str(value) for value in values if value <= high]


def grid(parameters: Sequence[Parameter]) -> list[Assignments]:
    """Combinations of all values, the last parameter changing fastest."""
    names = [parameter.name for parameter in parameters]
    return [
        dict(zip(names, values, strict=True)) for values in itertools.product(*map(grid_values, parameters))
    ]


def at_fraction(parameter: Parameter, fraction: float) -> str:
    """Value at a fraction in [0, 1) of a parameter's range; every step and every choice has an equal share."""
    space = parameter.space
    if not parameter.numeric:
        return space.choices[int(fraction * len(space.choices))]
    low, high = float(space.low), float(space.high)
    step = float(space.step) if space.step else 1.0 if parameter.kind == "int" else None
    if step is None:
        return str(low + fraction * (high - low))
    steps = math.floor((high - low) / step + 1e-9) + 1
    return text(low + int(fraction * steps) * step, parameter)


def text(value: float, parameter: Parameter) -> str:
    """A number as Katib writes it."""
    return str(round(value)) if parameter.kind == "int" else str(value)


def typed(value: str, parameter: Parameter) -> Value:
    """The number that an assignment stands for; a choice is a number where it reads as one, else the text."""
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
