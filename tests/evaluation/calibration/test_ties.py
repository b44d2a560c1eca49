"""Scores that rank or bin rows: the same for every order of the rows, ties included."""

from collections.abc import Callable

import numpy as np
import pytest

from precisionflow.evaluation.calibration.classes import (
    adaptive_calibration_error,
    area_under_risk_coverage,
    brier_decomposition,
    class_bins,
    class_wise_calibration_error,
    equal_mass_calibration_error,
    maximum_calibration_error,
)
from precisionflow.evaluation.calibration.confidence import expected_calibration_error, reliability_bins
from precisionflow.evaluation.calibration.coverage import (
    interval_calibration_error,
    quantile_calibration_error,
    reliability,
)
from precisionflow.evaluation.calibration.pit import pit_error, pit_histogram
from precisionflow.evaluation.calibration.scale import errors_by_scale, expected_normalised_calibration_error
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.metrics import regression_metrics

ROWS = 60
Columns = dict[str, np.ndarray]
Score = Callable[[Columns], object]

SCORES: dict[str, Score] = {
    "ause": lambda c: sparsification(c["target"], c["mean"], c["std"]).area,
    "sparsification": lambda c: sparsification(c["target"], c["mean"], c["std"], steps=7).error,
    "ence": lambda c: expected_normalised_calibration_error(c["target"], c["mean"], c["std"]),
    "errors by scale": lambda c: errors_by_scale(c["target"], c["mean"], c["std"], bins=7).observed,
    "pit": lambda c: pit_error(c["pit"]),
    "pit histogram": lambda c: pit_histogram(c["pit"], bins=10).counts,
    "reliability": lambda c: reliability(c["pit"], levels=np.array([0.5, 0.9])),
    "rmsce of intervals": lambda c: interval_calibration_error(c["pit"]),
    "rmsce of quantiles": lambda c: quantile_calibration_error(c["pit"]),
    "all of a regression": lambda c: list(
        regression_metrics(gaussian(c["mean"], c["std"]), c["target"], levels=(0.5, 0.9)).values()
    ),
    "aurc": lambda c: area_under_risk_coverage(c["confidence"], c["correct"] > 0),
    "ece": lambda c: expected_calibration_error(c["confidence"], c["correct"] > 0, bins=7),
    "mce": lambda c: maximum_calibration_error(c["confidence"], c["correct"] > 0, bins=7),
    "reliability bins": lambda c: reliability_bins(c["confidence"], c["correct"] > 0, bins=5).accuracy,
    "equal mass": lambda c: equal_mass_calibration_error(c["confidence"], c["correct"] > 0, bins=7),
    "adaptive": lambda c: adaptive_calibration_error(c["probabilities"], c["class"].astype(int), bins=7),
    "class-wise": lambda c: class_wise_calibration_error(
        class_bins(c["probabilities"], c["class"].astype(int), bins=7)
    ),
    "brier": lambda c: brier_decomposition(class_bins(c["probabilities"], c["class"].astype(int), bins=7)),
}


def columns(ties: int, scale: float) -> Columns:
    """Predictions with `ties` different stds and confidences, their errors rising down the rows."""
    random = np.random.default_rng(ties)
    level = random.integers(ties, size=ROWS) / ties
    confidence = 0.5 + 0.4 * level
    target = scale * np.linspace(0.05, 3, ROWS) * np.abs(random.normal(size=ROWS))
    return {
        "target": target,
        "mean": np.zeros(ROWS),
        "std": scale * (1 + level),
        "pit": random.integers(ties + 1, size=ROWS) / (ties + 1),
        "confidence": confidence,
        "correct": (np.arange(ROWS) < ROWS // 2).astype(float),
        "probabilities": np.stack([confidence, 1 - confidence], axis=1),
        "class": (np.arange(ROWS) > ROWS // 3).astype(float),
    }


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("ties", [1, 2, 5, 10**6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_order_of_the_rows_changes_no_score(name: str, ties: int, scale: float) -> None:
    given = columns(ties, scale)
    expected = SCORES[name](given)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(ROWS)
        found = SCORES[name]({key: column[order] for key, column in given.items()})
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_ties_score_as_the_mean_squared_error_over_all_their_orders() -> None:
    """One std for all rows: no row goes before another, so the error of the rest is that of all."""
    given = columns(1, 1.0)
    target, mean, std = given["target"], given["mean"], given["std"]
    np.testing.assert_allclose(sparsification(target, mean, std).error, 1)
    ratio = np.sqrt(np.mean(target**2)) / std[0]
    assert expected_normalised_calibration_error(target, mean, std) == pytest.approx(abs(1 - ratio))
    gap = abs(given["correct"].mean() - given["confidence"][0])
    assert equal_mass_calibration_error(given["confidence"], given["correct"] > 0, bins=7) == pytest.approx(
        gap
    )


def test_ties_are_the_mean_over_orders_by_brute_force() -> None:
    given = columns(3, 1.0)
    squared, std, steps = given["target"] ** 2, given["std"], 10
    kept = ROWS - np.arange(steps) * ROWS // steps
    random, total = np.random.default_rng(0), np.zeros(steps)
    for _ in range(4000):
        order = np.lexsort([random.random(ROWS), std])
        total += np.cumsum(squared[order])[kept - 1] / kept / 4000
    found = sparsification(given["target"], given["mean"], std, steps=steps)
    np.testing.assert_allclose(found.error, np.sqrt(total / squared.mean()), rtol=0.01)
