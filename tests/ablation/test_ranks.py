"""Ranks over data sets: against scipy, every order of the ranks, published tables and the example of Demsar (2006)."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation import ranks
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


@pytest.mark.parametrize("seed", range(6))
def test_p_is_the_share_of_all_orders_whose_friedmans_chi2_is_as_large(seed: int) -> None:
    """With ties, and without any; scores of any scale and of either direction."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 3 + 97 * (seed % 2), (4, 3)) + np.arange(3) * (seed % 3)
    found = ranking(scores * 10.0 ** (6 * (seed - 3)), confidence=0.95)
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    assert found.chi2 == pytest.approx(chi2)
    orders = [
        stats.friedmanchisquare(*np.array(rows).T).statistic
        for rows in itertools.product(*(itertools.permutations(row) for row in scores.tolist()))
    ]
    assert found.p == pytest.approx(np.mean(np.array(orders) >= chi2 - 1e-9))
    turned = ranking(-scores.astype(float), confidence=0.95)
    assert turned.p == pytest.approx(found.p)
    assert turned.mean_ranks == pytest.approx([4 - rank for rank in found.mean_ranks])


@pytest.mark.parametrize(
    ("variants", "sets", "chi2", "p"),
    [
        (3, 3, 6.0, 0.028),
        (3, 4, 6.5, 0.042),
        (3, 5, 6.4, 0.039),
        (3, 10, 6.2, 0.046),
        (4, 3, 7.4, 0.033),
        (4, 3, 8.2, 0.017),
        (4, 4, 7.8, 0.036),
    ],
)
def test_tails_are_friedmans(variants: int, sets: int, chi2: float, p: float) -> None:
    """Published critical values of small designs (Siegel and Castellan 1988, table M)."""
    for seed in range(10_000):
        scores = np.random.default_rng(seed).random((sets, variants))
        found = ranking(scores, confidence=0.95)
        if found.chi2 == pytest.approx(chi2, abs=0.01):
            assert found.p == pytest.approx(p, abs=6e-4)
            return
    raise AssertionError("no such chi2")


def test_drawn_orders_give_what_all_give(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(3).random((6, 4)) + np.linspace(0.0, 0.3, 4)
    whole = ranking(scores, confidence=0.95)
    monkeypatch.setattr(ranks, "STEP", 0)
    ranks._null.cache_clear()
    drawn = ranking(scores, confidence=0.95)
    assert drawn == ranking(scores[::-1], confidence=0.95)
    assert 0.001 < whole.p < 0.5
    assert drawn.p == pytest.approx(whole.p, abs=4 * math.sqrt(whole.p / ranks.DRAWS))
    assert drawn.p != whole.p
    ranks._null.cache_clear()


@pytest.mark.parametrize(("variants", "sets"), [(3, 3), (4, 3), (3, 4), (5, 6), (9, 3)])
def test_of_variants_that_are_alike_five_in_a_hundred_designs_are_told_apart_at_most(
    variants: int, sets: int
) -> None:
    """The F of Iman and Davenport tells 19 % apart of three on three."""
    draws = np.random.default_rng(0).random((2000, sets, variants))
    claimed = np.mean([ranking(scores, confidence=0.95).p <= 0.05 for scores in draws])
    assert claimed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(draws))


def test_sets_that_rank_alike_have_the_probability_of_that_by_chance() -> None:
    found = ranking(np.tile([0.1, 0.3, 0.2], (4, 1)), confidence=0.95)
    assert (found.mean_ranks, found.chi2) == ([1, 3, 2], 8)
    assert found.p == pytest.approx(6.0**-3)


def test_variants_that_always_tie_are_alike() -> None:
    found = ranking(np.ones((4, 3)), confidence=0.95)
    assert found[:2] == ([2, 2, 2], 0)
    assert found.p == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scores_that_differ_by_their_rounding_tie(scale: float) -> None:
    scores = scale * np.array(
        [[0.1 + 0.2, 0.4, 0.3], [0.4, 0.3, 0.1 + 0.2], [0.7, 0.3, 0.3], [0.5, 0.1, 0.2]]
    )
    assert (scores[0, 0], scores[1, 2]) != (scores[0, 2], scores[1, 1])
    found = ranking(scores, confidence=0.95)
    assert found == ranking(np.array([[1, 2, 1], [2, 1, 1], [2, 1, 1], [3, 1, 2.0]]), confidence=0.95)


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
    means = np.random.default_rng(0).random((4000, 12, 4)).argsort(axis=2).mean(axis=1)
    passed = np.mean(np.ptp(means, axis=1) >= critical_difference(4, 12, confidence=0.95) - 1e-9)
    assert 0.035 < passed < 0.055


@pytest.mark.parametrize(
    ("mean_ranks", "difference", "groups"),
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
    mean_ranks: list[float], difference: float, groups: list[list[int]]
) -> None:
    assert alike(mean_ranks, difference=difference) == groups
