"""Checks of a parameter's values at the ends of what is allowed."""

import pytest

from precisionflow.config.base import ConfigError
from precisionflow.search.algorithms.space import at_fraction
from precisionflow.search.checks.space import check_space
from tests.search.studies import parameter


@pytest.mark.parametrize(
    ("kind", "space"),
    [
        ("double", {"min": "0", "max": "1e-9"}),
        ("double", {"min": "-1", "max": "0", "step": "0.1"}),
        ("double", {"min": "1e-9", "max": "1", "distribution": "logUniform"}),
        ("double", {"min": "0", "max": "1", "distribution": "normal"}),
        ("int", {"min": "1", "max": "2", "step": "1"}),
        ("discrete", {"list": ["1", "2.5", "-3e2"]}),
        ("categorical", {"list": ["a"]}),
    ],
)
def test_values_that_are_allowed(kind: str, space: dict[str, object]) -> None:
    allowed = parameter("x", kind, **space)
    check_space(allowed, "key")
    ends = [at_fraction(allowed, fraction) for fraction in (0.0, 0.5, 1 - 1e-9)]
    if kind in ("discrete", "categorical"):
        assert set(ends) <= set(allowed.space.choices)
    else:
        low, high = float(space["min"]), float(space["max"])
        assert all(low <= float(end) <= high for end in ends)


@pytest.mark.parametrize(
    ("kind", "space", "said"),
    [
        ("double", {"min": "1", "max": "1"}, "key.min: given 1; should be below max, 1"),
        ("double", {"min": "2", "max": "1"}, "key.min: given 2; should be below max, 1"),
        ("double", {"min": "0", "max": "1", "distribution": "logUniform"}, "logUniform needs one above 0"),
        ("double", {"min": "-1", "max": "1", "distribution": "logNormal"}, "logNormal needs one above 0"),
        ("double", {"min": "0", "max": "1", "step": "0"}, "key.step: given 0; should be above 0"),
        ("double", {"min": "0", "max": "1", "step": "-1"}, "key.step: given -1; should be above 0"),
        ("double", {"min": "0", "max": "inf"}, "key.max: given 'inf'; should be a number in quotes"),
        ("double", {"max": "1"}, "key.min: missing; give a number in quotes"),
        ("double", {"list": ["1"]}, "key.list: a double parameter has min and max, no list"),
        ("int", {"min": "0.5", "max": "2"}, "key.min: given '0.5'; should be a whole number in quotes"),
        ("int", {"min": "0", "max": "2", "step": "0.5"}, "key.step: given '0.5'; should be a whole number"),
        ("discrete", {"list": ["1", "b"]}, "key.list.1: given 'b'; should be a number in quotes"),
        ("discrete", {"list": ["1"], "min": "0"}, "key: a discrete parameter has a list, no min"),
        ("categorical", {"list": ["a"], "max": "1"}, "key: a categorical parameter has a list, no min"),
        ("categorical", {"list": ["a"], "step": "1"}, "key: a categorical parameter has a list, no min"),
        ("categorical", {"list": []}, "key.list: is empty; give the values"),
    ],
)
def test_values_that_are_refused(kind: str, space: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_space(parameter("x", kind, **space), "key")
    assert said in str(refused.value)
