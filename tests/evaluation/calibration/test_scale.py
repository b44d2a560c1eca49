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


@pytest.mark.parametrize(("bins", "default"), [(15, True), (8, False)])
def test_groups_of_equal_size_equal_a_loop(bins: int, default: bool) -> None:
    rows = slice(0, 1920)
    target, mean, std = NOISY[rows], MEAN[rows], STD[rows]
    groups = np.array_split(np.argsort(std), bins)
    stated = np.array([np.sqrt(np.mean(std[g] ** 2)) for g in groups])
    observed = np.array([np.sqrt(np.mean((target - mean)[g] ** 2)) for g in groups])
    found = errors_by_scale(target, mean, std, bins=bins)
    np.testing.assert_allclose(found.stated, stated)
    np.testing.assert_allclose(found.observed, observed)
    asked = {} if default else {"bins": bins}
    ence = expected_normalised_calibration_error(target, mean, std, **asked)
    assert ence == pytest.approx(np.mean(np.abs(stated - observed) / stated))


def test_fewer_rows_than_15_make_groups_of_one() -> None:
    target, std = np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 4.0])
    ence = expected_normalised_calibration_error(target, np.zeros(3), std)
    assert ence == pytest.approx((0 + 1 / 2 + 2 / 4) / 3)
    assert errors_by_scale(target, np.zeros(3), std, bins=1).stated == pytest.approx([np.sqrt(7)])


def test_ence_of_a_std_that_is_twice_too_large_is_a_half() -> None:
    many = np.random.default_rng(0).normal(size=200_000)
    ones = np.full(len(many), 2.0) + np.arange(len(many)) * 1e-9
    assert expected_normalised_calibration_error(many, 0 * many, ones) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("bins", [0, ROWS + 1])
def test_more_groups_than_rows_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the number of rows, 2000"):
        errors_by_scale(NOISY, MEAN, STD, bins=bins)
