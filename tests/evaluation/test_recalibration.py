"""Recalibration undoes a known miscalibration, and does nothing to a calibrated model."""

import numpy as np
import pytest
import torch
from scipy import stats

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.recalibration.quantile_map import quantile_map
from precisionflow.evaluation.recalibration.temperature import temperature, tempered
from precisionflow.evaluation.recalibration.variance_scaling import scaled, variance_scale
from tests.evaluation.test_distribution import mixture

ROWS = 4000
random = np.random.default_rng(3)
MEAN, STD = random.normal(size=ROWS), np.exp(random.normal(size=ROWS))


def test_the_scale_of_a_gaussian_is_the_closed_form_and_undoes_overconfidence() -> None:
    predicted = gaussian(MEAN, STD / 2.5)
    target = gaussian(MEAN, STD).sample(np.random.default_rng(0))
    factor = variance_scale(predicted, target)
    assert factor == pytest.approx(np.sqrt(np.mean(((target - MEAN) / (STD / 2.5)) ** 2)))
    assert factor == pytest.approx(2.5, rel=0.04)
    np.testing.assert_allclose(scaled(predicted, factor).std, factor * predicted.std)


def test_the_search_finds_the_closed_form() -> None:
    target = gaussian(MEAN, STD).sample(np.random.default_rng(0))
    halves = Distribution(
        "gaussian", np.stack([MEAN] * 2, 1), np.stack([STD * 3] * 2, 1), np.full((ROWS, 2), 0.5)
    )
    assert variance_scale(halves, target) == pytest.approx(
        variance_scale(gaussian(MEAN, STD * 3), target), rel=1e-5
    )


def test_a_mixture_that_is_true_keeps_its_scale() -> None:
    predicted = mixture("laplace", components=3, rows=ROWS)
    target = predicted.sample(np.random.default_rng(1))
    assert variance_scale(predicted, target) == pytest.approx(1, abs=0.05)


def test_a_quantile_map_makes_wrong_tails_true_on_new_rows() -> None:
    predicted = gaussian(MEAN, STD)

    def heavy(seed: int) -> np.ndarray:
        return MEAN + STD * np.random.default_rng(seed).standard_t(2, size=ROWS) * 0.5 + 0.3 * STD

    fitted = quantile_map(predicted.cdf(heavy(0)))
    fresh = heavy(1)
    before, after = predicted.cdf(fresh), fitted.probability(predicted.cdf(fresh))
    assert stats.kstest(before, "uniform").statistic > 0.1
    assert stats.kstest(after, "uniform").statistic < 0.04
    for level in (0.5, 0.9):
        lower, upper = fitted.interval(predicted, level)
        assert np.mean((lower <= fresh) & (fresh <= upper)) == pytest.approx(level, abs=0.03)


def test_a_quantile_map_and_its_quantiles_are_inverse() -> None:
    predicted = gaussian(MEAN[:50], STD[:50])
    fitted = quantile_map(np.random.default_rng(0).beta(0.5, 2, size=300))
    for probability in (0.05, 0.3, 0.9):
        y = fitted.quantile(predicted, probability)
        np.testing.assert_allclose(fitted.probability(predicted.cdf(y)), probability, atol=1e-9)


def test_equal_values_and_ends_give_a_map_that_rises() -> None:
    fitted = quantile_map(np.array([0.0, 0.0, 0.4, 0.4, 0.4, 1.0]))
    assert np.all(np.diff(fitted.forecast) > 0)
    assert np.all(np.diff(fitted.observed) >= 0)


def test_temperature_undoes_sharpened_probabilities() -> None:
    true = np.random.default_rng(2).dirichlet(np.ones(5), size=20_000)
    target = (np.random.default_rng(3).random((len(true), 1)) > np.cumsum(true, axis=1)[:, :-1]).sum(axis=1)
    sharp = tempered(true, 0.4)
    found = temperature(sharp, target)
    assert found == pytest.approx(1 / 0.4, rel=0.05)
    np.testing.assert_allclose(tempered(sharp, 2.5), true, atol=1e-9)
    logits = torch.tensor(np.log(sharp))
    losses = [
        float(torch.nn.functional.cross_entropy(logits / t, torch.tensor(target)))
        for t in (found * 0.97, found, found * 1.03)
    ]
    assert losses[1] == min(losses)


def test_no_error_and_one_row_are_refused() -> None:
    with pytest.raises(ValueError, match="every target equals its prediction"):
        variance_scale(gaussian(MEAN, STD), MEAN)
    with pytest.raises(ValueError, match="at least 2 calibration rows"):
        quantile_map(np.array([0.5]))
