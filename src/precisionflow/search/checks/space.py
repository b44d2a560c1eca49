"""Checks of a parameter's values: a range of numbers, or a list."""

import math

from precisionflow.config.base import ConfigError
from precisionflow.search.study import Parameter


def check_space(parameter: Parameter, key: str) -> None:
    """ConfigError for a parameter whose `feasibleSpace`, which stands under `key`, holds no values of its type."""
    if parameter.numeric:
        _check_range(parameter, key)
    else:
        _check_list(parameter, key)


def _check_list(parameter: Parameter, key: str) -> None:
    space = parameter.space
    if space.low or space.high or space.step:
        raise ConfigError(f"{key}: a {parameter.kind} parameter has a list, no min, max or step")
    if not space.choices:
        raise ConfigError(f"{key}.list: is empty; give the values")
    if parameter.kind == "discrete":
        for index, text in enumerate(space.choices):
            _number(text, f"{key}.list.{index}", whole=False)


def _check_range(parameter: Parameter, key: str) -> None:
    space, whole = parameter.space, parameter.kind == "int"
    if space.choices:
        raise ConfigError(f"{key}.list: a {parameter.kind} parameter has min and max, no list")
    low = _number(space.low, f"{key}.min", whole=whole)
    high = _number(space.high, f"{key}.max", whole=whole)
    if low >= high:
        raise ConfigError(f"{key}.min: given {space.low}; should be below max, {space.high}")
    if space.logarithmic and low <= 0:
        raise ConfigError(f"{key}.min: given {space.low}; {space.distribution} needs one above 0")
    if space.step and _number(space.step, f"{key}.step", whole=whole) <= 0:
        raise ConfigError(f"{key}.step: given {space.step}; should be above 0")


def _number(text: str, key: str, *, whole: bool) -> float:
    if not text:
        raise ConfigError(f"{key}: missing; give a number in quotes")
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{key}: given {text!r}; should be a {'whole ' if whole else ''}number in quotes")
    return value
