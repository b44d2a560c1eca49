"""Exponential families against torch.distributions, scipy and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions
from torch.distributions.kl import kl_divergence

from precisionflow.inference.variational import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Wishart,
)
from precisionflow.inference.variational.chains import Chain

torch.manual_seed(0)
PLATES, WIDTH = 3, 3


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def matrix():
    root = normal(PLATES, WIDTH, WIDTH)
    return root @ root.mT + torch.eye(WIDTH, dtype=torch.float64)


def gaussian():
    mean, precision = normal(PLATES), normal(PLATES).exp()
    return Gaussian.of(mean, precision), distributions.Normal(mean, precision.rsqrt())


def gaussian_vector():
    mean, precision = normal(PLATES, WIDTH), matrix()
    return GaussianVector.of(mean, precision), distributions.MultivariateNormal(
        mean, precision_matrix=precision
    )


def gamma():
    shape, rate = normal(PLATES).exp(), normal(PLATES).exp()
    return Gamma.of(shape, rate), distributions.Gamma(shape, rate)


def wishart():
    degrees, inverse = WIDTH + normal(PLATES).exp(), matrix()
    return Wishart.of(degrees, inverse), distributions.Wishart(degrees, precision_matrix=inverse)


def dirichlet():
    concentration = normal(PLATES, 4).exp()
    return Dirichlet.of(concentration), distributions.Dirichlet(concentration)


def categorical():
    probabilities = normal(PLATES, 4).softmax(dim=-1)
    return Categorical.of(probabilities), distributions.OneHotCategorical(probabilities)


EVERY = pytest.mark.parametrize(
    "made",
    [gaussian, gaussian_vector, gamma, wishart, dirichlet, categorical],
    ids=lambda made: made.__name__,
)


@EVERY
def test_density_mean_and_entropy_are_those_of_torch(made):
    ours, theirs = made()
    value = matrix() if made is wishart else theirs.sample()
    torch.testing.assert_close(ours.log_density(value), theirs.log_prob(value))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert ours.plates == (PLATES,)


@EVERY
def test_the_divergence_is_that_of_torch(made):
    (one, p), (two, q) = made(), made()
    if made is wishart:
        # torch has none: <log p - log q> from the entropy and from q's density, which is linear in the statistics
        cross = two.inner(two.natural, one.statistics) - two.log_normaliser
        torch.testing.assert_close(one.kl(two), -p.entropy() - cross)
    else:
        torch.testing.assert_close(one.kl(two), kl_divergence(p, q))
    assert (one.kl(two) > 0).all()
    torch.testing.assert_close(one.kl(one), torch.zeros(PLATES, dtype=torch.float64))


@EVERY
def test_the_gradient_of_the_log_normaliser_is_the_expected_statistics(made):
    ours, _ = made()
    natural = tuple(each.clone().requires_grad_() for each in ours.natural)
    slopes = torch.autograd.grad(type(ours)(natural).log_normaliser.sum(), natural)
    for slope, statistic in zip(slopes, ours.statistics, strict=True):
        torch.testing.assert_close(slope, statistic)


@EVERY
def test_a_damped_step_moves_natural_parameters_a_share_of_the_way(made):
    (one, _), (two, _) = made(), made()
    part = one.damped(two, 0.25)
    for a, b, found in zip(one.natural, two.natural, part.natural, strict=True):
        torch.testing.assert_close(found, 0.75 * a + 0.25 * b)
    assert (part.kl(two) < one.kl(two)).all()


def test_the_wishart_is_that_of_scipy():
    ours, _ = wishart()
    for plate in range(PLATES):
        scale = torch.linalg.inv(ours.natural[1][plate]).numpy()
        theirs = stats.wishart(df=ours.degrees[plate].item(), scale=scale)
        value = theirs.rvs(random_state=plate)
        assert ours.log_density(torch.as_tensor(value))[plate].item() == pytest.approx(theirs.logpdf(value))
        assert ours.entropy()[plate].item() == pytest.approx(theirs.entropy())


def test_log_means_are_those_of_many_draws():
    torch.manual_seed(1)
    ours, _ = wishart()
    scales = torch.linalg.inv(ours.natural[1]).numpy()
    matrices = [
        stats.wishart(df=n.item(), scale=v).rvs(20_000, random_state=0)
        for n, v in zip(ours.degrees, scales, strict=True)
    ]
    drawn = [(ours, torch.logdet(torch.as_tensor(np.stack(matrices, axis=1))))]
    for made in (gamma, dirichlet):
        ours, theirs = made()
        drawn.append((ours, theirs.sample((20_000,)).log()))
    for ours, draws in drawn:
        error = 5 * draws.std(dim=0) / math.sqrt(20_000)
        assert ((draws.mean(dim=0) - ours.log_mean).abs() < error).all()


def test_impossible_states_cost_much_and_no_infinity():
    sure, even = Categorical.of([1.0, 0.0]), Categorical.of([0.5, 0.5])
    assert sure.mean[1] == pytest.approx(0, abs=1e-300)
    assert even.kl(sure).item() == pytest.approx(0.5e8, rel=0.01)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (lambda: Gaussian.of(0.0, -1.0), "x: precision has to be above 0, given -1"),
        (lambda: GaussianVector.of([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "x: precision has to be symmetric"),
        (lambda: GaussianVector.of([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "x: precision has to be symmetric"),
        (lambda: Gamma.of(0.0, 1.0), "x: shape has to be above 0, given 0"),
        (lambda: Gamma.of(1.0, -2.0), "x: rate has to be above 0, given -2"),
        (lambda: Wishart.of(1.0, torch.eye(2)), "x: degrees have to be above 1, width - 1, given 1"),
        (lambda: Wishart.of(3.0, -torch.eye(2)), "x: inverse scale has to be symmetric"),
        (lambda: Dirichlet.of([1.0, 0.0]), "x: concentration has to be above 0, given 0"),
        (lambda: Categorical.of([0.5, 0.4]), "probabilities: have to sum to 1 over the last axis, given 0.9"),
        (lambda: Categorical.of([1.5, -0.5]), "probabilities: have to be at least 0"),
        (lambda: Dirichlet.of(1.0), "x: has no states; give a concentration for each"),
        (lambda: Dirichlet.of([]), "x: has no states"),
        (
            lambda: Gamma.of([1.0, 2.0], [1.0] * 3),
            r"shape of shape \(2,\) and rate of shape \(3,\) do not fit one another",
        ),
        (lambda: Gaussian.of([0.0] * 3, [1.0] * 2), r"mean of shape \(3,\) and precision of shape \(2,\)"),
        (
            lambda: GaussianVector.of([0.0] * 3, torch.eye(2)),
            r"mean of shape \(3,\) and precision of shape \(2, 2\)",
        ),
        (lambda: GaussianVector.of(0.0, 1.0), r"mean of shape \(\) and precision of shape \(\) do not fit"),
        (lambda: Wishart.of(3.0, torch.ones(2, 3)), r"inverse_scale of shape \(2, 3\) do not fit"),
        (lambda: Gaussian.of("ab", 1.0), "mean: given 'ab'; give a number, or rows of equally many numbers"),
        (lambda: Gaussian.of([[1.0], [1.0, 2.0]], 1.0), "mean: given .*; give a number, or rows of equally"),
        (lambda: Gaussian.of(math.nan, 1.0), "mean: has NaN or infinite numbers"),
        (lambda: Gamma.of(1.0, math.inf), "rate: has NaN or infinite numbers"),
    ],
)
def test_improper_parameters_are_one_line(made, line):
    with pytest.raises(ValueError, match=line) as raised:
        made().require_proper("x")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_symmetry_is_in_units_of_each_numbers_scale(unit):
    """Numbers that are not correlated but for rounding are symmetric; an error of a millionth is none."""
    units = torch.tensor([[1.0], [unit]]).double()
    rounded = torch.tensor([[1.0, 1e-17], [3e-17, 1.0]]).double() * units * units.T
    GaussianVector.of([0.0, 0.0], rounded).require_proper("x")
    Wishart.of(3.0, rounded).require_proper("x")
    eye = torch.eye(2)
    Chain(eye, rounded, eye, rounded, torch.zeros(2), rounded)
    wrong = rounded + torch.tensor([[0.0, 1e-6], [0.0, 0.0]]) * units * units.T
    with pytest.raises(ValueError, match="has to be symmetric"):
        GaussianVector.of([0.0, 0.0], wrong).require_proper("x")
    with pytest.raises(ValueError, match="has to be symmetric"):
        Chain(eye, wrong, eye, eye, torch.zeros(2), eye)
