"""Bootstrap of units: against scipy, plain loops and closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.bootstrap import (
    DRAWS,
    Runs,
    improvement,
    interquartile_mean,
    mean_intervals,
    profile,
    shares,
    widened,
)
from precisionflow.ablation.statistics import mean_interval

SAMPLES = [
    list(np.random.default_rng(1).normal(0.4, 1, 12)),
    list(np.random.default_rng(2).exponential(1, 20)),
    list(np.random.default_rng(3).gamma(0.5, 1, 8)),
]


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_of_a_mean_are_scipys(values: list[float], confidence: float, method: str) -> None:
    """Of the same draws but for ties with the mean; of scipy's own to a fifth of a standard error in the tail."""
    drawn = SimpleNamespace(bootstrap_distribution=shares(len(values)) @ values)
    given = {"confidence_level": confidence, "method": method, "rng": 0}
    data = (np.array(values),)
    same = stats.bootstrap(data, np.mean, n_resamples=0, bootstrap_result=drawn, **given).confidence_interval
    others = stats.bootstrap(data, np.mean, n_resamples=10_000, **given).confidence_interval
    found = mean_intervals(values, confidence=confidence)
    ends = found[:2] if method == "percentile" else found[2:]
    assert ends == pytest.approx(tuple(same), abs=0.01 * np.std(values) / math.sqrt(len(values)))
    assert ends == pytest.approx(tuple(others), abs=0.2 * np.std(values) / math.sqrt(len(values)))


def test_shared_rows_widen_the_interval_as_they_do_students() -> None:
    plain = np.array(mean_intervals(SAMPLES[1], confidence=0.9)) - np.mean(SAMPLES[1])
    wide = np.array(mean_intervals(SAMPLES[1], confidence=0.9, overlap=1 / 9)) - np.mean(SAMPLES[1])
    assert wide == pytest.approx(plain * math.sqrt((1 / 20 + 1 / 9) / (1 / 20)))


def test_one_unit_has_no_interval_and_units_that_agree_a_point() -> None:
    assert all(math.isnan(end) for end in mean_intervals([1.5], confidence=0.95))
    assert mean_intervals([0.3] * 5, confidence=0.95) == (0.3, 0.3, 0.3, 0.3)


def test_bca_follows_the_skew() -> None:
    """To the right of the percentile interval where the long tail is on the right, to the left where it is there."""
    right = mean_intervals(SAMPLES[1], confidence=0.95)
    left = mean_intervals([-value for value in SAMPLES[1]], confidence=0.95)
    assert right.bca_low > right.percentile_low
    assert right.bca_high > right.percentile_high
    assert left.bca_low < left.percentile_low


def test_draws_are_multinomial_the_same_again_and_others_for_each_data_set() -> None:
    drawn = shares(6)
    assert drawn.shape == (DRAWS, 6)
    assert drawn.sum(axis=1) == pytest.approx(1)
    assert drawn.var() == pytest.approx(1 / 6 * 5 / 6 / 6, rel=0.02)
    assert np.array_equal(shares.__wrapped__(6), drawn)
    assert not np.array_equal(shares(6, 1), drawn)


def runs(seed: int, *, sizes: tuple[int, ...] = (5, 8, 6)) -> Runs:
    generator = np.random.default_rng(seed)
    return [generator.normal(seed / 3, 1 + k, size) for k, size in enumerate(sizes)]


def resampled(of: Runs, draw: int) -> Runs:
    """The runs of one draw, repeated as often as they are drawn."""
    return [
        np.repeat(values, np.rint(shares(len(values), k)[draw] * len(values)).astype(int))
        for k, values in enumerate(of)
    ]


@pytest.mark.parametrize("sizes", [(5, 8, 6), (2, 1)])
def test_the_interquartile_mean_is_a_trimmed_one_and_so_is_every_draw(sizes: tuple[int, ...]) -> None:
    of = runs(1, sizes=sizes)
    found = interquartile_mean(of, confidence=0.9, overlaps=[0.0] * len(of))
    assert found.value == pytest.approx(stats.trim_mean(np.concatenate(of), 0.25))
    if min(sizes) == 1:
        assert np.isnan(found[1:]).all()
        return
    every = [
        np.repeat(np.tile(values, DRAWS), np.rint(shares(n, k).ravel() * n).astype(int)).reshape(DRAWS, n)
        for k, (n, values) in enumerate(zip(sizes, of, strict=True))
    ]
    drawn = stats.trim_mean(np.hstack(every), 0.25, axis=1)
    factor = widening(sizes, confidence=0.9)
    ends = found.value + factor * (np.quantile(drawn, [0.05, 0.95]) - found.value)
    assert found[1:] == pytest.approx(tuple(ends), rel=1e-5, abs=1e-6)


def widening(sizes: tuple[int, ...], *, confidence: float, overlap: float = 0.0) -> float:
    """What makes the draws of a mean over sets of these sizes Student's interval, if the sets count alike."""
    degrees, tail = sum(sizes) - len(sizes), (1 + confidence) / 2
    squares = np.mean([n / (n - 1) * (1 + n * overlap) for n in sizes])
    return float(np.sqrt(squares) * stats.t(degrees).ppf(tail) / stats.norm.ppf(tail))


def test_a_run_that_went_wrong_moves_no_interquartile_mean() -> None:
    of, nothing = runs(1), [0.0] * 3
    of[0][0] = 1e3
    usual = interquartile_mean(of, confidence=0.9, overlaps=nothing)
    for far in (1e6, 1e9, 1e150):
        of[0][0] = far
        assert interquartile_mean(of, confidence=0.9, overlaps=nothing) == pytest.approx(usual)


def test_runs_of_three_sets_have_intervals_that_hold() -> None:
    """400 studies of four runs on each of three sets: 95 % of the intervals hold the mean, by draws alone 89 %."""
    held = [
        (found := interquartile_mean(of, confidence=0.95, overlaps=[0.0] * 3)).low <= 0 <= found.high
        for of in np.random.default_rng(0).standard_normal((400, 3, 4))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_shared_rows_widen_the_intervals_of_runs() -> None:
    of, nothing, shared = runs(1), [0.0] * 3, [1 / 9] * 3
    factors = [widening((5, 8, 6), confidence=0.9, overlap=overlap) for overlap in (0.0, 1 / 9)]
    plain, wide = (interquartile_mean(of, confidence=0.9, overlaps=each) for each in (nothing, shared))
    assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(factors[1] / factors[0])
    plain, wide = (improvement(of, runs(2), confidence=0.5, overlaps=each) for each in (nothing, shared))
    assert (wide.high - wide.low) > 1.2 * (plain.high - plain.low)


def test_improvement_is_mann_and_whitneys_u() -> None:
    """Ties half; the mean over data sets; each draw by the same."""
    ours, theirs = runs(0), runs(1)
    theirs[0][:2] = ours[0][:2]
    found = improvement(ours, theirs, confidence=0.9, overlaps=[0.0] * 3)

    def u(ours: Runs, theirs: Runs) -> float:
        return float(
            np.mean(
                [
                    stats.mannwhitneyu(b, a).statistic / len(a) / len(b)
                    for a, b in zip(ours, theirs, strict=True)
                ]
            )
        )

    assert found.value == pytest.approx(u(ours, theirs))
    drawn = [u(resampled(ours, draw), resampled(theirs, draw)) for draw in range(300)]
    factor = widening((5, 8, 6), confidence=0.9)
    low, high = found.value + factor * (np.quantile(drawn, [0.05, 0.95]) - found.value)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.05), pytest.approx(min(high, 1), abs=0.05))
    given = {"confidence": 0.9, "overlaps": [0.0] * 3}
    assert improvement(ours, ours, **given).value == 0.5
    assert improvement(ours, [of * (1 + 4e-16) for of in ours], **given).value == 0.5
    assert improvement(ours, [a + 100 for a in ours], **given) == (1, 1, 1)


def test_a_profile_is_the_mean_share_of_runs_below() -> None:
    of = [np.array([1.0, 2.0]), np.array([2.0, 3.0, 4.0, 5.0])]
    thresholds = np.array([0.5, 1.0, 2.0, 4.5, 5.0])
    found = profile(of, thresholds, confidence=0.95, overlaps=[0.0, 0.0])
    alone = profile([of[0][:1], of[1]], thresholds, confidence=0.95, overlaps=[0.0, 0.0])
    assert np.isnan(alone.low).all()
    assert found.share == pytest.approx([0, 0.25, (1 + 0.25) / 2, (1 + 0.75) / 2, 1])
    assert found.low[[0, -1]] == pytest.approx([0, 1])
    assert (found.low <= found.share + 1e-6).all()
    assert (found.share <= found.high + 1e-6).all()
    binomial = stats.binom(2, 0.5).var() / 4
    wide = 0.25 + 0.25 * widening((2, 4), confidence=0.95)
    assert found.high[1] == pytest.approx(wide)
    assert np.var([np.mean(resampled(of, draw)[0] <= 1) for draw in range(2000)]) == pytest.approx(
        binomial, rel=0.1
    )


@pytest.mark.parametrize("n", [2, 3, 8, 30])
def test_a_widened_interval_of_a_mean_is_that_of_student(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    low, high = widened(float(values.mean()), shares(n) @ values, n=n, confidence=0.95)
    exact = mean_interval(values.tolist(), confidence=0.95)
    # Draws of n = 2 and 3 are a few numbers: their quantiles are those of a coarse law.
    assert (high - low) / (exact.high - exact.low) == pytest.approx(1, abs=0.5 if n < 4 else 0.1)
