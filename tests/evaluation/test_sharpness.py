"""Interval scores, ENCE and sparsification against independent libraries, closed forms and brute force."""

import warnings

import numpy as np
import pytest
import scoringrules

from precisionflow.evaluation.calibration.bands import sampling_band
from precisionflow.evaluation.calibration.coverage import root_mean_squared_calibration_error
from precisionflow.evaluation.calibration.scale import errors_by_scale, expected_normalised_calibration_error
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.scores.gaussian import gaussian_interval
from precisionflow.evaluation.scores.interval import interval_score, pinball

with warnings.catch_warnings():  # its plots hold an escape sequence that Python warns of
    warnings.simplefilter("ignore")
    from uncertainty_toolbox import metrics_calibration, metrics_scoring_rule

ROWS = 2000
random = np.random.default_rng(4)
MEAN, STD = random.normal(size=ROWS), np.exp(random.normal(size=ROWS))
CALIBRATED = MEAN + STD * random.normal(size=ROWS)
NOISY = MEAN + 2 * random.normal(size=ROWS)


def test_the_interval_score_equals_two_libraries() -> None:
    means = []
    for level in np.linspace(0.01, 0.99, 99):
        lower, upper = gaussian_interval(MEAN, STD, level=float(level))
        ours = interval_score(NOISY, lower, upper, level=float(level))
        np.testing.assert_allclose(ours, scoringrules.interval_score(NOISY, lower, upper, 1 - level))
        means.append(ours.mean())
    toolbox = metrics_scoring_rule.interval_score(MEAN, STD, NOISY)
    assert np.mean(means) == pytest.approx(toolbox, rel=1e-6)


def test_the_pinball_loss_equals_scoringrules() -> None:
    for probability in (0.05, 0.5, 0.8):
        quantile = gaussian(MEAN, STD).quantile(probability)
        ours = pinball(NOISY, quantile, probability=probability)
        np.testing.assert_allclose(ours, scoringrules.quantile_score(NOISY, quantile, probability))


def test_the_pinball_loss_over_all_quantiles_is_half_the_crps() -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    some = slice(0, 50)
    predicted = gaussian(MEAN[some], STD[some])
    total = np.mean(
        [pinball(NOISY[some], predicted.quantile(float(p)), probability=float(p)) for p in levels], axis=0
    )
    np.testing.assert_allclose(
        2 * total, scoringrules.crps_normal(NOISY[some], MEAN[some], STD[some]), rtol=2e-3
    )


def test_rmsce_equals_uncertainty_toolbox() -> None:
    pit = gaussian(MEAN, STD).cdf(NOISY)
    toolbox = metrics_calibration.root_mean_squared_calibration_error(
        MEAN, STD, NOISY, num_bins=101, vectorized=True, prop_type="interval"
    )
    ours = root_mean_squared_calibration_error(pit, levels=99)
    assert ours * np.sqrt(99 / 101) == pytest.approx(toolbox, abs=1e-3)
    assert ours > 0.05


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


def test_a_calibrated_model_falls_inside_the_band_and_a_wrong_one_does_not() -> None:
    predicted = gaussian(MEAN, STD)

    def ence(target: np.ndarray) -> float:
        return expected_normalised_calibration_error(target, MEAN, STD)

    low, high = sampling_band(ence, predicted, repeats=200)
    inside = [low <= ence(predicted.sample(np.random.default_rng(seed))) <= high for seed in range(100, 200)]
    assert 85 <= sum(inside) <= 100
    assert not low <= ence(NOISY) <= high


@pytest.mark.parametrize("bins", [0, ROWS + 1])
def test_more_groups_than_rows_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the number of rows, 2000"):
        errors_by_scale(NOISY, MEAN, STD, bins=bins)


def test_no_error_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an error to rank"):
        sparsification(MEAN, MEAN, STD)
