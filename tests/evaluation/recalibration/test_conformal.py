"""Conformal coverage by simulation at the promised level, and its closed form."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.recalibration.conformal import (
    absolute_interval,
    absolute_scores,
    conformal_quantile,
    normalised_interval,
    normalised_scores,
    quantile_interval,
    quantile_scores,
)

REPEATS, CALIBRATION = 3000, 60


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_coverage_of_a_new_row_is_what_was_promised(level: float) -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(REPEATS):
        scores = random.exponential(size=CALIBRATION + 1)
        hits += scores[-1] <= conformal_quantile(scores[:-1], level=level)
    exact = np.ceil((CALIBRATION + 1) * level - 1e-9) / (CALIBRATION + 1)
    assert level <= exact <= level + 1 / (CALIBRATION + 1)
    assert stats.binomtest(hits, REPEATS, exact).pvalue > 1e-3


def rows(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, mean and a std that is wrong by a factor of 3 but in proportion."""
    std = np.exp(random.normal(size=n))
    mean = random.normal(size=n)
    return mean + std * random.normal(size=n), mean, std / 3


def test_three_kinds_of_interval_cover_on_average() -> None:
    random = np.random.default_rng(1)
    covered = np.zeros(3)
    width = np.zeros(3)
    for _ in range(150):
        target, mean, std = rows(random, CALIBRATION)
        fresh, centre, scale = rows(random, 200)
        by_absolute = conformal_quantile(absolute_scores(target, mean), level=0.9)
        by_scale = conformal_quantile(normalised_scores(target, mean, std), level=0.9)
        by_quantile = conformal_quantile(quantile_scores(target, mean - std, mean + std), level=0.9)
        intervals = (
            absolute_interval(centre, quantile=by_absolute),
            normalised_interval(centre, scale, quantile=by_scale),
            quantile_interval(centre - scale, centre + scale, quantile=by_quantile),
        )
        for kind, (lower, upper) in enumerate(intervals):
            covered[kind] += np.mean((lower <= fresh) & (fresh <= upper)) / 150
            width[kind] += np.mean(upper - lower) / 150
    np.testing.assert_allclose(covered, np.ceil(61 * 0.9) / 61, atol=0.012)
    assert width[1] < width[0], "a scale that ranks the rows gives narrower intervals"


def test_intervals_hold_the_rows_whose_scores_are_small_enough() -> None:
    random = np.random.default_rng(2)
    target, mean, std = rows(random, 500)
    q = conformal_quantile(quantile_scores(target, mean - std, mean + std), level=0.8)
    lower, upper = quantile_interval(mean - std, mean + std, quantile=q)
    inside = (lower <= target) & (target <= upper)
    assert inside.sum() == np.ceil(501 * 0.8)


def test_too_few_rows_for_the_level_are_refused() -> None:
    with pytest.raises(ValueError, match=r"50 calibration rows are too few .* level 0.99; give at least 99"):
        conformal_quantile(np.arange(50.0), level=0.99)
    assert conformal_quantile(np.arange(99.0), level=0.99) == 98


def test_ends_that_would_cross_meet() -> None:
    lower, upper = quantile_interval(np.array([0.0]), np.array([1.0]), quantile=-2.0)
    assert lower == upper == 0.5
