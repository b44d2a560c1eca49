"""Values of a study's parameters: drawn by Optuna, on a grid, at a fraction of a range; always the text of Katib."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

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


@dataclass(frozen=True)
class Steps:
    """Values low + k * step up to the highest one, in exact arithmetic on the decimals that the study states.

    In binary floats 0.1 + 2 * 0.1 is above 0.3.
    """

    low: Fraction
    step: Fraction
    count: int
    """Number of values, both ends counted."""

    def __getitem__(self, index: int) -> Fraction:
        return self.low + index * self.step

    def nearest(self, value: float) -> Fraction:
        """The step that is nearest to a value, an end for a value outside."""
        return self[min(max(round((Fraction(value) - self.low) / self.step), 0), self.count - 1)]


def steps_of(parameter: Parameter) -> Steps | None:
    """Steps of a numeric parameter: those of a whole number are 1 where it states none; none for a double without."""
    space = parameter.space
    if parameter.kind == "double" and not space.step:
        return None
    low, high, step = (_exact(number, parameter) for number in (space.low, space.high, space.step or "1"))
    return Steps(low, step, math.floor((high - low) / step) + 1)


def _exact(number: str, parameter: Parameter) -> Fraction:
    return Fraction(int(number)) if parameter.kind == "int" else Fraction(repr(float(number)))


def _normal_quantile(parameter: Parameter) -> Callable[[float], str]:
    """From a probability to a value; the range is six standard deviations wide, as in Katib, and is not left."""
    space = parameter.space
    logarithmic, steps = space.logarithmic, steps_of(parameter)
    low, high = float(space.low), float(space.high)

    def value(probability: float) -> str:
        from scipy.stats import truncnorm

        ends = (math.log(low), math.log(high)) if logarithmic else (low, high)
        drawn = float(truncnorm.ppf(probability, -3, 3, loc=sum(ends) / 2, scale=(ends[1] - ends[0]) / 6))
        drawn = min(max(math.exp(drawn) if logarithmic else drawn, low), high)
        return text(steps.nearest(drawn) if steps else drawn, parameter)

    return value


def grid_values(parameter: Parameter) -> Iterable[str]:
    """Values of a parameter on a grid, made one after the other; ValueError for a double without a step."""
    if not parameter.numeric:
        return parameter.space.choices
    steps = steps_of(parameter)
    if steps is None:
        raise ValueError(
            f"parameter {parameter.name}: a grid needs the step of a double; add feasibleSpace.step"
        )
    return (text(steps[index], parameter) for index in range(steps.count))


def grid(parameters: Sequence[Parameter]) -> Iterator[Assignments]:
    """Combinations of all values, the last parameter changing fastest; a grid of any size takes no memory."""
    if not parameters:
        yield {}
        return
    first, *others = parameters
    for value in grid_values(first):
        for assignments in grid(others):
            yield {first.name: value} | assignments


def at_fraction(parameter: Parameter, fraction: float) -> str:
    """Value at a fraction in [0, 1) of a parameter's range; every step and every choice has an equal share."""
    space = parameter.space
    if not parameter.numeric:
        return space.choices[int(fraction * len(space.choices))]
    steps = steps_of(parameter)
    if steps is None:
        low, high = float(space.low), float(space.high)
        return str(low + fraction * (high - low))
    return text(steps[math.floor(Fraction(fraction) * steps.count)], parameter)


def text(value: float | Fraction, parameter: Parameter) -> str:
    """A number as Katib writes it."""
    return str(round(value)) if parameter.kind == "int" else str(float(value))


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
