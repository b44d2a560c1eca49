"""One factor on the spread: closed form, search, refusals."""

import numpy as np
import pytest

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.recalibration.quantile_map import quantile_map
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


def test_no_error_and_one_row_are_refused() -> None:
    with pytest.raises(ValueError, match="every target equals its prediction"):
        variance_scale(gaussian(MEAN, STD), MEAN)
    with pytest.raises(ValueError, match="at least 2 calibration rows"):
        quantile_map(np.array([0.5]))
