"""Bands of chance: where the normalised calibration error and the ECE of calibrated predictions fall."""

import numpy as np
from measured import Measured, arguments, present
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from precisionflow.ablation.statistics import chance_band
from precisionflow.evaluation.calibration.chance import confidence_chance, ence_chance
from precisionflow.evaluation.calibration.worlds import uniform
from precisionflow.evaluation.distribution import gaussian

TEST_ROWS = {"yacht": 31, "boston": 51, "kin8nm": 819, "power": 957}
"""Rows of one test split of four UCI sets."""

SENTENCES, ACCURACY, BINS, BAR = 872, 0.84, 15, 0.03
"""Rows of SST-2's development file, the accuracy that calibrated confidences of two classes state on average, the bins
of ECE, and its bar."""
TRUE_ERRORS = (0.0, 0.01, 0.02, 0.03, 0.04)
"""Mean distance of stated confidences from true ones, all stated too high by one temperature."""


def passes(error: float, *, rows: int) -> Measured:
    """Share of worlds in which the ECE of so many rows is at most `BAR`.

    The true log odds of the more probable class are the absolute values of a normal distribution, whose scale gives the
    accuracy.
    """
    ranks = np.abs(norm.ppf((np.arange(rows) + 0.5) / rows))
    scale = brentq(lambda scale: expit(scale * ranks).mean() - ACCURACY, 0.1, 50)
    true = expit(scale * ranks)

    def distance(sharper: float) -> float:
        return float(np.mean(expit(sharper * scale * ranks) - true))

    sharper = brentq(lambda sharper: distance(sharper) - error, 1, 10) if error else 1.0
    stated, row = expit(sharper * scale * ranks), np.arange(rows)
    found = confidence_chance(stated, (uniform(row, 0) < true) - stated, row, bins=BINS)["ece"]
    return Measured(
        f"{rows} sentences, off by {error:g} (ECE {found.mean():.3f} on average), ECE at most {BAR}",
        float(np.mean(found <= BAR)),
        "",
    )


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
    results += [passes(error, rows=rows) for rows in (SENTENCES, 10 * SENTENCES) for error in TRUE_ERRORS]
    present(results, given.json)


if __name__ == "__main__":
    main()
