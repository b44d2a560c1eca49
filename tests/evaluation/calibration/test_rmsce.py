"""Root mean squared calibration error against an independent library."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from precisionflow.evaluation.calibration.coverage import (
    interval_calibration_error,
    quantile_calibration_error,
)
from precisionflow.evaluation.distribution import gaussian
from tests.noisy_predictions import MEAN, NOISY, STD

with warnings.catch_warnings():  # its plots hold an escape sequence that Python warns of
    warnings.simplefilter("ignore")
    from uncertainty_toolbox import metrics_calibration


@pytest.mark.parametrize(
    ("ours", "theirs"), [(interval_calibration_error, "interval"), (quantile_calibration_error, "quantile")]
)
def test_both_forms_equal_uncertainty_toolbox(ours: Callable[..., float], theirs: str) -> None:
    pit = gaussian(MEAN, STD).cdf(NOISY)
    toolbox = metrics_calibration.root_mean_squared_calibration_error(
        MEAN, STD, NOISY, num_bins=101, vectorized=True, prop_type=theirs
    )
    assert ours(pit, levels=99) * np.sqrt(99 / 101) == pytest.approx(toolbox, abs=1e-3)
    assert ours(pit) == ours(pit, levels=99) > 0.05


def test_a_bias_that_leaves_the_coverage_is_seen_by_quantiles_alone() -> None:
    """Every pit in the upper half, |2 pit - 1| uniform: central intervals cover as they promise."""
    pit = 0.5 + 0.5 * (np.arange(1000) + 0.5) / 1000
    assert interval_calibration_error(pit) < 1e-3
    below = np.maximum(2 * np.arange(1, 100) / 100 - 1, 0)
    expected = np.sqrt(np.mean((below - np.arange(1, 100) / 100) ** 2))
    assert quantile_calibration_error(pit) == pytest.approx(expected, abs=1e-3)
