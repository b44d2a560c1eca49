"""Ranks over data sets: against scipy, an analysis of variance, and the published example of Demsar (2006)."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.ranks import alike, critical_difference, ranking

DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)
"""Ranks of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets (Demsar 2006, table 6)."""


def test_the_published_example() -> None:
    """Mean ranks 3.143, 2.000, 2.893, 1.964, critical difference 1.25; chi² 9.28 there is before the correction."""
    found = ranking(DEMSAR, confidence=0.95)
    assert found.mean_ranks == pytest.approx([3.143, 2.0, 2.893, 1.964], abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    ties = 3 * (2**3 - 2) + 4**3 - 4
    assert found.chi2 * (1 - ties / (14 * (4**3 - 4))) == pytest.approx(9.28, abs=5e-3)
    assert found.chi2 == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).statistic)


@pytest.mark.parametrize("seed", range(4))
def test_friedman_is_scipys_and_f_that_of_the_ranks_in_two_ways(seed: int) -> None:
    """F of Iman and Davenport is the analysis of variance of ranks by variant and data set."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, (7, 4)) + np.arange(4) * (seed % 2)
    found = ranking(scores.astype(float), confidence=0.95)
    assert found.chi2 == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    ranks = stats.rankdata(scores, axis=1)
    of_variant = 7 * np.square(ranks.mean(0) - 2.5).sum()
    rest = np.square(ranks - ranks.mean(0)).sum()
    f = of_variant / 3 / (rest / 18)
    assert found.f == pytest.approx(f)
    assert found.p == pytest.approx(max(stats.f.sf(f, 3, 18), 24.0**-6))
    turned = ranking(-scores.astype(float), confidence=0.95)
    assert (turned.f, turned.mean_ranks) == (
        pytest.approx(f),
        pytest.approx([5 - r for r in found.mean_ranks]),
    )


def test_sets_that_rank_alike_have_the_probability_of_that_by_chance() -> None:
    found = ranking(np.tile([0.1, 0.3, 0.2], (4, 1)), confidence=0.95)
    assert (found.mean_ranks, found.chi2, found.p) == ([1, 3, 2], 8, 6.0**-3)
    assert math.isnan(found.f)


def test_variants_that_always_tie_are_alike() -> None:
    found = ranking(np.ones((4, 3)), confidence=0.95)
    assert found[:4] == ([2, 2, 2], 0, 0, 1)


@pytest.mark.parametrize(
    ("confidence", "quantiles"),
    [
        (0.95, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.90, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_critical_differences_are_the_published_ones(confidence: float, quantiles: list[float]) -> None:
    """Demsar (2006), table 5a, for 2 to 10 variants."""
    for variants, quantile in enumerate(quantiles, start=2):
        expected = quantile * math.sqrt(variants * (variants + 1) / (6 * 20))
        assert critical_difference(variants, 20, confidence=confidence) == pytest.approx(expected, abs=1e-3)


def test_variants_without_a_difference_are_told_apart_at_the_level() -> None:
    """Over 12 data sets, the largest distance of four mean ranks passes the critical one in 5 % of 4,000 draws."""
    ranks = np.random.default_rng(0).random((4000, 12, 4)).argsort(axis=2).mean(axis=1)
    passed = np.mean(np.ptp(ranks, axis=1) >= critical_difference(4, 12, confidence=0.95) - 1e-9)
    assert 0.035 < passed < 0.055


@pytest.mark.parametrize(
    ("ranks", "difference", "groups"),
    [
        ([3.143, 2.0, 2.893, 1.964], 1.12, [[3, 1, 2], [2, 0]]),
        ([1.0, 2.0, 3.0], 1.0, []),
        ([1.0, 2.0, 3.0], 1.01, [[0, 1], [1, 2]]),
        ([1.0, 2.0, 3.0], math.inf, [[0, 1, 2]]),
        ([2.0, 2.0, 2.0], 0.5, [[0, 1, 2]]),
        ([1.0, 1.4, 1.8, 4.0], 0.9, [[0, 1, 2]]),
    ],
)
def test_groups_are_the_largest_within_the_difference(
    ranks: list[float], difference: float, groups: list[list[int]]
) -> None:
    assert alike(ranks, difference=difference) == groups
