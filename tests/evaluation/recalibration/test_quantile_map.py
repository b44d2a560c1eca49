"""A monotone map of probabilities: wrong tails made true, far too narrow stds, ties, ends."""

import numpy as np
import pytest
from scipy import special, stats

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.families import Family
from precisionflow.evaluation.recalibration.quantile_map import QuantileMap, fewest_rows, quantile_map
from tests.evaluation.test_distribution import FAMILIES

ROWS = 4000
LEVELS = (0.5, 0.9, 0.95)
random = np.random.default_rng(3)
MEAN, STD = random.normal(size=ROWS), np.exp(random.normal(size=ROWS))


def coverage(fitted: QuantileMap, predicted: Distribution, target: np.ndarray, level: float) -> float:
    lower, upper = fitted.interval(predicted, level)
    return float(np.mean((lower <= target) & (target <= upper)))


def test_a_quantile_map_makes_wrong_tails_true_on_new_rows() -> None:
    predicted = gaussian(MEAN, STD)

    def heavy(seed: int) -> np.ndarray:
        return MEAN + STD * np.random.default_rng(seed).standard_t(2, size=ROWS) * 0.5 + 0.3 * STD

    fitted = quantile_map(predicted.normal_score(heavy(0)))
    fresh = heavy(1)
    assert abs(stats.kstest(predicted.cdf(fresh), "uniform").statistic) > 0.1
    for level in LEVELS:
        assert coverage(fitted, predicted, fresh, level) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("too_narrow", [0.2, 1.0, 5.0, 10.0, 20.0])
def test_a_std_that_is_a_twentieth_of_the_truth_is_made_true(
    family: Family, components: int, too_narrow: float
) -> None:
    """The probabilities of most targets round to 0 and 1."""

    def drawn(seed: int) -> tuple[Distribution, np.ndarray]:
        generator = np.random.default_rng(seed)
        scale = np.repeat(STD[:, None] / too_narrow, components, axis=1)
        location = MEAN[:, None] + 0.1 * scale * np.arange(components)
        degrees = np.full_like(scale, 6.0) if family == "student_t" else None
        law = Distribution(family, location, scale, np.full_like(scale, 1 / components), degrees)
        return law, MEAN + STD * generator.normal(size=ROWS)

    predicted, target = drawn(0)
    fitted = quantile_map(predicted.normal_score(target))
    predicted, fresh = drawn(1)
    for level in LEVELS:
        assert coverage(fitted, predicted, fresh, level) == pytest.approx(level, abs=0.035)


@pytest.mark.parametrize("rows", [39, 60, 200])
def test_new_rows_are_covered_as_often_as_promised_on_average(rows: int) -> None:
    generator, hits = np.random.default_rng(rows), np.zeros(len(LEVELS))
    for _ in range(400):
        mean, std = generator.normal(size=(2, rows)), np.exp(generator.normal(size=(2, rows)))
        target = generator.normal(mean, 4 * std)
        fitted = quantile_map(gaussian(mean[0], std[0]).normal_score(target[0]))
        fresh = gaussian(mean[1], std[1])
        hits += [coverage(fitted, fresh, target[1], level) for level in LEVELS]
    np.testing.assert_allclose(hits / 400, LEVELS, atol=0.01)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("zeros", [0.3, 0.6, 0.95])
def test_targets_that_tie_at_zero_are_covered(scale: float, zeros: float) -> None:
    """One prediction for all rows; the share `zeros` of the targets is 0, the others are above."""

    def drawn(seed: int) -> tuple[Distribution, np.ndarray]:
        generator = np.random.default_rng(seed)
        target = scale * generator.exponential(size=500) * (generator.random(500) > zeros)
        return gaussian(np.full(500, 0.3 * scale), np.full(500, 0.7 * scale)), target

    predicted, target = drawn(0)
    fitted = quantile_map(predicted.normal_score(target))
    predicted, fresh = drawn(1)
    for level in LEVELS:
        assert coverage(fitted, predicted, fresh, level) >= level - 2 * np.sqrt(level * (1 - level) / 500)


def test_a_tie_spans_all_of_its_ranks() -> None:
    """60 of 100 rows share a score: probabilities of ranks 1 to 60 have it as their quantile."""
    score = special.ndtri(np.concatenate([np.full(60, 0.4), np.linspace(0.401, 0.999, 40)]))
    fitted = quantile_map(score)
    unit = gaussian(np.zeros(1), np.ones(1))
    for probability in (0.01, 0.025, 0.3, 0.59):
        assert fitted.quantile(unit, probability)[0] == pytest.approx(special.ndtri(0.4), abs=1e-12)
    assert special.ndtr(fitted.quantile(unit, 0.975)[0]) == pytest.approx(0.96, abs=0.03)


def test_the_order_of_the_rows_does_not_matter() -> None:
    score = np.round(np.random.default_rng(0).normal(size=200), 1)
    one, other = quantile_map(score), quantile_map(np.random.default_rng(1).permutation(score))
    np.testing.assert_array_equal(one.forecast, other.forecast)
    assert np.all(np.diff(one.forecast) >= 0)
    assert np.all(np.diff(one.observed) > 0)


@pytest.mark.parametrize("slope", [0.3, 3.0])
def test_beyond_the_calibration_rows_the_map_goes_on_as_a_line(slope: float) -> None:
    fitted = quantile_map(slope * special.ndtri(np.arange(1, 20) / 20) + 0.5)
    unit = gaussian(np.zeros(1), np.ones(1))
    for probability in (1e-9, 0.01, 0.5, 0.999):
        expected = 0.5 + slope * special.ndtri(probability)
        assert fitted.quantile(unit, probability)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 3), (0.9, 19), (0.95, 39), (0.99, 199)])
def test_the_fewest_rows_reach_both_ends(level: float, fewest: int) -> None:
    assert fewest_rows(level) == fewest
    tail = (1 - level) / 2
    assert 1 / (fewest + 1) <= tail + 1e-12 < 1 / fewest
