"""Values of parameters: steps are counted in exact arithmetic, grids are made one point after the other."""

import itertools
from decimal import Decimal

import numpy as np
import pytest

from precisionflow.search.algorithms.samplers import suggester
from precisionflow.search.algorithms.space import at_fraction, grid, grid_values
from tests.search.studies import algorithm, parameter


def stepped(low, high, step, kind="double"):
    return parameter("x", kind, min=low, max=high, step=step)


def test_a_grid_reaches_its_max():
    assert list(grid_values(stepped("0.1", "0.3", "0.1"))) == ["0.1", "0.2", "0.3"]
    assert list(grid_values(stepped("0", "0.3", "0.1"))) == ["0.0", "0.1", "0.2", "0.3"]
    assert list(grid_values(stepped("-0.2", "0.1", "0.1"))) == ["-0.2", "-0.1", "0.0", "0.1"]
    assert list(grid_values(stepped("0.1", "0.35", "0.1"))) == ["0.1", "0.2", "0.3"]
    assert list(grid_values(stepped("1", "2", "5"))) == ["1.0"]


@pytest.mark.parametrize("scale", range(-6, 7))
def test_a_grid_has_every_point_that_decimals_have_at_any_scale(scale):
    draws = np.random.default_rng(scale + 6)
    for _ in range(50):
        low, step = (Decimal(int(draws.integers(first, 1000))).scaleb(scale - 2) for first in (-1000, 1))
        count = int(draws.integers(2, 40))
        points = [low + index * step for index in range(count)]
        found = list(grid_values(stepped(str(low), str(points[-1]), str(step))))
        assert found == [str(float(point)) for point in points]
        over = str(points[-1] + step * Decimal("0.999"))
        assert list(grid_values(stepped(str(low), over, str(step)))) == found


@pytest.mark.parametrize("step", ["0.1", "0.25", "0.05", "0.3"])
@pytest.mark.parametrize("low", ["0", "0.1", "0.01", "-1"])
def test_a_grid_has_the_points_of_katib_and_max_where_katibs_sum_oversteps_it(low, step):
    """Katib 0.19: numpy's arange up to max + step, without its last point where that is above max."""
    for count in range(2, 12):
        high = str(Decimal(low) + (count - 1) * Decimal(step))
        katibs = np.arange(float(low), float(high) + float(step), float(step))
        katibs = katibs[:-1] if katibs[-1] > float(high) else katibs
        found = [float(value) for value in grid_values(stepped(low, high, step))]
        assert len(katibs) in (count - 1, count)
        np.testing.assert_allclose(found[: len(katibs)], katibs, rtol=1e-12, atol=1e-15)
        assert found[-1] == float(high)


def test_whole_numbers_are_exact_beyond_what_a_float_holds():
    assert list(grid_values(stepped(str(2**53 + 1), str(2**53 + 5), "2", "int"))) == [
        str(2**53 + odd) for odd in (1, 3, 5)
    ]
    assert at_fraction(stepped(str(2**60 + 1), str(2**60 + 2), "", "int"), 0.75) == str(2**60 + 2)


def test_a_grid_is_made_one_point_after_the_other():
    axes = [parameter(name, "double", min="0", max="1", step="1e-9") for name in "abc"]
    asked = list(itertools.islice(grid(axes), 2))
    assert asked == [{"a": "0.0", "b": "0.0", "c": c} for c in ("0.0", "1e-09")]


def test_a_grid_over_a_double_needs_its_step():
    with pytest.raises(ValueError, match="parameter x: a grid needs the step of a double; add feasibleSpace"):
        grid_values(stepped("0", "1", ""))


def test_a_fraction_of_a_range_is_one_of_its_steps():
    tenths = stepped("0.1", "0.3", "0.1")
    assert [at_fraction(tenths, fraction) for fraction in (0.0, 0.3, 0.5, 0.7, 0.999)] == [
        "0.1",
        "0.1",
        "0.2",
        "0.3",
        "0.3",
    ]


def test_a_normal_value_with_a_step_is_one_of_its_steps():
    normal = parameter("x", "double", min="0.1", max="0.7", step="0.1", distribution="normal")
    draws = suggester(algorithm("random"), [normal], better="minimize", seed=0)
    assert {draws.ask()["x"] for _ in range(400)} == {"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"}
