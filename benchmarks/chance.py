"""Bands of chance of the normalised calibration error: where perfectly calibrated predictions fall."""

import numpy as np
from measured import Measured, arguments, present

from precisionflow.evaluation.calibration.bands import sampling_band
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.distribution import gaussian

TEST_ROWS = {"yacht": 31, "boston": 51, "kin8nm": 819, "power": 957}
"""Rows of one test split of four UCI sets."""


def main() -> None:
    """Print both ends of the 95 % band of one split, for Gaussian predictions whose stds all differ."""
    given = arguments(__doc__).parse_args()
    results = []
    for name, rows in TEST_ROWS.items():
        mean, std = np.zeros(rows), np.linspace(1, 2, rows)

        def ence(target: np.ndarray, mean: np.ndarray = mean, std: np.ndarray = std) -> float:
            return expected_normalised_calibration_error(target, mean, std)

        low, high = sampling_band(ence, gaussian(mean, std))
        results += [
            Measured(f"ence of a calibrated model, {name}, {rows} rows, {end} end", value, "")
            for end, value in (("lower", low), ("upper", high))
        ]
    present(results, given.json)


if __name__ == "__main__":
    main()
