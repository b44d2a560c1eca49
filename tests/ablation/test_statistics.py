"""Intervals, tests and verdicts against scipy, hand-worked examples and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation import statistics
from precisionflow.ablation.bootstrap import mean_intervals
from precisionflow.ablation.design import fewest_units
from precisionflow.ablation.statistics import (
    chance_band,
    difference_p,
    equivalence_p,
    holm,
    mean_interval,
    paired,
    sign_flip_p,
    verdict,
)

SAMPLES = [
    [0.3, -0.1],
    [2.0, 3.5, 1.0],
    [-1.2, 0.4, 0.9, -0.3, -2.2],
    list(np.random.default_rng(5).normal(0.4, 1, 20)),
]
OVERLAPS = [0.0, 1 / 9, 0.25]
SCALES = [1e-6, 1.0, 1e6]
"""Of what is measured; 1e-200 and 1e200, whose squares no float64 holds, have a test of their own."""


def standard_error(values: list[float], overlap: float) -> float:
    """Nadeau and Bengio's: sqrt((1 / J + n_test / n_train) * s^2)."""
    return math.sqrt((1 / len(values) + overlap) * np.var(values, ddof=1))


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_interval_is_scipys_t_interval(values: list[float], confidence: float, overlap: float) -> None:
    interval = mean_interval(values, confidence=confidence, overlap=overlap)
    expected = stats.t.interval(
        confidence, len(values) - 1, loc=np.mean(values), scale=standard_error(values, overlap)
    )
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-12)
    assert (interval.mean, interval.std, interval.n) == (
        pytest.approx(np.mean(values)),
        pytest.approx(np.std(values, ddof=1)),
        len(values),
    )


def test_overlap_of_ten_splits_by_hand() -> None:
    """10 splits 0..9, std 3.0277, 1/10 + 1/9: standard error 1.3911, times t_9(0.975) = 2.2622."""
    interval = mean_interval([float(k) for k in range(10)], confidence=0.95, overlap=1 / 9)
    assert interval.high - interval.mean == pytest.approx(3.1469, abs=1e-4)


def test_one_unit_has_a_mean_and_no_interval() -> None:
    mean, low, high, std, n = mean_interval([1.5], confidence=0.95, overlap=1 / 9)
    assert (mean, n) == (1.5, 1)
    assert all(math.isnan(x) for x in (low, high, std))
    assert math.isnan(difference_p([1.5]))
    assert math.isnan(equivalence_p([1.5], margin=2.0))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_named(value: float) -> None:
    for measure in (lambda v: mean_interval(v, confidence=0.9), difference_p):
        with pytest.raises(ValueError, match=f"unit 1 measured {value}; give finite values"):
            measure([0.5, value, 1.0])


@pytest.mark.parametrize("differences", SAMPLES)
def test_p_of_independent_units_is_scipys_paired_t(differences: list[float]) -> None:
    assert difference_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-10)


@pytest.mark.parametrize("differences", SAMPLES)
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("margin", [0.1, 0.8, 5.0])
def test_equivalence_is_the_larger_of_two_one_sided_tests(
    differences: list[float], overlap: float, margin: float
) -> None:
    d, error, t = np.array(differences), standard_error(differences, overlap), stats.t(len(differences) - 1)
    above_low, below_high = t.sf((d.mean() + margin) / error), t.cdf((d.mean() - margin) / error)
    expected = max(above_low, below_high)
    assert equivalence_p(differences, margin=margin, overlap=overlap) == pytest.approx(expected, rel=1e-9)
    if overlap == 0:
        sides = [
            stats.ttest_1samp(differences, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(differences, margin, alternative="less").pvalue,
        ]
        assert expected == pytest.approx(max(sides), rel=1e-9)


def test_p_and_interval_say_the_same() -> None:
    """p <= 1 - c where the interval of c leaves out 0, equivalence <= a where that of 1 - 2 a is inside the margin."""
    generator = np.random.default_rng(8)
    seen = set()
    for _ in range(300):
        n, overlap = int(generator.integers(2, 12)), float(generator.choice(OVERLAPS))
        d = list(generator.normal(generator.normal(0, 0.7), 1, n))
        interval = mean_interval(d, confidence=0.95, overlap=overlap)
        out = interval.low > 0 or interval.high < 0
        assert (difference_p(d, overlap=overlap) <= 0.05) == out
        narrow = mean_interval(d, confidence=0.9, overlap=overlap)
        inside = narrow.low > -1.5 and narrow.high < 1.5
        assert (equivalence_p(d, margin=1.5, overlap=overlap) <= 0.05) == inside
        seen.add((out, inside))
    assert len(seen) == 4


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_neither_order_nor_unit_of_measurement_nor_direction_matters(scale: float, overlap: float) -> None:
    generator = np.random.default_rng(1)
    d = generator.normal(0.3, 1, 9)
    p, equivalence = difference_p(d, overlap=overlap), equivalence_p(d, margin=1.2, overlap=overlap)
    whole = mean_interval(d, confidence=0.95, overlap=overlap)
    for _ in range(5):
        d = generator.permutation(d)
        assert mean_interval(d, confidence=0.95, overlap=overlap) == whole
        assert (difference_p(d, overlap=overlap), equivalence_p(d, margin=1.2, overlap=overlap)) == (
            p,
            equivalence,
        )
    for turned in (scale * d, -scale * d):
        assert difference_p(turned, overlap=overlap) == pytest.approx(p, rel=1e-9)
        assert equivalence_p(turned, margin=scale * 1.2, overlap=overlap) == pytest.approx(
            equivalence, rel=1e-9
        )


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_numbers_whose_squares_are_none_are_measured_like_others(scale: float) -> None:
    for values in SAMPLES:
        told, usual = (
            np.array(mean_interval([by * v for v in values], confidence=0.95)) for by in (scale, 1.0)
        )
        assert told[:4] == pytest.approx(scale * usual[:4], rel=1e-12)
        assert difference_p([scale * v for v in values]) == pytest.approx(difference_p(values), rel=1e-9)
        drawn, plain = (mean_intervals([by * v for v in values], confidence=0.95) for by in (scale, 1.0))
        assert drawn == pytest.approx([scale * end for end in plain], rel=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_differences_that_are_all_one_number(scale: float, overlap: float) -> None:
    def p(value: float) -> float:
        return difference_p([scale * value] * 7, overlap=overlap)

    def equivalence(value: float) -> float:
        return equivalence_p([scale * value] * 7, margin=scale, overlap=overlap)

    assert [p(0.0), p(0.3), p(-0.3)] == [1.0, 0.0, 0.0]
    assert [equivalence(v) for v in (0.0, 0.3, -0.3, 1.0, -1.0, 1.7)] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    interval = mean_interval([scale * 0.3] * 7, confidence=0.95, overlap=overlap)
    assert interval == (scale * 0.3, scale * 0.3, scale * 0.3, 0.0, 7)


@pytest.mark.parametrize("scale", SCALES)
def test_the_same_number_by_another_sum_is_no_difference(scale: float) -> None:
    """0.1 + 0.2 + 0.3 is 0.6 plus one unit in the last place: in every unit, which would give p = 0."""
    ours, theirs = [scale * (0.1 + 0.2 + 0.3)] * 8, [scale * 0.6] * 8
    assert ours != theirs
    assert paired(ours, theirs) == [0.0] * 8
    assert paired([scale * 1.5, 0.0], [scale * 1.25, 0.0]) == pytest.approx([scale * 0.25, 0.0])
    assert paired([1.0 + 1e-12], [1.0]) != [0.0]


@pytest.mark.parametrize("differences", [*SAMPLES[:3], [0.0, 0.5, 0.5, -0.5], [1.0, 2.0, -3.0]])
@pytest.mark.parametrize("scale", SCALES)
def test_sign_flips_are_scipys_exact_permutation_test(differences: list[float], scale: float) -> None:
    """Ties between sums count whatever the unit, order and direction."""
    expected = stats.permutation_test(
        (differences,),
        lambda d, axis: d.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10**6,
    ).pvalue
    for turned in (1.0, -1.0):
        flipped = [turned * scale * d for d in reversed(differences)]
        assert sign_flip_p(flipped) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 7, 31, 32])
def test_signs_that_are_all_alike_have_the_smallest_p(n: int) -> None:
    assert sign_flip_p(np.arange(1.0, n + 1).tolist()) == sign_flip_p([0.3] * n) == 2.0 ** (1 - n)


def test_no_differences_no_sign_and_no_unit() -> None:
    assert sign_flip_p([0.0] * 6) == sign_flip_p([0.3]) == sign_flip_p([0.1, 0.2, -0.3]) == 1.0
    assert math.isnan(sign_flip_p([]))


def test_signs_of_many_units_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(2).normal(0.5, 1, 16).tolist()
    exact = sign_flip_p(differences)
    monkeypatch.setattr(statistics, "COUNTED_FLIPS", 15)
    drawn = sign_flip_p(differences)
    assert drawn == sign_flip_p(differences[::-1]) != exact
    assert drawn == pytest.approx(exact, abs=5 * math.sqrt(exact / statistics.DRAWN_FLIPS))
    assert sign_flip_p([1.0] * 40) == 1 / (1 + statistics.DRAWN_FLIPS)


def test_signs_of_differences_of_two_values_that_student_claims_too_often() -> None:
    """Differences of about -1 or 1, half of them each, three units: p <= 25 % in a quarter of the repetitions."""
    draws = np.random.default_rng(4).choice([-1.0, 1.0], (2000, 3)).tolist()
    exact = np.mean([sign_flip_p(d) <= 0.25 for d in draws])
    student = np.mean([difference_p(d) <= 0.05 for d in draws])
    assert [exact, student] == pytest.approx([0.25, 0.25], abs=0.03)
    assert not any(sign_flip_p(d) <= 0.05 for d in draws)


def test_interval_covers_at_its_level_with_three_units() -> None:
    """4,000 experiments of 3 seeds: the share that holds the truth is 95 % within three standard errors."""
    draws = np.random.default_rng(11).normal(1.7, 0.3, size=(4000, 3))
    intervals = [mean_interval(row, confidence=0.95) for row in draws]
    covered = np.mean([i.low <= 1.7 <= i.high for i in intervals])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 4000)


def test_splits_that_share_rows_give_false_verdicts_at_the_level() -> None:
    """Exchangeable models whose losses differ row by row: 200 rows, drawn anew each time, ten random 90/10 splits.

    As independent units about 15 % of the tests are false at 5 %; with the overlap 5 %, within three standard errors.
    """
    generator, repetitions = np.random.default_rng(2), 2000
    plain, corrected = 0, 0
    for _ in range(repetitions):
        rows = generator.standard_normal(200)
        d = [float(rows[generator.permutation(200)[:20]].mean()) for _ in range(10)]
        plain += difference_p(d) <= 0.05
        corrected += difference_p(d, overlap=20 / 180) <= 0.05
    assert plain / repetitions > 0.11
    assert abs(corrected / repetitions - 0.05) < 3 * math.sqrt(0.05 * 0.95 / repetitions)


def test_equivalence_is_false_at_the_level_at_most() -> None:
    """The true difference is the margin: the share of p <= 0.05 is 5 % at most, within three standard errors."""
    draws = np.random.default_rng(4).normal(1.0, 0.4, size=(3000, 8))
    false = np.mean([equivalence_p(row, margin=1.0) <= 0.05 for row in draws])
    assert false < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)
    assert false > 0.03


def test_holm_by_hand() -> None:
    # sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 -> .02, .03, .06, max(.06, .04)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_the_step_down_procedure() -> None:
    """At every level, adjusted p <= level for exactly those that the sequential procedure rejects; ties too."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = np.round(generator.random(6) ** 3, 2)
        adjusted = holm(list(p))
        for level in (0.011, 0.051, 0.203, 0.507):
            rejected = set()
            for position, i in enumerate(np.argsort(p, kind="stable")):
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
    ("effect", "p", "equivalence", "better", "n", "unit", "family", "expected"),
    [
        (-0.1, 0.01, math.nan, "lower", 10, "seed", 2, "better"),
        (0.1, 0.01, 0.4, "lower", 10, "seed", 2, "worse"),
        (0.1, 0.01, math.nan, "higher", 10, "split", 2, "better"),
        (-0.1, 0.01, 0.06, "higher", 10, "split", 2, "worse"),
        (-0.1, 0.06, math.nan, "lower", 10, "seed", 2, "undecided"),
        (-0.1, 0.06, 0.06, "lower", 10, "seed", 2, "undecided"),
        (-0.1, 0.06, 0.05, "lower", 10, "seed", 2, "equivalent"),
        (0.0, 1.0, 0.0, "lower", 10, "seed", 2, "equivalent"),
        (-0.1, 0.05, 0.01, "lower", 6, "split", 1, "equivalent, slightly better"),
        (-0.1, 0.05, 0.01, "higher", 6, "split", 1, "equivalent, slightly worse"),
        (-0.1, 0.001, 0.001, "lower", 5, "seed", 1, "too few seeds: 5 of 6"),
        (-0.1, 0.001, math.nan, "lower", 6, "split", 2, "too few splits: 6 of 7"),
        (-0.1, math.nan, math.nan, "lower", 1, "seed", 1, "too few seeds: 1 of 6"),
        (-0.1, 1e-5, math.nan, "lower", 40, "seed", 2, "better"),
    ],
)
def test_verdict(
    effect: float,
    p: float,
    equivalence: float,
    better: str,
    n: int,
    unit: str,
    family: int,
    expected: str,
) -> None:
    said = verdict(
        effect,
        p=p,
        equivalence=equivalence,
        better=better,
        n=n,
        unit=unit,
        family=family,
        confidence=0.95,
    )
    assert said == expected


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("family", [1, 2, 4, 8, 17])
def test_fewest_units_are_those_whose_signs_alone_can_decide(family: int, confidence: float) -> None:
    """The exact sign test of n differences that all have one sign, corrected for the family, is just small enough."""
    n = fewest_units(family, confidence=confidence)

    def smallest(n: int) -> float:
        return family * stats.binomtest(n, n).pvalue

    assert smallest(n) <= 1 - confidence + 1e-12
    assert n == 2 or smallest(n - 1) > 1 - confidence


def test_fewest_units_at_95_per_cent() -> None:
    assert [fewest_units(m, confidence=0.95) for m in (1, 2, 4, 8)] == [6, 7, 8, 9]


def test_a_band_of_chance_holds_a_further_world_as_often_as_it_says() -> None:
    """Of 39 independent numbers, a fortieth is below the smallest or above the largest in 2 of 40 cases."""
    draws = np.random.default_rng(0).permutation(39).astype(float)
    assert chance_band([draws], confidence=0.95) == pytest.approx((0, 38), abs=1e-12)
    assert chance_band([draws], confidence=0.5) == pytest.approx((9, 29), abs=1e-12)
    assert chance_band([draws, draws + 2], confidence=0.95) == pytest.approx((1, 39), abs=1e-12)
    assert chance_band([draws, -draws], confidence=0.95) == pytest.approx((0, 0), abs=1e-12)
    assert all(math.isnan(end) for end in chance_band([np.empty(0)] * 3, confidence=0.95))
    assert all(math.isnan(end) for end in chance_band([draws], confidence=0.99))
