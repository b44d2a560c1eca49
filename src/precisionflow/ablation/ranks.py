"""Ranks of variants over data sets: Friedman's test by the F of Iman and Davenport, Nemenyi's critical difference."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FEWEST = 3
"""Variants, and data sets, below which nothing is ranked."""


class Ranking(NamedTuple):
    """Mean ranks of the variants, and the test that all are alike."""

    mean_ranks: list[float]
    """1 is best; variants that tie on a data set share the mean of their ranks."""
    chi2: float
    f: float
    """NaN where all data sets rank alike, so that it is infinite."""
    p: float
    critical_difference: float


def ranking(scores: Float[np.ndarray, "sets variants"], *, confidence: float) -> Ranking:
    """Friedman's test that k variants rank alike on N data sets, by scores of which the lowest is best.

        chi2 = 12 N / (k (k + 1) c) * sum_j (R_j - (k + 1) / 2)² ,     c = 1 - sum(t³ - t) / (N (k³ - k))
        F = (N - 1) chi2 / (N (k - 1) - chi2)     with k - 1 and (k - 1)(N - 1) degrees of freedom

    R_j: mean rank; t: sizes of the ties on a data set (Friedman 1937, Iman and Davenport 1980, Conover 1999). p is that
    of F, and at least k!^(1 - N), the probability that all data sets rank alike by chance.
    """
    from scipy import stats

    (sets, variants), ranks = scores.shape, stats.rankdata(scores, axis=1)
    spread = float(np.square(ranks - (variants + 1) / 2).sum())
    between = sets * float(np.square(ranks.mean(axis=0) - (variants + 1) / 2).sum())
    chi2 = sets * (variants - 1) * between / spread if spread else 0.0
    rest = sets * (variants - 1) - chi2
    f = (sets - 1) * chi2 / rest if rest > 1e-9 * chi2 else math.nan
    by_f = 0.0 if math.isnan(f) else float(stats.f.sf(f, variants - 1, (variants - 1) * (sets - 1)))
    p = max(by_f, math.factorial(variants) ** (1.0 - sets)) if chi2 else 1.0
    return Ranking(
        ranks.mean(axis=0).tolist(), chi2, f, p, critical_difference(variants, sets, confidence=confidence)
    )


@cache
def critical_difference(variants: int, sets: int, *, confidence: float) -> float:
    """q * sqrt(k (k + 1) / (6 N)), q the quantile of the studentised range of k normals over sqrt(2) (Nemenyi 1963).

    Mean ranks of any two variants that are alike differ by so much with probability 1 - confidence at most.
    """
    from scipy import stats

    q = float(stats.studentized_range.ppf(confidence, variants, math.inf)) / math.sqrt(2)
    return q * math.sqrt(variants * (variants + 1) / (6 * sets))


def alike(mean_ranks: Sequence[float], *, difference: float) -> list[list[int]]:
    """The largest groups of variants whose mean ranks differ by less than `difference`, each from best to worst."""
    order = sorted(range(len(mean_ranks)), key=mean_ranks.__getitem__)
    found: list[list[int]] = []
    end = 0
    for start, best in enumerate(order):
        group = [j for j in order[start:] if mean_ranks[j] - mean_ranks[best] < difference]
        if len(group) > 1 and start + len(group) > end:
            found.append(group)
            end = start + len(group)
    return found
