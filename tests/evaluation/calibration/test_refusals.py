"""All calibration measures: the order of rows, many rows, and what is no prediction."""

import numpy as np
import pytest

from precisionflow.evaluation.calibration.confidence import expected_calibration_error, reliability_bins
from precisionflow.evaluation.calibration.coverage import coverage, coverage_band, reliability, width
from precisionflow.evaluation.calibration.pit import pit_error, pit_histogram
from precisionflow.evaluation.scores.gaussian import gaussian_pit

ROWS = 4000
LEVELS = np.array([0.5, 0.8, 0.9, 0.95])


@pytest.fixture
def law() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """target ~ N(mean, std^2) of each row, mean, std."""
    generator = np.random.default_rng(0)
    mean, std = generator.normal(scale=3, size=ROWS), 10 ** generator.uniform(-1, 1, size=ROWS)
    return generator.normal(mean, std), mean, std


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """confidence, and whether the answer was correct, with exactly that probability."""
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.2, 1, size=ROWS)
    return confidence, generator.uniform(size=ROWS) < confidence


def test_the_order_of_rows_does_not_matter(law, answers):
    order = np.random.default_rng(2).permutation(ROWS)
    pit, shuffled = gaussian_pit(*law), gaussian_pit(*(column[order] for column in law))
    assert pit_error(shuffled) == pit_error(pit)
    np.testing.assert_array_equal(reliability(shuffled, levels=LEVELS), reliability(pit, levels=LEVELS))
    mixed = expected_calibration_error(answers[0][order], answers[1][order], bins=15)
    assert mixed == pytest.approx(expected_calibration_error(*answers, bins=15), rel=1e-12)


def test_a_million_rows():
    generator = np.random.default_rng(3)
    pit = generator.uniform(size=10**6)
    assert pit_error(pit) < 1e-5
    assert pit_histogram(pit, bins=50).counts.sum() == 10**6
    assert expected_calibration_error(1 - pit, generator.uniform(size=10**6) < 1 - pit, bins=15) < 0.01


half, true = np.full(2, 0.5), np.ones(2, dtype=bool)


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coverage(np.ones((2, 1)), half, half), r"target \(2, 1\)"),
        (lambda: coverage(half, half, half - 1), "upper, row 0: given -0.5; should not lie below lower"),
        (lambda: width(half, np.array([1, 0])), "upper, row 1: given 0.0; should not lie below lower"),
        (lambda: width(half[:0], half[:0]), "no rows"),
        (lambda: pit_error(np.array([0.2, 1.2])), r"pit, row 1: given 1.2; should lie in \[0, 1\]"),
        (lambda: pit_error(np.array([np.nan])), "pit, row 0: given nan"),
        (lambda: reliability(half, levels=np.array([0.5, 1])), "level, row 1: given 1.0; should lie between"),
        (lambda: pit_histogram(half, bins=1), "bins: given 1; should be at least 2"),
        (lambda: coverage_band(0, level=0.5), "n: given 0; should be at least 1"),
        (lambda: coverage_band(5, level=95.0), "level, row 0: given 95.0"),
        (lambda: coverage_band(5, level=0.0), "level, row 0: given 0.0"),
        (
            lambda: coverage_band(5, level=0.5, confidence=95),
            "confidence: given 95; should lie between 0 and 1",
        ),
        (lambda: expected_calibration_error(half, true[:1], bins=5), r"confidence \(2,\), correct \(1,\)"),
        (lambda: expected_calibration_error(2 * half + 1, true, bins=5), "confidence, row 0: given 2.0"),
        (lambda: expected_calibration_error(0 * half, true, bins=5), "confidence, row 0: given 0.0"),
        (
            lambda: expected_calibration_error(half, half, bins=5),
            "correct, row 0: given 0.5; should be true or",
        ),
        (lambda: expected_calibration_error(half, true, bins=0), "bins: given 0"),
        (lambda: reliability_bins(half, true, bins=5, band=1.0), "given 1.0; should lie between 0 and 1"),
    ],
)
def test_what_is_no_prediction_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
