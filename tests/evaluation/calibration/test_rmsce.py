"""Root mean squared calibration error against an independent library."""

import warnings

import numpy as np
import pytest

from precisionflow.evaluation.calibration.coverage import root_mean_squared_calibration_error
from precisionflow.evaluation.distribution import gaussian
from tests.noisy_predictions import MEAN, NOISY, STD

with warnings.catch_warnings():  # its plots hold an escape sequence that Python warns of
    warnings.simplefilter("ignore")
    from uncertainty_toolbox import metrics_calibration


def test_rmsce_equals_uncertainty_toolbox() -> None:
    pit = gaussian(MEAN, STD).cdf(NOISY)
    toolbox = metrics_calibration.root_mean_squared_calibration_error(
        MEAN, STD, NOISY, num_bins=101, vectorized=True, prop_type="interval"
    )
    ours = root_mean_squared_calibration_error(pit, levels=99)
    assert ours * np.sqrt(99 / 101) == pytest.approx(toolbox, abs=1e-3)
    assert ours > 0.05
