"""Seconds that each evaluation measure takes on 10^6 predictions, on one core."""

import os
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from measured import Measured, arguments, present

from precisionflow.evaluation import metrics
from precisionflow.evaluation.calibration.confidence import expected_calibration_error, reliability_bins
from precisionflow.evaluation.calibration.coverage import coverage, coverage_band, reliability, width
from precisionflow.evaluation.calibration.pit import pit_error, pit_histogram
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.scores.classes import brier, entropy
from precisionflow.evaluation.scores.crps import crps
from precisionflow.evaluation.scores.gaussian import (
    gaussian_crps,
    gaussian_interval,
    gaussian_nll,
    gaussian_pit,
    squared_error,
)

PREDICTIONS = 10**6
CLASSES = 65
"""Size of tiny Shakespeare's vocabulary."""
LEVELS = (0.5, 0.8, 0.9, 0.95)
BINS = 15
BAR = 1.0
REPETITIONS = 5


def gaussian_measures(generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Measures of 10^6 Gaussian predictions: each alone, and all of `evaluate` at once."""
    mean, std = generator.normal(size=PREDICTIONS), np.exp(generator.normal(size=PREDICTIONS))
    target = generator.normal(mean, std)
    pit = gaussian_pit(target, mean, std)
    lower, upper = gaussian_interval(mean, std, level=0.9)
    predicted = gaussian(mean, std)
    return {
        "gaussian_nll": lambda: gaussian_nll(target, mean, std),
        "gaussian_crps": lambda: gaussian_crps(target, mean, std),
        "gaussian_interval": lambda: gaussian_interval(mean, std, level=0.9),
        "gaussian_pit": lambda: gaussian_pit(target, mean, std),
        "squared_error": lambda: squared_error(target, mean),
        "coverage": lambda: coverage(target, lower, upper),
        "width": lambda: width(lower, upper),
        "reliability": lambda: reliability(pit, levels=np.linspace(0.01, 0.99, 99)),
        "coverage_band": lambda: coverage_band(PREDICTIONS, level=np.linspace(0.01, 0.99, 99)),
        "pit_histogram": lambda: pit_histogram(pit, bins=20),
        "pit_error": lambda: pit_error(pit),
        "crps": lambda: crps(predicted, target),
        "expected_normalised_calibration_error": lambda: expected_normalised_calibration_error(
            target, mean, std
        ),
        "sparsification": lambda: sparsification(target, mean, std),
        "regression_metrics, all of them": lambda: metrics.regression_metrics(
            predicted, target, levels=LEVELS
        ),
    }


def mixture_measures(generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Measures of 10^6 ensembles of five Gaussians."""
    centre = generator.normal(size=(PREDICTIONS, 1))
    location = centre + 0.3 * generator.normal(size=(PREDICTIONS, 5))
    scale = np.exp(0.2 * generator.normal(size=(PREDICTIONS, 5)))
    predicted = Distribution("gaussian", location, scale, np.full((PREDICTIONS, 5), 0.2))
    target = predicted.sample(generator)
    return {
        "mixture log density": lambda: predicted.log_density(target),
        "mixture pit": lambda: predicted.cdf(target),
        "mixture quantile": lambda: predicted.quantile(0.975),
        "mixture crps": lambda: crps(predicted, target),
    }


def token_measures(generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Measures of 10^6 predicted distributions over 65 characters."""
    probabilities = generator.exponential(size=(PREDICTIONS, CLASSES))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    target = generator.integers(CLASSES, size=PREDICTIONS)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    columns = {
        "row": np.arange(PREDICTIONS),
        "target": target.astype(np.int32),
        "log_probability": np.log(probabilities[np.arange(PREDICTIONS), target]),
        "confidence": confidence,
        "correct": correct,
        "entropy": entropy(probabilities),
        "brier": brier(probabilities, target),
    }
    table = pa.table(columns)
    return {
        "brier": lambda: brier(probabilities, target),
        "entropy": lambda: entropy(probabilities),
        "expected_calibration_error": lambda: expected_calibration_error(confidence, correct, bins=BINS),
        "reliability_bins": lambda: reliability_bins(confidence, correct, bins=BINS),
        "class_metrics": lambda: metrics.class_metrics(table, bins=BINS),
    }


def median_seconds(measure: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        measure()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[REPETITIONS // 2]


def main() -> None:
    """Print the median seconds of every measure."""
    given = arguments(__doc__).parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = [
        Measured(f"{name}, 10^6 predictions", median_seconds(measure), "s", BAR)
        for measures in (gaussian_measures, mixture_measures, token_measures)
        for name, measure in measures(np.random.default_rng(0)).items()
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
