"""The factor on an ensemble's spread: what it does to a mixture, and that it is the one of all members."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from precisionflow.config.posteriors import Ensemble
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.recalibration.variance_scaling import scaled, variance_scale
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.posteriors.spread import fitted_factor, spread

MEMBERS, LEFT_OUT = 10, 2


def of_numpy(predictive: Mixture) -> Distribution:
    """The same in double precision."""
    degrees = predictive.degrees_of_freedom
    return Distribution(
        predictive.family,
        predictive.location.double().numpy(),
        torch.exp(-0.5 * predictive.log_precision.double()).numpy(),
        predictive.log_weight.double().exp().numpy(),
        None if degrees is None else degrees.double().numpy(),
    )


def drawn(rows: int, *, apart: float, noise: float, stated: float, seed: int) -> tuple[Mixture, torch.Tensor]:
    """Members that miss the truth by `apart`, each by itself; they state `stated` where the target has `noise`."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=rows)
    locations = truth[:, None] + apart * random.normal(size=(rows, MEMBERS))
    shape = (rows, MEMBERS)
    return Mixture(
        "student_t",
        torch.from_numpy(locations),
        torch.full(shape, -2 * np.log(stated), dtype=torch.float64),
        torch.full(shape, -np.log(MEMBERS), dtype=torch.float64),
        torch.full(shape, 6.0, dtype=torch.float64),
    ), torch.from_numpy(truth + noise * random.normal(size=rows))


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5])
def test_a_mixture_is_spread_about_its_mean(factor):
    predictive, target = drawn(20, apart=0.5, noise=0.2, stated=0.3, seed=0)
    wider, expected = of_numpy(spread(predictive, factor)), scaled(of_numpy(predictive), factor)
    np.testing.assert_allclose(wider.location, expected.location, rtol=1e-12)
    np.testing.assert_allclose(wider.std, factor * of_numpy(predictive).std, rtol=1e-12)
    np.testing.assert_allclose(wider.log_density(target.numpy()), expected.log_density(target.numpy()))


@pytest.mark.parametrize(
    ("apart", "noise", "stated"), [(0.5, 0.05, 0.3), (0.2, 0.3, 0.3), (0.05, 0.6, 0.3), (0.5, 0.3, 0.5)]
)
def test_two_members_tell_the_factor_of_ten(apart, noise, stated):
    """Against the factor that other rows ask of all ten: on the wide side of it, half as far as two alone at most."""
    rows, target = drawn(20_000, apart=apart, noise=noise, stated=stated, seed=1)
    columns = torch.from_numpy(np.random.default_rng(2).permuted(np.tile(np.arange(10), (20_000, 1)), axis=1))
    chosen = columns[:, :LEFT_OUT]
    left = rows.among(chosen, members=MEMBERS)
    alike = torch.ones(20_000)
    found = fitted_factor(left, target, weight=alike, out_of_fold=LEFT_OUT, members=MEMBERS)
    fresh, hidden = drawn(20_000, apart=apart, noise=noise, stated=stated, seed=3)
    wanted = variance_scale(of_numpy(fresh), hidden.numpy())
    pair = variance_scale(of_numpy(left), target.numpy())
    assert 0.98 * wanted < found
    assert found - wanted < 0.5 * (pair - wanted) + 0.02 * wanted


def test_where_all_members_left_the_rows_out_the_likelihood_alone_decides():
    predictive, target = drawn(500, apart=0.3, noise=0.2, stated=0.3, seed=4)
    expected = variance_scale(of_numpy(predictive), target.numpy())
    every = {"out_of_fold": MEMBERS, "members": MEMBERS}
    alike = fitted_factor(predictive, target, weight=torch.ones(500), **every)
    assert alike == pytest.approx(expected, rel=1e-4)
    times = torch.arange(500) % 4
    again = torch.repeat_interleave(torch.arange(500), times)
    repeated = predictive.each(lambda part: part[again])
    assert fitted_factor(predictive, target, weight=1e6 * times, **every) == pytest.approx(
        fitted_factor(repeated, target[again], weight=torch.ones(len(again)), **every), rel=1e-5
    )


@pytest.mark.parametrize("given", [{"members": 4}, {"members": 4, "folds": 4}])
def test_rows_that_two_members_left_out_are_needed(given):
    with pytest.raises(ValidationError, match=r"model\.posterior\.folds, 2 at most for 4 members"):
        Ensemble(**given, spread="fitted")
