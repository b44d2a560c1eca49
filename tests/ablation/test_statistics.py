"""Intervals, tests and verdicts against scipy, hand-worked examples and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.statistics import (
    holm,
    mean_interval,
    paired_t,
    sign_flip_p,
    smallest_sign_flip_p,
    verdict,
)

SAMPLES = [
    [0.3, -0.1],
    [2.0, 3.5, 1.0],
    [-1.2, 0.4, 0.9, -0.3, -2.2],
    list(np.random.default_rng(5).normal(0.4, 1, 20)),
]


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_interval_is_scipys_t_interval(values: list[float], confidence: float) -> None:
    interval = mean_interval(values, confidence=confidence)
    expected = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-12)
    assert (interval.mean, interval.std, interval.n) == (
        pytest.approx(np.mean(values)),
        pytest.approx(np.std(values, ddof=1)),
        len(values),
    )


def test_one_unit_has_a_mean_and_no_interval() -> None:
    mean, low, high, std, n = mean_interval([1.5], confidence=0.95)
    assert (mean, n) == (1.5, 1)
    assert all(math.isnan(x) for x in (low, high, std))
    assert math.isnan(paired_t([1.5], confidence=0.95).p)
    assert math.isnan(sign_flip_p([1.5]))


@pytest.mark.parametrize("differences", SAMPLES)
def test_paired_t_is_scipys(differences: list[float]) -> None:
    ours = paired_t(differences, confidence=0.9)
    theirs = stats.ttest_rel(differences, np.zeros(len(differences)))
    interval = theirs.confidence_interval(0.9)
    assert ours == pytest.approx(
        (np.mean(differences), interval.low, interval.high, theirs.pvalue), rel=1e-10
    )


def test_paired_t_of_equal_differences() -> None:
    assert paired_t([0.0, 0.0, 0.0], confidence=0.95) == (0.0, 0.0, 0.0, 1.0)
    assert paired_t([0.5, 0.5], confidence=0.95) == (0.5, 0.5, 0.5, 0.0)


def test_interval_covers_at_its_level_with_three_units() -> None:
    """4,000 experiments of 3 seeds: the share that holds the truth is 95 % within three standard errors."""
    draws = np.random.default_rng(11).normal(1.7, 0.3, size=(4000, 3))
    intervals = [mean_interval(row, confidence=0.95) for row in draws]
    covered = np.mean([i.low <= 1.7 <= i.high for i in intervals])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 4000)


@pytest.mark.parametrize(
    "differences", [*SAMPLES[:3], [1.0, 1.0, 1.0, 1.0], [1, -1, 2, -2, 3, 0], [0.1, 0.2, 0.3, -0.6]]
)
def test_sign_flip_is_scipys_exact_permutation_test(differences: list[float]) -> None:
    exact = stats.permutation_test(
        (np.array(differences), np.zeros(len(differences))),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(differences) == pytest.approx(exact.pvalue, rel=1e-12)


def test_sign_flip_counts_every_assignment() -> None:
    d = [0.9, -0.2, 0.35, 0.1, -0.05]
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    assert sign_flip_p(d) == sum(s >= abs(sum(d)) - 1e-12 for s in sums) / 32


def test_sign_flip_ignores_order_scale_and_direction() -> None:
    d = np.array([0.9, -0.2, 0.35, 0.1, -0.05, 0.4])
    assert sign_flip_p(d) == sign_flip_p(d[::-1]) == sign_flip_p(-d) == sign_flip_p(1e-9 * d)


def test_smallest_p_is_reached_where_all_differences_agree() -> None:
    for n in range(2, 17):
        assert sign_flip_p(np.arange(1.0, n + 1)) == smallest_sign_flip_p(n) == 2 / 2**n


def test_random_flips_agree_with_the_t_test_for_many_normal_units() -> None:
    d = np.random.default_rng(3).normal(0.25, 1, 60)
    p = sign_flip_p(d)
    assert p == sign_flip_p(d)
    assert p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert sign_flip_p(np.ones(40)) == 1 / 100_001


def test_holm_by_hand() -> None:
    # sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 -> .02, .03, .06, max(.06, .04)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_the_step_down_procedure() -> None:
    """At every level, adjusted p <= level for exactly those that the sequential procedure rejects."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = generator.random(6) ** 3
        adjusted = holm(p)
        for level in (0.01, 0.05, 0.2, 0.5):
            rejected = set()
            for position, i in enumerate(np.argsort(p)):
                if p[i] * (6 - position) > level:
                    break
                rejected.add(i)
            assert {i for i in range(6) if adjusted[i] <= level} == rejected


def test_holm_keeps_nan_out_of_the_family() -> None:
    adjusted = holm([math.nan, 0.02, math.nan, 0.5])
    assert adjusted[1::2] == [0.04, 0.5]
    assert math.isnan(adjusted[0])
    assert math.isnan(adjusted[2])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("effect", "p", "better", "n", "unit", "family", "expected"),
    [
        (-0.1, 0.01, "lower", 10, "seed", 2, "better"),
        (0.1, 0.01, "lower", 10, "seed", 2, "worse"),
        (0.1, 0.01, "higher", 10, "split", 2, "better"),
        (-0.1, 0.01, "higher", 10, "split", 2, "worse"),
        (-0.1, 0.06, "lower", 10, "seed", 2, "no difference shown"),
        (-0.1, 0.0625, "lower", 5, "seed", 1, "5 seeds cannot reach significance"),
        (-0.1, 0.05, "lower", 6, "split", 1, "better"),
        (-0.1, 0.0625, "lower", 6, "split", 2, "6 splits cannot reach significance"),
        (-0.1, math.nan, "lower", 1, "seed", 1, "one seed: no interval"),
        (-0.1, math.nan, "lower", 1, "split", 4, "one split: no interval"),
        (-0.1, 1e-5, "lower", 40, "seed", 2, "better"),
    ],
)
def test_verdict(effect: float, p: float, better: str, n: int, unit: str, family: int, expected: str) -> None:
    assert verdict(effect, p, better=better, n=n, unit=unit, family=family, confidence=0.95) == expected


@pytest.mark.parametrize(("family", "units"), [(1, 6), (2, 7), (4, 8), (8, 9)])
def test_fewest_units_that_can_reach_significance(family: int, units: int) -> None:
    def words(n: int) -> str:
        p = holm([smallest_sign_flip_p(n)] * family)[0]
        return verdict(-1.0, p, better="lower", n=n, unit="seed", family=family, confidence=0.95)

    assert words(units) == "better"
    assert words(units - 1) == f"{units - 1} seeds cannot reach significance"
