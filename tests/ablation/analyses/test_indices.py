"""Indices of sensitivity against closed forms: linear functions, Ishigami's function, noise alone."""

import math

import numpy as np
import pytest

from precisionflow.ablation.analyses import indices
from precisionflow.ablation.analyses.places import mixtures, trajectories

GIVEN = {"confidence": 0.95, "overlap": 0.0}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_morris_of_a_linear_function_is_its_coefficients(scale: float) -> None:
    coefficients = scale * np.array([3.0, -0.5, 0.0])
    places = trajectories(6, [4, 4, 3], seed=0)
    effects = indices.elementary_effects(places, (places @ coefficients)[:, None])
    for coefficient, of in zip(coefficients, effects, strict=True):
        star, mean, sigma = indices.morris(of, **GIVEN)
        assert (star.measure, mean.measure, sigma.measure) == ("mu_star", "mu", "sigma")
        assert star.value == pytest.approx(abs(coefficient), abs=1e-9 * scale)
        assert mean.value == pytest.approx(coefficient, abs=1e-9 * scale)
        assert sigma.value == pytest.approx(0, abs=1e-9 * scale)
        assert (star.low, star.high) == pytest.approx([abs(coefficient)] * 2, abs=1e-9 * scale)
        assert star.n == 6
        assert math.isnan(star.chance)


def test_morris_of_a_product_varies_with_the_place() -> None:
    """f = x y: the effect of x is y, over the levels 0, 1/3, 2/3, 1: mean 1/2, std sqrt(5)/6."""
    places = trajectories(500, [4, 4], seed=2)
    effects = indices.elementary_effects(places, places.prod(axis=1)[:, None])
    star, mean, sigma = indices.morris(effects[0], **GIVEN)
    assert (star.value, mean.value) == pytest.approx([0.5, 0.5], abs=0.04)
    assert sigma.value == pytest.approx(math.sqrt(5) / 6, abs=0.02)


def test_a_trajectory_that_failed_is_left_out() -> None:
    places = trajectories(3, [4, 4], seed=0)
    values = np.tile(places @ [1.0, 2.0], (2, 1)).T
    values[4] = math.nan
    effects = indices.elementary_effects(places, values)
    assert sorted(indices.morris(of, **GIVEN)[0].n for of in effects) in ([2, 2], [2, 3])
    assert indices.morris(effects[1], **GIVEN)[0].value == pytest.approx(2)
    assert math.isnan(indices.morris(np.full((3, 2), math.nan), **GIVEN)[0].value)


def ishigami(places: np.ndarray) -> np.ndarray:
    x = math.pi * (2 * places - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def closed_form() -> tuple[list[float], list[float]]:
    """First-order and total indices of Ishigami's function with a = 7, b = 0.1 (Saltelli et al. 2008)."""
    a, b = 7.0, 0.1
    first = [0.5 * (1 + b * math.pi**4 / 5) ** 2, a**2 / 8, 0.0]
    together = b**2 * math.pi**8 * (1 / 18 - 1 / 50)
    variance = sum(first) + together
    totals = [first[0] + together, first[1], together]
    return [v / variance for v in first], [v / variance for v in totals]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_sobol_of_ishigami_is_the_closed_form(scale: float) -> None:
    samples = 2048
    values = scale * ishigami(mixtures(3, samples, seed=0))[:, None].reshape(5, samples, 1)
    for index, (first, total) in enumerate(zip(*closed_form(), strict=True)):
        found = indices.sobol(values[0], values[1], values[2 + index], **GIVEN)
        assert [of.value for of in found] == pytest.approx([first, total], abs=0.02)
        for of, exact in zip(found, (first, total), strict=True):
            assert of.low - 1e-12 <= exact <= of.high + 1e-12
            assert of.high - of.low < 0.15


@pytest.mark.parametrize("constant", [0.0, 1.0, -0.7, 1e6 / 3, 1e-6 / 3])
def test_a_constant_has_no_shares(constant: float) -> None:
    """Neither has one that rounding alone changes."""
    rounded = np.random.default_rng(0).random((3, 64, 2)) < 0.5
    a, b, mixed = np.where(rounded, constant * (1 + 2.0**-52), constant)
    assert all(math.isnan(of.value) for of in indices.sobol(a, b, mixed, **GIVEN))


@pytest.mark.parametrize("moved", [1, 4])
def test_a_metric_that_few_rows_move_has_an_interval_where_they_are_in_most_draws(moved: int) -> None:
    """A third of the draws leave a single one of eight rows out, and so have no variance."""
    a, b = np.zeros((8, 1)), np.zeros((8, 1))
    b[:moved] = 1.0
    for of in indices.sobol(a, b, b, **GIVEN):
        assert of.value > 0
        assert math.isnan(of.low) == math.isnan(of.high) == (moved == 1)
        assert moved == 1 or (of.low <= of.value <= of.high and of.low <= 1)


def test_shares_lie_between_nothing_and_all() -> None:
    """Their intervals too: of few rows those of the draws reach beyond both."""
    values = ishigami(mixtures(3, 8, seed=1))[:, None].reshape(5, 8, 1)
    for index in range(3):
        for of in indices.sobol(values[0], values[1], values[2 + index], **GIVEN):
            assert min(of.value, 0) <= of.low <= of.value <= of.high <= max(of.value, 1)


def test_the_swing_is_paired_over_the_units() -> None:
    units = np.array([[0.0, 10.0, 20.0], [1.0, 11.0, 21.5], [-1.0, 9.0, 19.0]])
    found = indices.swing(units, **GIVEN)
    assert (found.value, found.n) == (pytest.approx(13.0 / 6), 3)
    assert found.low < 13 / 6 < found.high < 4
    one = indices.swing(units[:, :1], **GIVEN)
    assert (one.value, math.isnan(one.low), math.isnan(one.chance)) == (2.0, True, True)


@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_noise_alone_stays_below_chance(overlap: float) -> None:
    """As often as the confidence says; units that overlap have noise in common, of that share of each one's own."""
    generator, draws = np.random.default_rng(5), 400
    given = {"confidence": 0.95, "overlap": overlap}
    places, below = trajectories(8, [4, 4], seed=0), np.zeros(3)

    def noise(runs: int) -> np.ndarray:
        common = math.sqrt(overlap) * generator.standard_normal((runs, 1))
        return common + generator.standard_normal((runs, 3))

    for _ in range(draws):
        star, *_ = indices.morris(indices.elementary_effects(places, noise(24))[0], **given)
        swing = indices.swing(noise(5), **given)
        level, other = 5 * generator.standard_normal((2, 16, 1))
        _, total = indices.sobol(level + noise(16), other + noise(16), level + noise(16), **given)
        below += [of.value <= of.chance for of in (star, swing, total)]
    assert (np.abs(below / draws - 0.95) < 0.03).all(), below / draws
