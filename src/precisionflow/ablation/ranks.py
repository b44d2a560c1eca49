"""Ranks of variants over data sets: Friedman's test by permutations, Nemenyi's critical difference."""

import itertools
import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from precisionflow.ablation.statistics import tied

FEWEST = 3
"""Variants, and data sets, below which nothing is ranked."""
STEP = 60_000
"""Sums of ranks that one data set more may lead to, up to which all orders are counted."""
DRAWS = 20_000
"""Orders that are drawn where all are too many."""


class Ranking(NamedTuple):
    """Mean ranks of the variants, and the test that all are alike."""

    mean_ranks: list[float]
    """1 is best; variants that tie on a data set share the mean of their ranks."""
    chi2: float
    p: float
    critical_difference: float


def ranking(scores: Float[np.ndarray, "sets variants"], *, confidence: float) -> Ranking:
    """Friedman's test that k variants rank alike on N data sets, by scores of which the lowest is best.

        chi2 = 12 N / (k (k + 1) c) * sum_j (R_j - (k + 1) / 2)² ,     c = 1 - sum(t³ - t) / (N (k³ - k))
        p = share of all orders of the ranks on each data set whose chi2 is this one or larger

    R_j: mean rank; t: sizes of the ties on a data set, of scores that are `statistics.tied` (Friedman 1937). Where the
    orders are too many p is that of `DRAWS` random ones, (1 + as large) / (1 + draws), and varies with them by 0.0015
    at 0.05.
    """
    from scipy import stats

    (sets, variants), ranks = scores.shape, stats.rankdata(_order(scores), axis=1)
    doubled = np.rint(2 * ranks).astype(int) - (variants + 1)
    spread, sums = int(np.square(doubled).sum()), doubled.sum(axis=0)
    observed = int(np.square(sums).sum())
    chi2 = (variants - 1) * observed / spread if spread else 0.0
    null = _null(tuple(sorted(tuple(sorted(of)) for of in doubled.tolist())))
    return Ranking(
        ranks.mean(axis=0).tolist(),
        chi2,
        null.reached(observed),
        critical_difference(variants, sets, confidence=confidence),
    )


def _order(scores: Float[np.ndarray, "sets variants"]) -> Int[np.ndarray, "sets variants"]:
    """Places of the scores on each data set; those that differ from the next one by rounding alone share theirs."""
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    places = np.cumsum(~tied(ordered[:, 1:], ordered[:, :-1]), axis=1)
    found = np.zeros(scores.shape, dtype=int)
    np.put_along_axis(found, order[:, 1:], places, axis=1)
    return found


class _Null(NamedTuple):
    """Sums of squared sums of ranks where variants are alike, in increasing order, and the weight of each."""

    values: Int[np.ndarray, " orders"]
    weights: Float[np.ndarray, " orders"]

    def reached(self, value: int) -> float:
        """Probability of the value or a larger one."""
        return min(float(self.weights[np.searchsorted(self.values, value) :].sum()), 1.0)


@lru_cache(maxsize=256)
def _null(sets: tuple[tuple[int, ...], ...]) -> _Null:
    """Of the ranks on each data set, twice their distances from the mean rank, in any order."""
    sums, weights = _every_order(sets) or _random_orders(sets)
    values = np.square(sums).sum(axis=1)
    order = np.argsort(values, kind="stable")
    return _Null(values[order], weights[order])


Sums = tuple[Int[np.ndarray, "orders variants"], Float[np.ndarray, " orders"]]
"""Sums of the ranks of each variant, and the probability of each row."""


def _every_order(sets: Sequence[tuple[int, ...]]) -> Sums | None:
    """Set by set, sums that differ in the variants' order alone being one; none where they are too many."""
    variants = len(sets[0])
    if math.factorial(variants) > STEP:
        return None
    orders = np.array(list(itertools.permutations(range(variants))))
    sums, weights = np.array([sets[0]]), np.ones(1)
    for ranks in sets[1:]:
        if len(sums) * len(orders) > STEP:
            return None
        moved = np.sort((sums[:, None] + np.array(ranks)[orders]).reshape(-1, variants), axis=1)
        sums, place = np.unique(moved, axis=0, return_inverse=True)
        shares = np.repeat(weights / len(orders), len(orders))
        weights = np.bincount(place.ravel(), shares).astype(float)
    return sums, weights


def _random_orders(sets: Sequence[tuple[int, ...]]) -> Sums:
    """The same draws whenever they are asked for; and the sums where all sets rank alike, than which none is larger."""
    generator, sums = np.random.default_rng(len(sets)), np.zeros((DRAWS + 1, len(sets[0])), dtype=int)
    for ranks in sets:
        sums[:-1] += generator.permuted(np.tile(ranks, (DRAWS, 1)), axis=1)
    sums[-1] = np.array(sets).sum(axis=0)
    return sums, np.full(len(sums), 1 / len(sums))


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
