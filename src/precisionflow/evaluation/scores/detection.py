"""Detection of rows that are unlike the training rows, by a score that should be higher for them."""

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import aligned

Known = Float[np.ndarray, "_known"]
Unknown = Float[np.ndarray, "_unknown"]
KEPT = 0.95
"""Share of the known rows that the threshold of `false_positive_rate` keeps."""


def area_under_roc(known: Known, unknown: Unknown) -> float:
    """P(score of an unknown row > that of a known one) + half the ties: 1/2 by chance, 1 where all are told apart."""
    (known,), (unknown,) = aligned(known=known), aligned(unknown=unknown)
    ordered = np.sort(known)
    below, at_most = (np.searchsorted(ordered, unknown, side=side) for side in ("left", "right"))
    return float((below + at_most).sum() / (2 * len(known) * len(unknown)))


def false_positive_rate(known: Known, unknown: Unknown) -> float:
    """Share of the unknown rows that pass for known at the threshold that keeps 95 % of the known rows (FPR95).

    The threshold is the smallest score that at least so many known rows do not exceed.
    """
    (known,), (unknown,) = aligned(known=known), aligned(unknown=unknown)
    threshold = np.quantile(known, KEPT, method="inverted_cdf")
    return float((unknown <= threshold).mean())
