"""One factor on the spread of an ensemble's predictions, fitted on rows that are out of fold for some of its members.

A row is out of fold for K of M members. Scores of mixtures of k exchangeable members are expected to be a + b / k, for
the CRPS exactly (Ferro, Richardson & Weigel 2008), for smooth scores to first order. With L_k(s) the mean negative
log-likelihood of the rows under k of the members that did not train on them, spread by s about the mixture's mean,
that of all M members is

    L_M(s) ~ L_K(s) + (L_K(s) - L_1(s)) (1/K - 1/M) / (1 - 1/K)

and the factor is where it is lowest. Without the last term the rows would ask for the spread of K members, which err
more than M. Where members disagree by more than they state, what the first order leaves out makes the factor too wide.
"""

import math

import torch
from jaxtyping import Float
from scipy import optimize
from torch import Tensor

from precisionflow.models.likelihoods.mixture import Mixture

LIMIT = 3.0
"""Largest size of the log factor."""


def spread(predictive: Mixture, factor: float) -> Mixture:
    """Locations and scales of every row `factor` times as far from the mixture's mean: the mean stays as it is."""
    centre = predictive.mean[..., None]
    return predictive._replace(
        location=centre + factor * (predictive.location - centre),
        log_precision=predictive.log_precision - 2 * math.log(factor),
    )


def fitted_factor(
    predictive: Mixture,
    target: Float[Tensor, "rows"],
    *,
    weight: Float[Tensor, "rows"],
    out_of_fold: int,
    members: int,
) -> float:
    """The s > 0 that minimises L_M(s) of the module's text, between e^-3 and e^3, of M `members`.

    `predictive` holds, side by side, the components of the K = `out_of_fold` >= 2 members that did not train on a row.
    Means over rows are weighted.
    """
    weight = weight.double() / weight.double().mean()
    target, whole = target.double(), predictive.each(lambda part: part.double())
    one = torch.zeros(len(target), 1, dtype=torch.int64)
    singles = [whole.among(one + member, members=out_of_fold) for member in range(out_of_fold)]
    further = (1 / out_of_fold - 1 / members) / (1 - 1 / out_of_fold)

    def loss(log_factor: float) -> float:
        factor = math.exp(log_factor)
        alone = sum(_loss(single, target, factor, weight) for single in singles) / out_of_fold
        pooled = _loss(whole, target, factor, weight)
        return pooled + further * (pooled - alone)

    found = optimize.minimize_scalar(loss, bounds=(-LIMIT, LIMIT), method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)


def _loss(
    predictive: Mixture, target: Float[Tensor, "rows"], factor: float, weight: Float[Tensor, "rows"]
) -> float:
    return -float((spread(predictive, factor).log_density(target) * weight).mean())
