"""Mixtures against scipy's densities, for any number of leading axes."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from precisionflow.models.likelihoods.mixture import Mixture, pooled

SHAPES = [(6,), (1, 6), (6, 1), (2, 3, 1)]
COMPONENTS = [1, 2, 3]


def mixture(family: str, places: tuple[int, ...], components: int, seed: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    location, log_precision, logits = torch.randn(
        3, *places, components, generator=generator, dtype=torch.float64
    )
    degrees = torch.rand(*places, components, generator=generator, dtype=torch.float64) * 5 + 2
    return Mixture(
        family,
        location,
        log_precision,
        logits.log_softmax(-1),
        degrees if family == "student_t" else None,
        log_precision.exp() if family == "gaussian" else None,
    )


def scipys(of: Mixture):
    """The frozen distribution of every component."""
    scale = np.exp(-0.5 * of.log_precision.numpy())
    match of.family:
        case "gaussian":
            return stats.norm(of.location, scale)
        case "laplace":
            return stats.laplace(of.location, scale)
        case "student_t":
            return stats.t(of.degrees_of_freedom, of.location, scale)


@pytest.fixture(params=["gaussian", "laplace", "student_t"])
def family(request):
    return request.param


@pytest.mark.parametrize("components", COMPONENTS)
@pytest.mark.parametrize("places", SHAPES)
def test_density_and_mean_are_those_of_the_weighed_components(family, places, components):
    of = mixture(family, places, components)
    target = torch.randn(places, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = scipys(of).logpdf(target[..., None]) + of.log_weight.numpy()
    np.testing.assert_allclose(of.log_density(target), special.logsumexp(parts, axis=-1))
    np.testing.assert_allclose(of.mean, (of.log_weight.exp() * of.location).sum(-1))


@pytest.mark.parametrize("places", SHAPES)
def test_some_members_are_the_mixture_of_them_alone(family, places):
    """Two components of each of three members."""
    of = mixture(family, places, 6)
    generator = torch.Generator().manual_seed(1)
    chosen = torch.rand(*places, 3, generator=generator).argsort(-1)[..., :2]
    target = torch.randn(places, generator=generator, dtype=torch.float64)
    parts = torch.as_tensor(scipys(of).logpdf(target[..., None])) + of.log_weight
    columns = torch.cat([2 * chosen, 2 * chosen + 1], dim=-1)
    weight = of.log_weight.gather(-1, columns).logsumexp(-1)
    expected = parts.gather(-1, columns).logsumexp(-1) - weight
    torch.testing.assert_close(of.among(chosen, members=3).log_density(target), expected)


@pytest.mark.parametrize("places", SHAPES)
def test_mixtures_pool_with_equal_weight(family, places):
    several = [mixture(family, places, 2, seed) for seed in range(3)]
    target = torch.randn(places, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.stack([one.log_density(target) for one in several]).logsumexp(0) - math.log(3)
    torch.testing.assert_close(pooled(several).log_density(target), expected)
    torch.testing.assert_close(pooled(several).mean, torch.stack([one.mean for one in several]).mean(0))


def test_one_mixture_pooled_is_itself(family):
    of = mixture(family, (6,), 2)
    target = torch.linspace(-2, 2, 6, dtype=torch.float64)
    torch.testing.assert_close(pooled([of]).log_density(target), of.log_density(target))


def test_a_change_is_made_to_every_parameter(family):
    of = mixture(family, (6,), 2)
    changed = of.each(lambda part: part[1:3])
    for name, part in of._asdict().items():
        if isinstance(part, torch.Tensor):
            assert torch.equal(getattr(changed, name), part[1:3])
        else:
            assert getattr(changed, name) == part
