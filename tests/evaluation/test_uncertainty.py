"""One table of mean, stds and intervals: closed forms, and the law of total variance."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.uncertainty import ends, uncertainty_table

MEAN, STD = np.array([1.0, -2.0, 5.0]), np.array([0.5, 1.0, 3.0])


def saying(distribution):
    """A predictor with one answer."""
    return SimpleNamespace(distribution=lambda _features: distribution)


def test_one_gaussian_in_closed_form():
    found = uncertainty_table(saying(gaussian(MEAN, STD)), np.zeros((3, 2)), levels=(0.5, 0.999))
    assert list(found) == [
        "mean", "std", "aleatoric", "epistemic", "lower_50", "upper_50", "lower_99.9", "upper_99.9",
    ]  # fmt: skip
    np.testing.assert_allclose(found["mean"], MEAN)
    np.testing.assert_allclose(found["std"], STD)
    np.testing.assert_allclose(found["aleatoric"], STD)
    np.testing.assert_allclose(found["epistemic"], 0, atol=1e-12)
    for level in (0.5, 0.999):
        for name, end in zip(ends(level), stats.norm(MEAN, STD).interval(level), strict=True):
            np.testing.assert_allclose(found[name], end, rtol=1e-10)


def test_members_that_disagree_are_epistemic():
    location = np.array([[0.0, 2.0], [1.0, 1.0], [-3.0, 5.0]])
    parts = Distribution("gaussian", location, np.full((3, 2), 0.7), np.full((3, 2), 0.5))
    found = uncertainty_table(saying(parts), np.zeros((3, 2)))
    np.testing.assert_allclose(found["epistemic"], [1.0, 0.0, 4.0], atol=1e-12)
    np.testing.assert_allclose(found["aleatoric"], 0.7)
    np.testing.assert_allclose(found["std"] ** 2, found["aleatoric"] ** 2 + found["epistemic"] ** 2)
    inside = parts.cdf(found["upper_95"].to_numpy()) - parts.cdf(found["lower_95"].to_numpy())
    np.testing.assert_allclose(inside, 0.95, rtol=1e-6)


@pytest.mark.parametrize(
    ("levels", "message"),
    [((1.0,), "level: given 1.0; should lie between 0 and 1"), ((0.9, 0.9), "level: given 0.9 twice")],
)
def test_bad_levels(levels, message):
    with pytest.raises(ValueError, match=message):
        uncertainty_table(saying(gaussian(MEAN, STD)), np.zeros((3, 2)), levels=levels)
