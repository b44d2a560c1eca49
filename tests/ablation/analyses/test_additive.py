"""The additive model: exact on additive functions, the two-sample t where there are two levels, silent without runs."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.analyses.additive import Additive, quadratic, saturated, shared_variance


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_additive_function_is_recovered_whatever_the_other_parameter_does(scale: float) -> None:
    generator = np.random.default_rng(0)
    levels = generator.integers(3, size=(20, 2))
    values = scale * (np.array([0.0, 5.0, -2.0])[levels[:, 0]] + np.array([0.0, 100.0, 300.0])[levels[:, 1]])
    values[3] = math.nan
    of = Additive(levels, [saturated(3), saturated(3)], values, 0.95)
    assert of.difference(0, 2, 1).mean == pytest.approx(-7 * scale)
    assert of.mean(0, 1).mean == pytest.approx((5 + 400 / 3) * scale)
    assert of.mean(0, 1).n == ((levels[:, 0] == 1) & ~np.isnan(values)).sum()
    assert of.difference(1, 2, 2)[:3] == (0, 0, 0)


def test_a_parabola_is_recovered_from_places_that_no_run_connects() -> None:
    """Runs at 0 and 2/3 of one trajectory, at 1/3 and 1 of another with a level of its own: as Morris has them."""
    places = [0.0, 1 / 3, 2 / 3, 1.0]
    levels = np.array([[0, 0], [2, 0], [0, 1], [1, 0], [3, 0], [1, 1], [2, 1]])
    x = np.array(places)[levels[:, 0]]
    of = Additive(levels, [quadratic(places), quadratic([0.0, 1.0])], 3 * x - 2 * x**2 + levels[:, 1], 0.9)
    assert [of.difference(0, level, 0).mean for level in range(4)] == pytest.approx(
        [3 * x - 2 * x**2 for x in places], abs=1e-12
    )


def test_two_levels_are_a_two_sample_t_test() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.standard_normal(7) + 1, generator.standard_normal(5)
    levels = np.array([1] * 7 + [0] * 5)[:, None]
    found = Additive(levels, [saturated(2)], np.concatenate([ours, theirs]), 0.9).difference(0, 1, 0)
    exact = stats.ttest_ind(ours, theirs).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_too_few_runs_say_nothing() -> None:
    levels = np.array([[0], [1], [2]])
    of = Additive(levels, [saturated(3)], np.array([1.0, 2.0, 3.0]), 0.95)
    assert math.isnan(of.mean(0, 1).mean)
    assert math.isnan(of.difference(0, 1, 0).low)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("between", [0.0, 0.3, 3.0])
def test_a_mean_holds_for_further_units_which_are_the_same_in_every_run(scale: float, between: float) -> None:
    """1,000 designs of 12 runs with 4 units each; `between` units that move all runs alike, noise of 1 within."""
    generator = np.random.default_rng(3)
    levels = np.repeat([0, 1, 2], 4)[:, None]
    missed = {"mean": 0, "difference": 0}
    for _ in range(1000):
        values = generator.standard_normal((12, 4)) + between * generator.standard_normal(4)
        values = scale * (values + levels)
        shared, units = shared_variance(values, overlap=0.0)
        of = Additive(levels, [saturated(3)], values.mean(axis=1), 0.95, shared, units)
        mean, difference = of.mean(0, 1), of.difference(0, 2, 0)
        missed["mean"] += not mean.low <= scale <= mean.high
        missed["difference"] += not difference.low <= 2 * scale <= difference.high
    assert 15 < missed["mean"] < 75
    assert missed["difference"] == pytest.approx(50, abs=25)


def test_units_in_common_need_several_of_whole_runs() -> None:
    one, gaps = np.ones((3, 1)), np.array([[1.0, math.nan], [math.nan, 2.0]])
    assert shared_variance(one, overlap=0.1) == shared_variance(gaps, overlap=0.1) == (0.0, 1)
    held = np.array([[1.0, 2.0], [3.0, 4.0], [math.nan, 9.0]])
    failed_everywhere = np.insert(held, 1, math.nan, axis=1)
    for values in (held, failed_everywhere):
        assert shared_variance(values, overlap=0.25) == (pytest.approx(0.5 * 0.75), 2)
