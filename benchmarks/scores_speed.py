"""Seconds that each evaluation measure takes on 10^6 predictions, on one core."""

import os
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from measured import Measured, arguments, present

from precisionflow.evaluation import calibration, metrics, scores, sharpness
from precisionflow.evaluation.crps import crps
from precisionflow.evaluation.distribution import Distribution, gaussian

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
    pit = scores.gaussian_pit(target, mean, std)
    lower, upper = scores.gaussian_interval(mean, std, level=0.9)
    predicted = gaussian(mean, std)
    return {
        "gaussian_nll": lambda: scores.gaussian_nll(target, mean, std),
        "gaussian_crps": lambda: scores.gaussian_crps(target, mean, std),
        "gaussian_interval": lambda: scores.gaussian_interval(mean, std, level=0.9),
        "gaussian_pit": lambda: scores.gaussian_pit(target, mean, std),
        "squared_error": lambda: scores.squared_error(target, mean),
        "coverage": lambda: calibration.coverage(target, lower, upper),
        "width": lambda: calibration.width(lower, upper),
        "reliability": lambda: calibration.reliability(pit, levels=np.linspace(0.01, 0.99, 99)),
        "coverage_band": lambda: calibration.coverage_band(PREDICTIONS, level=np.linspace(0.01, 0.99, 99)),
        "pit_histogram": lambda: calibration.pit_histogram(pit, bins=20),
        "pit_error": lambda: calibration.pit_error(pit),
        "crps": lambda: crps(predicted, target),
        "expected_normalised_calibration_error": lambda: sharpness.expected_normalised_calibration_error(
            target, mean, std
        ),
        "sparsification": lambda: sharpness.sparsification(target, mean, std),
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
        "entropy": scores.entropy(probabilities),
        "brier": scores.brier(probabilities, target),
    }
    table = pa.table(columns)
    return {
        "brier": lambda: scores.brier(probabilities, target),
        "entropy": lambda: scores.entropy(probabilities),
        "expected_calibration_error": lambda: calibration.expected_calibration_error(
            confidence, correct, bins=BINS
        ),
        "reliability_bins": lambda: calibration.reliability_bins(confidence, correct, bins=BINS),
        "token_metrics": lambda: metrics.token_metrics(table, bins=BINS),
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
