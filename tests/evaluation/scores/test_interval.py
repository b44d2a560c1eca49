"""Interval and pinball scores against independent libraries and closed forms."""

import warnings

import numpy as np
import pytest
import scoringrules

from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.scores.gaussian import gaussian_interval
from precisionflow.evaluation.scores.interval import interval_score, pinball
from tests.noisy_predictions import MEAN, NOISY, STD

with warnings.catch_warnings():  # its plots hold an escape sequence that Python warns of
    warnings.simplefilter("ignore")
    from uncertainty_toolbox import metrics_scoring_rule


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
