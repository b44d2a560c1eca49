"""Probability integral transforms on samples of a known law, against quadrature and tables."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.pit import pit_error, pit_histogram
from precisionflow.evaluation.scores.gaussian import gaussian_pit
from tests.oracles import cramer_von_mises_by_integration

ROWS = 4000
PIT_ERROR_95, PIT_ERROR_99 = 0.461, 0.743
"""Quantiles of n pit_error for a calibrated model, Anderson & Darling 1952, table 1."""


@pytest.fixture
def law() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """target ~ N(mean, std^2) of each row, mean, std."""
    generator = np.random.default_rng(0)
    mean, std = generator.normal(scale=3, size=ROWS), 10 ** generator.uniform(-1, 1, size=ROWS)
    return generator.normal(mean, std), mean, std


def test_pit_histogram_counts_like_numpy_and_finds_a_wrong_std(law):
    target, mean, std = law
    pit = gaussian_pit(target, mean, std)
    histogram = pit_histogram(pit, bins=20, confidence=0.999)
    np.testing.assert_array_equal(histogram.counts, np.histogram(pit, bins=histogram.edges)[0])
    assert (histogram.low, histogram.high) == stats.binom(ROWS, 1 / 20).interval(0.999)
    assert ((histogram.low <= histogram.counts) & (histogram.counts <= histogram.high)).all()
    narrow = pit_histogram(gaussian_pit(target, mean, std / 1.3), bins=20, confidence=0.999).counts
    assert min(narrow[0], narrow[-1]) > histogram.high
    assert narrow[9:11].max() < histogram.low


def test_pit_histogram_keeps_both_ends():
    np.testing.assert_array_equal(pit_histogram(np.array([0.0, 0.5, 1.0]), bins=2).counts, [1, 2])


@pytest.mark.parametrize("n", [1, 2, 17, 300])
def test_pit_error_equals_its_integral(n):
    pit = np.random.default_rng(n).beta(0.7, 1.5, size=n)
    assert pit_error(pit) == pytest.approx(cramer_von_mises_by_integration(pit), rel=1e-12)
    if n > 1:  # scipy's smallest sample
        assert n * pit_error(pit) == pytest.approx(stats.cramervonmises(pit, "uniform").statistic, rel=1e-12)


def test_pit_error_of_even_and_of_constant_values():
    assert pit_error((np.arange(10) + 0.5) / 10) == pytest.approx(1 / 1200)
    assert pit_error(np.zeros(10)) == pytest.approx(1 / 3)


def test_pit_error_of_a_calibrated_model_is_as_large_as_chance():
    """Mean 1 / (6 n); 5 and 1 per cent above the tabulated quantiles, within four standard errors."""
    errors = 80 * np.array([pit_error(pit) for pit in np.random.default_rng(5).uniform(size=(4000, 80))])
    assert errors.mean() == pytest.approx(1 / 6, abs=4 * errors.std() / math.sqrt(4000))
    for limit, share in ((PIT_ERROR_95, 0.05), (PIT_ERROR_99, 0.01)):
        assert np.mean(errors > limit) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


def test_pit_error_does_not_grow_with_rows(law):
    target, mean, std = law
    assert ROWS * pit_error(gaussian_pit(target, mean, std)) < PIT_ERROR_99
    wrong = gaussian_pit(target, mean, 1.3 * std)
    assert ROWS * pit_error(wrong) > 10 * PIT_ERROR_99
    assert pit_error(np.tile(wrong, 10)) == pytest.approx(pit_error(wrong), rel=0.01)
