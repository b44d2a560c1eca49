"""Sampling bands: what chance explains, and what it does not."""

import numpy as np

from precisionflow.evaluation.calibration.bands import sampling_band
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.distribution import gaussian
from tests.noisy_predictions import MEAN, NOISY, STD


def test_a_calibrated_model_falls_inside_the_band_and_a_wrong_one_does_not() -> None:
    predicted = gaussian(MEAN, STD)

    def ence(target: np.ndarray) -> float:
        return expected_normalised_calibration_error(target, MEAN, STD)

    low, high = sampling_band(ence, predicted, repeats=200)
    inside = [low <= ence(predicted.sample(np.random.default_rng(seed))) <= high for seed in range(100, 200)]
    assert 85 <= sum(inside) <= 100
    assert not low <= ence(NOISY) <= high
