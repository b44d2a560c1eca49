"""Sampling bands: what chance explains, and what it does not."""

import warnings

import numpy as np

from precisionflow.evaluation.calibration.bands import sampling_band
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.distribution import gaussian

with warnings.catch_warnings():  # its plots hold an escape sequence that Python warns of
    warnings.simplefilter("ignore")

ROWS = 2000
random = np.random.default_rng(4)
MEAN, STD = random.normal(size=ROWS), np.exp(random.normal(size=ROWS))
NOISY = MEAN + 2 * random.normal(size=ROWS)


def test_a_calibrated_model_falls_inside_the_band_and_a_wrong_one_does_not() -> None:
    predicted = gaussian(MEAN, STD)

    def ence(target: np.ndarray) -> float:
        return expected_normalised_calibration_error(target, MEAN, STD)

    low, high = sampling_band(ence, predicted, repeats=200)
    inside = [low <= ence(predicted.sample(np.random.default_rng(seed))) <= high for seed in range(100, 200)]
    assert 85 <= sum(inside) <= 100
    assert not low <= ence(NOISY) <= high
