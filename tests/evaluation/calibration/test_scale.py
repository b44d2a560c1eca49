"""Predicted stds against errors in groups of rows."""

import numpy as np
import pytest

from precisionflow.evaluation.calibration.scale import errors_by_scale, expected_normalised_calibration_error
from tests.noisy_predictions import MEAN, NOISY, ROWS, STD


def test_errors_by_scale_equal_a_loop() -> None:
    found = errors_by_scale(NOISY, MEAN, STD, bins=7)
    groups = np.array_split(np.argsort(STD, kind="stable"), 7)
    stated = [np.sqrt(np.mean(STD[g] ** 2)) for g in groups]
    np.testing.assert_allclose(found.stated, stated, rtol=0.01)
    assert np.all(np.diff(found.stated) > 0)
    ence = np.mean(np.abs(found.stated - found.observed) / found.stated)
    assert expected_normalised_calibration_error(NOISY, MEAN, STD, bins=7) == pytest.approx(ence)


def test_ence_of_a_std_that_is_twice_too_large_is_a_half() -> None:
    many = np.random.default_rng(0).normal(size=200_000)
    ones = np.full(len(many), 2.0) + np.arange(len(many)) * 1e-9
    assert expected_normalised_calibration_error(many, 0 * many, ones) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("bins", [0, ROWS + 1])
def test_more_groups_than_rows_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the number of rows, 2000"):
        errors_by_scale(NOISY, MEAN, STD, bins=bins)
