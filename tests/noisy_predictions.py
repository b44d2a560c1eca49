"""Predictions with a mean and a std for each row, and targets that fit the stds or are noisier."""

import numpy as np

ROWS = 2000
_random = np.random.default_rng(4)
MEAN, STD = _random.normal(size=ROWS), np.exp(_random.normal(size=ROWS))
NOISY = MEAN + 2 * _random.normal(size=ROWS)
CALIBRATED = MEAN + STD * _random.normal(size=ROWS)
