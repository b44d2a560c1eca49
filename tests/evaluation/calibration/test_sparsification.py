"""Sparsification against its oracle and a loop."""

import numpy as np
import pytest

from precisionflow.evaluation.calibration.sparsification import sparsification
from tests.noisy_predictions import CALIBRATED, MEAN, NOISY, ROWS, STD


def test_sparsification_by_the_true_errors_is_the_oracle() -> None:
    error = np.abs(NOISY - MEAN) + 1e-12
    perfect = sparsification(NOISY, MEAN, error)
    np.testing.assert_allclose(perfect.error, perfect.oracle)
    assert perfect.area == pytest.approx(0)
    assert perfect.error[0] == pytest.approx(1)
    opposite = sparsification(NOISY, MEAN, 1 / error)
    useless = sparsification(NOISY, MEAN, np.random.default_rng(0).random(ROWS) + 1)
    assert opposite.area > useless.area > sparsification(CALIBRATED, MEAN, STD).area > 0


def test_sparsification_equals_a_loop() -> None:
    found = sparsification(NOISY, MEAN, STD, steps=10)
    order = np.argsort(STD, kind="stable")
    for step, error in enumerate(found.error):
        rest = order[: ROWS - step * ROWS // 10]
        expected = np.sqrt(np.mean((NOISY - MEAN)[rest] ** 2) / np.mean((NOISY - MEAN) ** 2))
        assert error == pytest.approx(expected)


def test_no_error_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an error to rank"):
        sparsification(MEAN, MEAN, STD)
