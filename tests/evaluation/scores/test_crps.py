"""The CRPS of predicted distributions against scoringrules, quadrature and sampling."""

import numpy as np
import pytest
import scoringrules
from scipy import integrate

from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.families import Family
from precisionflow.evaluation.scores.crps import crps, sample_crps
from tests.evaluation.test_distribution import FAMILIES, ROWS, law, mixture
from tests.mixtures import random_mixtures

TARGET = np.random.default_rng(9).normal(size=ROWS) * 3


def by_definition(predicted: Distribution, target: float) -> float:
    """Integral of (F(x) - [x >= target])^2 dx of a single row."""

    def below(x: float) -> float:
        return float(predicted.cdf(np.array([x]))[0])

    left = integrate.quad(lambda x: below(x) ** 2, -np.inf, target, limit=400)[0]
    right = integrate.quad(lambda x: (1 - below(x)) ** 2, target, np.inf, limit=400)[0]
    return float(left + right)


def test_single_components_equal_scoringrules() -> None:
    g, la, t = (mixture(family, components=1) for family in FAMILIES)
    assert t.degrees_of_freedom is not None
    place = [(part.location[:, 0], part.scale[:, 0]) for part in (g, la, t)]
    np.testing.assert_allclose(crps(g, TARGET), scoringrules.crps_normal(TARGET, *place[0]))
    np.testing.assert_allclose(crps(la, TARGET), scoringrules.crps_laplace(TARGET, *place[1]))
    student = scoringrules.crps_t(TARGET, t.degrees_of_freedom[:, 0], *place[2])
    np.testing.assert_allclose(crps(t, TARGET), student)


def test_a_gaussian_mixture_equals_scoringrules() -> None:
    m = mixture("gaussian", components=5)
    expected = scoringrules.crps_mixnorm(TARGET, m.location, m.scale, m.weight)
    np.testing.assert_allclose(crps(m, TARGET), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_mixtures_equal_the_definition(family: Family) -> None:
    predicted = mixture(family, components=3)
    found = crps(predicted, TARGET)
    for row in range(6):
        part = predicted.rows(slice(row, row + 1))
        assert found[row] == pytest.approx(by_definition(part, TARGET[row]), rel=1e-4)


def by_panels(predicted: Distribution, target: float) -> float:
    """The definition by Gauss and Legendre, between points around every component that are ever further apart."""
    steps = np.concatenate([[0], 10 ** np.arange(-1, 13, 0.25)])
    location, scale = predicted.location[0], predicted.scale[0]
    around = [at + sign * s * steps for at, s in zip(location, scale, strict=True) for sign in (-1, 1)]
    edges = np.unique(np.concatenate([[target], *around]))
    nodes, weight = np.polynomial.legendre.leggauss(20)
    half = 0.5 * np.diff(edges)[:, None]
    x = edges[:-1, None] + half * (1 + nodes)

    def of(method: str) -> np.ndarray:
        return sum(w * getattr(law(predicted, 0, k), method)(x) for k, w in enumerate(predicted.weight[0]))

    squared = np.where(x < target, of("cdf") ** 2, of("sf") ** 2)
    return float((squared * weight * half).sum())


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("components", [2, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_narrow_members_beside_their_disagreement_equal_the_definition(
    family: Family, components: int, apart: float
) -> None:
    predicted = random_mixtures(family, rows=12, components=components, apart=apart, seed=components)
    target = predicted.sample(np.random.default_rng(1))
    found = crps(predicted, target)
    expected = [by_panels(predicted.rows(slice(row, row + 1)), target[row]) for row in range(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("degrees", [2.05, 2.5, 4.0, 10.0, 30.0, 100.0, 1000.0])
@pytest.mark.parametrize("apart", [0.0, 0.3, 3.0, 100.0, 1e4])
def test_two_students_apart_equal_the_definition(degrees: float, apart: float) -> None:
    both = np.array([[degrees, degrees]])
    predicted = Distribution(
        "student_t", np.array([[0, apart]]), np.array([[1, 0.3]]), np.full((1, 2), 0.5), both
    )
    target = np.array([0.2])
    assert crps(predicted, target)[0] == pytest.approx(by_panels(predicted, 0.2), rel=1e-6)


def test_laplace_components_of_equal_scale_are_the_limit_of_unequal_ones() -> None:
    location, weight = np.array([[0.0, 1.0]]), np.array([[0.3, 0.7]])
    alike = crps(Distribution("laplace", location, np.array([[2.0, 2.0]]), weight), np.array([0.5]))
    nearly = crps(Distribution("laplace", location, np.array([[2.0, 2.0002]]), weight), np.array([0.5]))
    assert alike[0] == pytest.approx(nearly[0], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_distribution_in_two_halves_scores_as_the_whole(family: Family) -> None:
    whole = mixture(family, components=1)
    twice = {name: np.repeat(getattr(whole, name), 2, axis=1) for name in ("location", "scale")}
    degrees = whole.degrees_of_freedom
    halves = Distribution(
        family,
        twice["location"],
        twice["scale"],
        np.full((ROWS, 2), 0.5),
        None if degrees is None else np.repeat(degrees, 2, axis=1),
    )
    np.testing.assert_allclose(crps(halves, TARGET), crps(whole, TARGET), rtol=1e-6)


def test_the_score_scales_with_the_unit_and_ignores_the_origin() -> None:
    m = mixture("gaussian", components=3)
    moved = Distribution("gaussian", 7 * m.location - 3, 7 * m.scale, m.weight)
    np.testing.assert_allclose(crps(moved, 7 * TARGET - 3), 7 * crps(m, TARGET))


def test_draws_are_scored_without_bias() -> None:
    m = mixture("gaussian", components=2, rows=1)
    target = np.zeros(20_000)
    random = np.random.default_rng(3)
    many = m.rows(np.zeros(20_000 * 4, dtype=int))
    draws = many.sample(random).reshape(20_000, 4)
    scores = sample_crps(draws, target)
    error = scores.std() / np.sqrt(len(scores))
    assert abs(scores.mean() - crps(m, np.zeros(1))[0]) < 4 * error
    np.testing.assert_allclose(
        scores[:50], scoringrules.crps_ensemble(target[:50], draws[:50], estimator="fair")
    )


def test_one_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 draws"):
        sample_crps(np.zeros((3, 1)), np.zeros(3))
