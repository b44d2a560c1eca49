"""Accuracy against confidence in bins, against plain loops and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.confidence import expected_calibration_error, reliability_bins
from tests.oracles import expected_calibration_error_by_loop

ROWS = 4000


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """confidence, and whether the answer was correct, with exactly that probability."""
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.2, 1, size=ROWS)
    return confidence, generator.uniform(size=ROWS) < confidence


@pytest.mark.parametrize("bins", [2, 10, 15, 49])
def test_ece_equals_the_loop(answers, bins):
    confidence, correct = answers[0].copy(), answers[1]
    confidence[:bins] = np.arange(1, bins + 1) / bins
    expected = expected_calibration_error_by_loop(confidence, correct, bins=bins)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(expected, rel=1e-12)


def test_ece_by_hand():
    """Five bins; (0.4, 0.6]: 0.5 stated, 1 of 2 right; (0.6, 0.8]: 0.75, 2 of 2; (0.8, 1]: 0.95, 0 of 1.

    (2 |0.5 - 0.5| + 2 |1 - 0.75| + 1 |0 - 0.95|) / 5 = 0.29.
    """
    confidence = np.array([0.45, 0.55, 0.7, 0.8, 0.95])
    correct = np.array([True, False, True, True, False])
    assert expected_calibration_error(confidence, correct, bins=5) == pytest.approx(0.29)
    diagram = reliability_bins(confidence, correct, bins=5)
    np.testing.assert_array_equal(diagram.count, [0, 0, 2, 2, 1])
    np.testing.assert_allclose(diagram.confidence, [np.nan, np.nan, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(diagram.accuracy, [np.nan, np.nan, 0.5, 1, 0])
    np.testing.assert_allclose(diagram.edges, [0, 0.2, 0.4, 0.6, 0.8, 1])


def test_ece_is_the_distance_in_the_diagram(answers):
    diagram = reliability_bins(*answers, bins=15)
    gaps = diagram.count * np.abs(diagram.accuracy - diagram.confidence)
    assert expected_calibration_error(*answers, bins=15) == pytest.approx(np.nansum(gaps) / ROWS)


def test_ece_of_a_calibrated_model_is_as_large_as_chance():
    """On average sqrt(2 / pi) sum_b sqrt(sum_{i in b} c_i (1 - c_i)) / n: a bin's gap is nearly Gaussian."""
    generator = np.random.default_rng(6)
    confidence = generator.uniform(0.3, 0.95, size=1000)
    draws = generator.uniform(size=(400, 1000)) < confidence
    errors = np.array([expected_calibration_error(confidence, correct, bins=10) for correct in draws])
    spread = [np.sum((confidence * (1 - confidence))[np.ceil(confidence * 10) == b]) for b in range(1, 11)]
    expected = math.sqrt(2 / math.pi) * np.sqrt(spread).sum() / 1000
    assert errors.mean() == pytest.approx(expected, rel=0.03)


def test_reliability_bins_hold_the_truth_and_find_overconfidence(answers):
    confidence, correct = answers
    diagram = reliability_bins(confidence, correct, bins=10, band=0.999)
    some = diagram.count > 0
    assert some.sum() == 8
    assert np.isnan(diagram.low[~some]).all()
    assert ((diagram.low <= diagram.accuracy) & (diagram.accuracy <= diagram.high))[some].all()
    middle = stats.binom(diagram.count[5], diagram.confidence[5]).interval(0.999)
    assert (diagram.low[5], diagram.high[5]) == pytest.approx(tuple(end / diagram.count[5] for end in middle))
    boast = reliability_bins(np.sqrt(confidence), correct, bins=10, band=0.999)
    assert np.nanmin(boast.low - boast.accuracy) > -0.1
    assert (boast.accuracy < boast.low)[5:9].all()


def test_certain_answers_have_a_band_without_width():
    diagram = reliability_bins(np.ones(3), np.ones(3, dtype=bool), bins=2)
    assert (diagram.low[1], diagram.accuracy[1], diagram.high[1]) == (1, 1, 1)
