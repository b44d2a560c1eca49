"""A monotone map of probabilities: wrong tails made true, inverse quantiles, ends."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.recalibration.quantile_map import quantile_map

ROWS = 4000
random = np.random.default_rng(3)
MEAN, STD = random.normal(size=ROWS), np.exp(random.normal(size=ROWS))


def test_a_quantile_map_makes_wrong_tails_true_on_new_rows() -> None:
    predicted = gaussian(MEAN, STD)

    def heavy(seed: int) -> np.ndarray:
        return MEAN + STD * np.random.default_rng(seed).standard_t(2, size=ROWS) * 0.5 + 0.3 * STD

    fitted = quantile_map(predicted.cdf(heavy(0)))
    fresh = heavy(1)
    before, after = predicted.cdf(fresh), fitted.probability(predicted.cdf(fresh))
    assert stats.kstest(before, "uniform").statistic > 0.1
    assert stats.kstest(after, "uniform").statistic < 0.04
    for level in (0.5, 0.9):
        lower, upper = fitted.interval(predicted, level)
        assert np.mean((lower <= fresh) & (fresh <= upper)) == pytest.approx(level, abs=0.03)


def test_a_quantile_map_and_its_quantiles_are_inverse() -> None:
    predicted = gaussian(MEAN[:50], STD[:50])
    fitted = quantile_map(np.random.default_rng(0).beta(0.5, 2, size=300))
    for probability in (0.05, 0.3, 0.9):
        y = fitted.quantile(predicted, probability)
        np.testing.assert_allclose(fitted.probability(predicted.cdf(y)), probability, atol=1e-9)


def test_equal_values_and_ends_give_a_map_that_rises() -> None:
    fitted = quantile_map(np.array([0.0, 0.0, 0.4, 0.4, 0.4, 1.0]))
    assert np.all(np.diff(fitted.forecast) > 0)
    assert np.all(np.diff(fitted.observed) >= 0)
