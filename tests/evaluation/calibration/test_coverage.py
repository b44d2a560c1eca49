"""Coverage and reliability of central intervals on samples of a known law, against exact binomials."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.coverage import coverage, coverage_band, reliability, width
from precisionflow.evaluation.scores.gaussian import gaussian_interval, gaussian_pit

ROWS = 4000
LEVELS = np.array([0.5, 0.8, 0.9, 0.95])


@pytest.fixture
def law() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """target ~ N(mean, std^2) of each row, mean, std."""
    generator = np.random.default_rng(0)
    mean, std = generator.normal(scale=3, size=ROWS), 10 ** generator.uniform(-1, 1, size=ROWS)
    return generator.normal(mean, std), mean, std


@pytest.mark.parametrize("level", LEVELS)
def test_coverage_of_the_true_law_is_inside_its_band(law, level):
    target, mean, std = law
    low, high = coverage_band(ROWS, level=float(level), confidence=0.999)
    assert low <= coverage(target, *gaussian_interval(mean, std, level=level)) <= high
    assert coverage(target, *gaussian_interval(mean, 1.3 * std, level=level)) > high
    assert coverage(target, *gaussian_interval(mean, std / 1.3, level=level)) < low


def test_coverage_counts_the_ends():
    three = np.array([0.0, 1.0, 2.0])
    assert coverage(three, np.zeros(3), np.ones(3)) == pytest.approx(2 / 3)


def test_width_is_the_mean_length():
    assert width(np.array([0.0, -1.0]), np.array([0.5, 2.5])) == 2.0


def test_reliability_is_the_coverage_of_each_level(law):
    target, mean, std = law
    expected = [coverage(target, *gaussian_interval(mean, std, level=level)) for level in LEVELS]
    np.testing.assert_array_equal(reliability(gaussian_pit(target, mean, std), levels=LEVELS), expected)


def test_reliability_counts_the_ends():
    np.testing.assert_array_equal(reliability(np.array([0.25, 0.75, 0.9]), levels=np.array([0.5])), [2 / 3])


def test_reliability_of_the_true_law_follows_the_diagonal(law):
    target, mean, std = law
    levels = np.linspace(0.05, 0.95, 19)
    low, high = coverage_band(ROWS, level=levels, confidence=0.999)
    observed = reliability(gaussian_pit(target, mean, std), levels=levels)
    assert ((low <= observed) & (observed <= high)).all()
    assert (reliability(gaussian_pit(target, mean, 1.3 * std), levels=levels) > high).all()


@pytest.mark.parametrize("n", [1, 7, 60, 1000])
@pytest.mark.parametrize("level", [0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_band_is_the_exact_binomial_one(n, level, confidence):
    """Neither tail outside exceeds its share, and a band that is one row tighter on either side would."""
    low, high = (round(end * n) for end in coverage_band(n, level=level, confidence=confidence))
    tail = (1 - confidence) / 2
    count = stats.binom(n, level)
    assert max(count.cdf(low - 1), count.sf(high)) <= tail * (1 + 1e-9)
    assert min(count.cdf(low), count.sf(high - 1)) >= tail * (1 - 1e-9)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(50, 0.82, 0.98), (1000, 0.881, 0.918), (10_000, 0.8941, 0.9058)]
)
def test_the_bands_of_the_documentation(n, low, high):
    assert coverage_band(n, level=0.9) == (low, high)


def test_the_band_of_two_rows_by_hand():
    """P(X <= 0) = 1/4 and P(X <= 1) = 3/4 are the quartiles themselves: the band is 0 to 1 of 2 rows."""
    assert coverage_band(2, level=0.5, confidence=0.5) == (0.0, 0.5)


def test_the_band_of_many_rows_is_the_normal_one():
    low, high = coverage_band(10**8, level=0.9)
    half = 1.959963984540054 * math.sqrt(0.9 * 0.1 / 10**8)
    assert (low, high) == pytest.approx((0.9 - half, 0.9 + half), abs=2e-8)


half, true = np.full(2, 0.5), np.ones(2, dtype=bool)
