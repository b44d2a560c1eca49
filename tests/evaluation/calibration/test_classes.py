"""Calibration of class probabilities against torchmetrics, scikit-learn and brute force."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from precisionflow.evaluation.calibration.classes import (
    adaptive_calibration_error,
    area_under_risk_coverage,
    brier_decomposition,
    class_bins,
    class_wise_calibration_error,
    equal_mass_calibration_error,
    maximum_calibration_error,
)
from precisionflow.evaluation.calibration.confidence import expected_calibration_error
from precisionflow.evaluation.scores.classes import brier

ROWS, CLASSES = 3000, 4
random = np.random.default_rng(8)
PROBABILITIES = random.dirichlet(np.full(CLASSES, 0.7), size=ROWS)
CALIBRATED = (random.random((ROWS, 1)) > np.cumsum(PROBABILITIES, axis=1)[:, :-1]).sum(axis=1)
WRONG = random.integers(0, CLASSES, size=ROWS)
CONFIDENCE = PROBABILITIES.max(axis=1)
CORRECT = PROBABILITIES.argmax(axis=1) == CALIBRATED
MISTAKEN = PROBABILITIES.argmax(axis=1) == WRONG


@pytest.mark.parametrize(("target", "correct"), [(CALIBRATED, CORRECT), (WRONG, MISTAKEN)])
def test_equal_width_errors_equal_torchmetrics(target: np.ndarray, correct: np.ndarray) -> None:
    given = torch.tensor(PROBABILITIES), torch.tensor(target)
    for norm, ours in (("l1", expected_calibration_error), ("max", maximum_calibration_error)):
        theirs = multiclass_calibration_error(*given, num_classes=CLASSES, n_bins=12, norm=norm)
        assert ours(CONFIDENCE, correct, bins=12) == pytest.approx(float(theirs), abs=1e-6)


def test_equal_mass_error_equals_a_loop() -> None:
    groups = np.array_split(np.argsort(CONFIDENCE, kind="stable"), 10)
    expected = sum(len(g) / ROWS * abs(MISTAKEN[g].mean() - CONFIDENCE[g].mean()) for g in groups)
    assert equal_mass_calibration_error(CONFIDENCE, MISTAKEN, bins=10) == pytest.approx(expected)


def test_class_errors_equal_loops() -> None:
    equal_width, equal_mass = [], []
    for k in range(CLASSES):
        p, hit = PROBABILITIES[:, k], k == WRONG
        bins = [(p > i / 8) & (p <= (i + 1) / 8) for i in range(8)]
        equal_width += [b.mean() * abs(hit[b].mean() - p[b].mean()) for b in bins if b.any()]
        equal_mass.append(equal_mass_calibration_error(p, hit, bins=8))
    ours = class_wise_calibration_error(class_bins(PROBABILITIES, WRONG, bins=8))
    assert ours == pytest.approx(sum(equal_width) / CLASSES)
    assert adaptive_calibration_error(PROBABILITIES, WRONG, bins=8) == pytest.approx(np.mean(equal_mass))


def test_calibrated_classes_have_smaller_errors_than_wrong_ones() -> None:
    def class_wise(probabilities: np.ndarray, target: np.ndarray, *, bins: int) -> float:
        return class_wise_calibration_error(class_bins(probabilities, target, bins=bins))

    for error in (class_wise, adaptive_calibration_error):
        good = error(PROBABILITIES, CALIBRATED, bins=10)
        assert good < 0.03 < error(PROBABILITIES, WRONG, bins=10)


def test_the_bins_of_two_halves_add_up() -> None:
    whole = class_bins(PROBABILITIES, WRONG, bins=8)
    halves = [class_bins(PROBABILITIES[part], WRONG[part], bins=8) for part in (slice(700), slice(700, None))]
    joined = halves[0] + halves[1]
    assert joined.rows == whole.rows == ROWS
    assert brier_decomposition(joined) == pytest.approx(brier_decomposition(whole))
    assert class_wise_calibration_error(joined) == pytest.approx(class_wise_calibration_error(whole))


@pytest.mark.parametrize("target", [CALIBRATED, WRONG])
def test_the_parts_of_the_brier_score_add_up_to_scikit_learns(target: np.ndarray) -> None:
    parts = brier_decomposition(class_bins(PROBABILITIES, target, bins=20))
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    theirs = brier_score_loss(target, PROBABILITIES, labels=list(range(CLASSES)), scale_by_half=False)
    assert total == pytest.approx(theirs)
    assert abs(parts.within) < 0.01


def test_forecasts_that_repeat_have_nothing_within_bins() -> None:
    forecasts = np.array([[0.9, 0.1], [0.3, 0.7]])[np.arange(200) % 2]
    target = (np.arange(200) % 5 == 0).astype(int)
    parts = brier_decomposition(class_bins(forecasts, target, bins=10))
    assert parts.within == pytest.approx(0, abs=1e-12)
    assert parts.uncertainty == pytest.approx(2 * 0.2 * 0.8)
    calibrated = np.full((200, 2), [0.8, 0.2])
    assert brier_decomposition(class_bins(calibrated, target, bins=10)).reliability == pytest.approx(
        0, abs=1e-12
    )
    assert np.mean(brier(calibrated, target)) == pytest.approx(0.32)


def test_risk_coverage_equals_a_loop_and_spreads_ties() -> None:
    order = np.argsort(-CONFIDENCE, kind="stable")
    risks = [1 - CORRECT[order[: k + 1]].mean() for k in range(ROWS)]
    assert area_under_risk_coverage(CONFIDENCE, CORRECT) == pytest.approx(np.mean(risks))
    same = np.full(4, 0.5)
    for correct in ([True, True, False, False], [False, False, True, True]):
        assert area_under_risk_coverage(same, np.array(correct)) == pytest.approx(0.5)


def test_more_bins_than_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and the number of rows, 2"):
        equal_mass_calibration_error(np.array([0.5, 0.6]), np.array([True, False]), bins=3)
