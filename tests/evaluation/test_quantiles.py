"""Quantiles of mixtures against their definition: the lowest y at which the distribution function reaches p."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.families import Family
from tests.evaluation.test_distribution import FAMILIES
from tests.mixtures import random_mixtures

PROBABILITIES = (1e-9, 1e-3, 0.025, 0.2, 0.25, 1 / 3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.975, 0.999, 1 - 1e-9)


def accuracy(predicted: Distribution, y: np.ndarray) -> np.ndarray:
    """1e-8 of the narrowest component's scale, or what floats resolve at y."""
    narrowest = np.where(predicted.weight > 0, predicted.scale, np.inf).min(axis=1)
    return 1e-8 * narrowest + 1e-15 * np.abs(y)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("apart", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("components", [2, 3, 8])
def test_the_distribution_function_crosses_the_probability_there(
    family: Family, apart: float, components: int
) -> None:
    predicted = random_mixtures(family, rows=200, components=components, apart=apart, seed=components)
    for probability in PROBABILITIES:
        y = predicted.quantile(probability)
        below, above = (predicted.cdf(y + sign * accuracy(predicted, y)) for sign in (-1, 1))
        rounding = 4e-16 + 1e-14 * probability
        assert np.all(below <= probability + rounding)
        assert np.all(above >= probability - rounding)


def test_between_components_that_are_far_apart() -> None:
    far = Distribution(
        "gaussian", np.array([[-0.78, 0.46, 1.7]]), np.full((1, 3), 0.0067), np.array([[0.43, 0.40, 0.17]])
    )
    for probability, location, share in (
        (0.25, -0.78, 0.25 / 0.43),
        (0.5, 0.46, 0.07 / 0.40),
        (0.9, 1.7, 0.07 / 0.17),
    ):
        y = far.quantile(probability)
        assert far.cdf(y) == pytest.approx(probability, abs=1e-12)
        assert y == pytest.approx(stats.norm.ppf(share, location, 0.0067), abs=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("probability", [0.2, 0.4, 0.6, 0.8])
def test_where_the_distribution_function_is_flat_the_lowest_point_is_given(
    family: Family, probability: float
) -> None:
    """Five equal weights: F equals the probability between two components."""
    degrees = np.full((1, 5), 300.0) if family == "student_t" else None
    apart = Distribution(family, 1e4 * np.arange(5.0)[None], np.ones((1, 5)), np.full((1, 5), 0.2), degrees)
    y = apart.quantile(probability)[0]
    lower = 1e4 * round(5 * probability - 1)
    assert lower < y < lower + 100
    assert apart.cdf(np.array([y])) == pytest.approx(probability, abs=1e-15)
    assert apart.cdf(np.array([y - 1])) < probability


@pytest.mark.parametrize("family", FAMILIES)
def test_identical_components_are_one(family: Family) -> None:
    rng = np.random.default_rng(4)
    place, scale = rng.normal(size=(50, 1)), 10 ** rng.uniform(-6, 6, size=(50, 1))
    degrees = rng.uniform(2.1, 30, size=(50, 1)) if family == "student_t" else None
    one = Distribution(family, place, scale, np.ones((50, 1)), degrees)
    alike = Distribution(
        family,
        place.repeat(3, 1),
        scale.repeat(3, 1),
        np.array([[0.2, 0.3, 0.5]]).repeat(50, 0),
        None if degrees is None else degrees.repeat(3, 1),
    )
    for probability in PROBABILITIES:
        np.testing.assert_allclose(alike.quantile(probability), one.quantile(probability), rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("components", [1, 4])
def test_quantiles_rise_with_the_probability(family: Family, components: int) -> None:
    predicted = random_mixtures(family, rows=50, components=components, apart=2.0, seed=7)
    all_of_them = [predicted.quantile(p) for p in np.linspace(0.01, 0.99, 50)]
    slack = accuracy(predicted, all_of_them[-1])
    assert np.all(np.diff(all_of_them, axis=0) >= -2 * slack)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("score", [-39.2, -36.5, -20.0, -9.0, -0.5, 0.0, 2.0, 9.0, 36.5, 39.2])
def test_a_normal_score_beyond_the_range_of_probabilities_has_its_quantile(
    family: Family, components: int, score: float
) -> None:
    predicted = random_mixtures(family, rows=50, components=components, apart=1.0, seed=3, least_degrees=30.0)
    y = predicted.quantile_at(score)
    np.testing.assert_allclose(predicted.normal_score(y), score, rtol=1e-8, atol=1e-8)


def test_the_normal_score_of_a_gaussian_is_its_standardised_target() -> None:
    law = Distribution("gaussian", np.array([[2.0]]), np.array([[0.5]]), np.array([[1.0]]))
    halves = Distribution("gaussian", np.full((1, 2), 2.0), np.full((1, 2), 0.5), np.full((1, 2), 0.5))
    for z in (-50.0, -8.5, 0.1, 8.5, 50.0):
        y = np.array([2 + 0.5 * z])
        assert law.normal_score(y) == pytest.approx(z)
        assert halves.normal_score(y) == pytest.approx(z)
