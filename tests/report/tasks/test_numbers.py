"""A number as target: where chance puts a calibrated model."""

import numpy as np
import pytest

from precisionflow.config import load
from precisionflow.evaluation.calibration.bands import uniform_band
from precisionflow.evaluation.calibration.coverage import coverage_band
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.report.predictions import NumberPredictions
from precisionflow.report.tasks.numbers import chance_bands


def test_a_calibrated_models_line_is_for_as_many_rows_as_are_independent() -> None:
    """Two splits that predict the same 30 rows are one data set of 30."""
    experiment = load("quickstart-regression", ["seeds=[0]", "splits=[0, 1]", "evaluation.levels=[0.9]"])
    pit = np.linspace(0.01, 0.99, 60)
    unused = np.zeros(60)
    bands = {
        rows: chance_bands(
            experiment, {"a": NumberPredictions(unused, unused, unused, pit, unused, unused, rows)}
        )
        for rows in (30, 60)
    }
    for rows, found in bands.items():
        assert found["coverage_90"] == pytest.approx(coverage_band(rows, level=0.9))
        assert found["pit_error"] == uniform_band(pit_error, rows=30, cells=rows // 30)
