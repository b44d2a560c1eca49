"""Scores of Gaussians against independent libraries, quadrature and their least expected value."""

import math

import numpy as np
import pytest
import scoringrules
import torch
from scipy import stats

from precisionflow.evaluation.scores.classes import brier, entropy
from precisionflow.evaluation.scores.gaussian import (
    gaussian_crps,
    gaussian_interval,
    gaussian_nll,
    gaussian_pit,
    squared_error,
)
from tests.oracles import crps_by_integration

SCORES = (gaussian_nll, gaussian_crps, gaussian_pit)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """target, mean, std; z reaches 8, stds go over six orders of magnitude."""
    generator = np.random.default_rng(0)
    mean, std = generator.normal(scale=5, size=200), 10 ** generator.uniform(-3, 3, size=200)
    return mean + std * np.linspace(-8, 8, 200), mean, std


def test_nll_equals_three_libraries(rows):
    target, mean, std = rows
    nll = gaussian_nll(target, mean, std)
    law = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(std))
    np.testing.assert_allclose(nll, -law.log_prob(torch.from_numpy(target)).numpy(), rtol=1e-12)
    np.testing.assert_allclose(nll, -stats.norm.logpdf(target, mean, std), rtol=1e-12)
    np.testing.assert_allclose(nll, scoringrules.logs_normal(target, mean, std), rtol=1e-9)


def test_crps_equals_scoringrules(rows):
    np.testing.assert_allclose(gaussian_crps(*rows), scoringrules.crps_normal(*rows), rtol=1e-10)


@pytest.mark.parametrize("z", [-6.0, -1.3, 0.0, 0.4, 3.0])
def test_crps_equals_its_integral(z):
    mean, std = 2.0, 0.7
    expected = crps_by_integration(mean + std * z, stats.norm(mean, std).cdf)
    got = gaussian_crps(np.array([mean + std * z]), np.array([mean]), np.array([std]))
    np.testing.assert_allclose(got, [expected], rtol=1e-8)


def test_crps_at_the_mean_and_far_away():
    got = gaussian_crps(np.array([0.0, 1e6]), np.zeros(2), np.ones(2))
    expected = [(math.sqrt(2) - 1) / math.sqrt(math.pi), 1e6 - 1 / math.sqrt(math.pi)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)


@pytest.mark.parametrize("level", [1e-6, 0.5, 0.95, 1 - 1e-9])
def test_interval_holds_its_level(level):
    std = np.array([1e-3, 1.0, 1e3])
    lower, upper = gaussian_interval(np.zeros(3), std, level=level)
    np.testing.assert_allclose(upper / std, stats.norm.isf((1 - level) / 2), rtol=1e-7)
    np.testing.assert_allclose(
        stats.norm.cdf(upper, 0, std) - stats.norm.cdf(lower, 0, std), level, rtol=1e-9
    )


def test_interval_equals_scipy(rows):
    _, mean, std = rows
    expected = stats.norm.interval(0.9, mean, std)
    np.testing.assert_allclose(gaussian_interval(mean, std, level=0.9), expected, rtol=1e-12)


def test_pit_equals_two_libraries(rows):
    target, mean, std = rows
    law = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(std))
    np.testing.assert_allclose(gaussian_pit(*rows), law.cdf(torch.from_numpy(target)).numpy(), atol=1e-14)
    np.testing.assert_allclose(gaussian_pit(*rows), stats.norm.cdf(target, mean, std), rtol=1e-10)


def test_squared_error_is_that():
    np.testing.assert_array_equal(squared_error(np.array([1.0, -2.0]), np.array([4.0, 0.5])), [9.0, 6.25])


def test_a_change_of_unit(rows):
    """y -> scale y + shift: nll gains log scale, crps is multiplied, pit stays."""
    scale, shift = 17.0, -40.0
    target, mean, std = rows
    changed = (scale * target + shift, scale * mean + shift, scale * std)
    np.testing.assert_allclose(gaussian_nll(*changed), gaussian_nll(*rows) + math.log(scale), rtol=1e-9)
    np.testing.assert_allclose(gaussian_crps(*changed), scale * gaussian_crps(*rows), rtol=1e-9)
    np.testing.assert_allclose(gaussian_pit(*changed), gaussian_pit(*rows), rtol=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_every_row_stands_alone(rows, score):
    order = np.random.default_rng(3).permutation(200)
    np.testing.assert_array_equal(score(*(column[order] for column in rows)), score(*rows)[order])


@pytest.mark.parametrize(
    ("score", "least"),
    [
        (gaussian_nll, 0.5 * math.log(2 * math.pi * math.e)),
        (gaussian_crps, 1 / math.sqrt(math.pi)),
    ],
)
def test_the_true_law_has_the_least_expected_score(score, least):
    """Expectation over y ~ N(0, 1) by Gauss-Hermite quadrature, for predictions N(mean, std^2) around it."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()

    def expected(mean, std):
        return float(weights @ score(nodes, np.full(60, mean), np.full(60, std)))

    assert expected(0.0, 1.0) == pytest.approx(least, rel=1e-9)
    for mean in (-0.2, -0.02, 0.0, 0.02, 0.2):
        for std in (0.7, 0.97, 1.0, 1.03, 1.4):
            if (mean, std) != (0.0, 1.0):
                assert expected(mean, std) > least + 1e-5


def test_float32_is_scored_in_float64(rows):
    single = [column.astype(np.float32) for column in rows]
    double = [column.astype(np.float64) for column in single]
    for score in SCORES:
        np.testing.assert_array_equal(score(*single), score(*double))
    probabilities = np.full((4, 3), 1 / 3, dtype=np.float32)
    assert entropy(probabilities).dtype == brier(probabilities, np.zeros(4, dtype=int)).dtype == np.float64


def test_a_million_rows():
    generator = np.random.default_rng(4)
    target, mean, std = generator.normal(size=(3, 10**6))
    for score in SCORES:
        assert np.isfinite(score(target, mean, np.exp(std))).all()
    probabilities = generator.dirichlet(np.ones(4), size=10**6)
    assert brier(probabilities, np.zeros(10**6, dtype=int)).min() >= 0
    assert entropy(probabilities).max() <= math.log(4)


one, column = np.ones(3), np.ones((3, 1))


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((column, one, one), r"shapes target \(3, 1\), mean \(3,\), std \(3,\): should all be \(rows,\)"),
        ((one, one, np.ones(1)), r"std \(1,\)"),
        ((column, column, column), r"target \(3, 1\)"),
        ((one[:0], one[:0], one[:0]), "no rows"),
        ((one, np.array([0, np.nan, 0]), one), "mean, row 1: given nan; should be a finite number"),
        ((one, one, np.array([1, 1, np.inf])), "std, row 2: given inf"),
        ((one, one, np.array([1, 0, -1])), r"std, row 1: given 0.0; should be positive"),
    ],
)
def test_no_column_is_broadcast_or_guessed(score, columns, message):
    with pytest.raises(ValueError, match=message):
        score(*columns)


@pytest.mark.usefixtures("production")
def test_squared_error_is_not_broadcast():
    with pytest.raises(ValueError, match="shapes target"):
        squared_error(one, column)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_is_a_fraction(level):
    with pytest.raises(ValueError, match=r"level: given .*; should lie between 0 and 1"):
        gaussian_interval(one, one, level=level)
