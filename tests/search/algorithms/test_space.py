"""Values of parameters: steps are counted in exact arithmetic, grids are made one point after the other."""

import itertools
from decimal import Decimal

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import norm

from precisionflow.search.algorithms.samplers import suggester
from precisionflow.search.algorithms.space import at_fraction, axes, grid, grid_values, steps_of, typed
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


def test_what_is_nearest_to_a_value_outside_is_an_end():
    steps = steps_of(stepped("1", "4", "1.5"))
    assert [float(steps.nearest(value)) for value in (-9.0, 1.7, 1.8, 3.9, 1e300)] == [
        1.0,
        1.0,
        2.5,
        4.0,
        4.0,
    ]


def test_a_fraction_of_choices_and_of_a_range_without_steps():
    three = parameter("x", "categorical", list=["a", "b", "c"])
    assert [at_fraction(three, fraction) for fraction in (0.0, 0.32, 0.34, 0.67, 0.99)] == list("aabcc")
    plain = parameter("x", "double", min="-1", max="3")
    assert [at_fraction(plain, fraction) for fraction in (0.0, 0.25, 0.875)] == ["-1.0", "0.0", "2.5"]
    whole = parameter("x", "int", min="3", max="5")
    assert [at_fraction(whole, fraction) for fraction in (0.0, 0.32, 0.34, 0.67, 0.99)] == list("33455")


@pytest.mark.parametrize(
    ("kind", "space", "shape", "distribution"),
    [
        ("categorical", {"list": ["b", "a"]}, "declared", CategoricalDistribution(("b", "a"))),
        ("double", {"min": "1", "max": "2"}, "declared", FloatDistribution(1.0, 2.0)),
        ("double", {"min": "1", "max": "2", "step": "0.5"}, "flat", FloatDistribution(1.0, 2.0, step=0.5)),
        ("double", {"min": "0", "max": "2"}, "logarithmic", FloatDistribution(1e-10, 2.0, log=True)),
        ("int", {"min": "2", "max": "8"}, "logarithmic", IntDistribution(2, 8)),
        ("int", {"min": "2", "max": "8", "step": "3"}, "declared", IntDistribution(2, 8, step=3)),
    ],
)
def test_an_axis_is_drawn_as_its_range_says(kind, space, shape, distribution):
    (axis,) = axes([parameter("x", kind, **space)], shape=shape, algorithm="tpe")
    assert (axis.name, axis.distribution) == ("x", distribution)


@pytest.mark.parametrize("shape", ["declared", "with-normal"])
def test_an_axis_by_logarithms_where_the_study_asks_for_it(shape):
    double = parameter("x", "double", min="0", max="2", distribution="logUniform")
    whole = parameter("y", "int", min="0", max="9", distribution="logUniform")
    found = [axis.distribution for axis in axes([double, whole], shape=shape, algorithm="random")]
    assert found == [FloatDistribution(1e-10, 2.0, log=True), IntDistribution(1, 9, log=True)]
    flat = [axis.distribution for axis in axes([double, whole], shape="flat", algorithm="cmaes")]
    assert flat == [FloatDistribution(0.0, 2.0), IntDistribution(0, 9)]


@pytest.mark.parametrize("deviations", [-3.0, -1.0, 0.0, 0.5, 3.0])
def test_a_normal_value_is_so_many_deviations_from_the_middle(deviations):
    """The range is six deviations wide: P(z <= x) = (Phi(x) - Phi(-3)) / (Phi(3) - Phi(-3))."""
    probability = (norm.cdf(deviations) - norm.cdf(-3)) / (norm.cdf(3) - norm.cdf(-3))
    narrow = parameter("x", "double", min="2", max="14", distribution="normal")
    wide = parameter("y", "double", min="0.01", max="100", distribution="logNormal")
    whole = parameter("z", "int", min="2", max="14", distribution="normal")
    x, y, z = (
        axis.value(float(probability))
        for axis in axes([narrow, wide, whole], shape="with-normal", algorithm="random")
    )
    assert float(x) == pytest.approx(8 + 2 * deviations)
    assert np.log10(float(y)) == pytest.approx(4 / 6 * deviations, abs=1e-9)
    assert z == str(round(8 + 2 * deviations))


def test_an_assignment_stands_for_a_number_where_it_reads_as_one():
    whole, real = parameter("x", "int", min="0", max="9"), parameter("x", "double", min="0", max="9")
    choice = parameter("x", "categorical", list=["8"])
    found = [typed("8", whole), typed("8", real), *(typed(text, choice) for text in ("8", "0.5", "wide"))]
    assert found == [8, 8.0, 8, 0.5, "wide"]
    assert [type(value) for value in found] == [int, float, int, float, str]
