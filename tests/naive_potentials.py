"""The naive form of every potential, by its configuration: what its log potential says, term by term."""

import math
from collections.abc import Callable
from typing import NamedTuple

import oracles
import torch
from torch import nn

from precisionflow.config import attention as config


class Given(NamedTuple):
    """What a naive form is made from: queries of the tokens `x`, keys of the tokens `y`."""

    potential: nn.Module
    queries: torch.Tensor
    keys: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor


def dot_product(of: Given) -> torch.Tensor:
    return of.queries @ of.keys.transpose(-1, -2) / math.sqrt(of.queries.shape[-1])


def dot_product_key_bias(of: Given) -> torch.Tensor:
    return dot_product(of) + (of.y @ of.potential.bias.weight.T).transpose(1, 2)[:, :, None, :]


def gaussian_isotropic(of: Given) -> torch.Tensor:
    return oracles.gaussian_log_potential(of.queries, of.keys, of.potential.log_precision.expand_as(of.keys))


def gaussian_per_key(of: Given) -> torch.Tensor:
    return oracles.gaussian_log_potential(of.queries, of.keys, of.potential.precision(of.y))


def student_t(of: Given) -> torch.Tensor:
    return oracles.student_t_log_potential(
        of.queries, of.keys, of.potential.log_precision, of.potential.degrees()
    )


def gaussian_per_query(of: Given) -> torch.Tensor:
    log_precision = of.potential.precision(of.x)[..., :, None, :]
    return oracles.gaussian_log_potential_of_pairs(of.queries, of.keys, log_precision)


def gaussian_separable(of: Given) -> torch.Tensor:
    of_query, of_key = of.potential.precision_of_query(of.x), of.potential.precision_of_key(of.y)
    log_precision = of_query[..., :, None, :] + of_key[..., None, :, :]
    return oracles.gaussian_log_potential_of_pairs(of.queries, of.keys, log_precision)


def gaussian_mixture(of: Given) -> torch.Tensor:
    parts = of.potential.components
    weights = parts.log_odds.exp() / parts.log_odds.exp().sum(-1, keepdim=True)
    return oracles.mixture_log_potential(
        of.queries, of.keys, of.potential.log_precision, parts.shift, weights
    )


def laplace(of: Given) -> torch.Tensor:
    return oracles.laplace_log_potential(of.queries, of.keys, of.potential.log_precision)


def laplace_elliptical(of: Given) -> torch.Tensor:
    return oracles.elliptical_laplace_log_potential(
        of.queries, of.keys, of.potential.log_precision, rounded=0.01
    )


def pair_precision(of: Given) -> torch.Tensor:
    hidden = of.potential.log_precision
    half = of.queries.shape[-1] // 2
    signs = torch.tensor([1.0] * half + [-1.0] * half, dtype=of.queries.dtype)
    return oracles.pair_precision(of.queries, of.keys, hidden.of_query, hidden.of_key, hidden.bias, signs)


def tempered(naive_form: Callable[[Given], torch.Tensor]) -> Callable[[Given], torch.Tensor]:
    def at_temperature(of: Given) -> torch.Tensor:
        log_likelihood = naive_form(of._replace(potential=of.potential.potential))
        return log_likelihood / nn.functional.softplus(of.potential.temperature.raw)

    return at_temperature


FORMS = {
    config.DotProduct(): dot_product,
    config.DotProductKeyBias(): dot_product_key_bias,
    config.GaussianIsotropic(): gaussian_isotropic,
    config.GaussianPerKey(): gaussian_per_key,
    config.GaussianPerQuery(): gaussian_per_query,
    config.GaussianSeparable(): gaussian_separable,
    config.GaussianMixture(components=3): gaussian_mixture,
    config.StudentTIsotropic(): student_t,
    config.LaplaceByChannel(): laplace,
    config.LaplaceElliptical(): laplace_elliptical,
    config.PairPrecision(): pair_precision,
}
