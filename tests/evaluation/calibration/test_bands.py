"""Bands of counts against scipy's binomial distribution."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.bands import binomial_band


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_a_binomial_band_ends_at_scipys_quantiles(confidence):
    random = np.random.default_rng(0)
    n, p = random.integers(1, 400, size=3000), random.uniform(0.001, 0.999, size=3000)
    low, high = binomial_band(n, p, confidence=confidence)
    np.testing.assert_array_equal(low, stats.binom.ppf((1 - confidence) / 2, n, p))
    np.testing.assert_array_equal(high, stats.binom.ppf((1 + confidence) / 2, n, p))
