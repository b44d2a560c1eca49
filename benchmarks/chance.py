"""Bands of chance of the normalised calibration error: where perfectly calibrated predictions fall."""

import numpy as np
from measured import Measured, arguments, present

from precisionflow.ablation.statistics import chance_band
from precisionflow.evaluation.calibration.chance import ence_chance
from precisionflow.evaluation.distribution import gaussian

TEST_ROWS = {"yacht": 31, "boston": 51, "kin8nm": 819, "power": 957}
"""Rows of one test split of four UCI sets."""


def main() -> None:
    """Print both ends of the 95 % band of one split, for Gaussian predictions whose stds all differ."""
    given = arguments(__doc__).parse_args()
    results = []
    for name, rows in TEST_ROWS.items():
        draws = ence_chance(gaussian(np.zeros(rows), np.linspace(1, 2, rows)), np.arange(rows))
        low, high = chance_band([draws], confidence=0.95)
        results += [
            Measured(f"ence of a calibrated model, {name}, {rows} rows, {end} end", value, "")
            for end, value in (("lower", low), ("upper", high))
        ]
    present(results, given.json)


if __name__ == "__main__":
    main()
