"""The curvature of a free energy whose edges are summed out, for the covariance by Laplace's method.

d2 ln p(x, z) = sum over factors of Var[d ln p] + E[d2 ln p], over the edges of each factor given x and z (Singh &
Buckley 2023, lemma 7.1). At a minimum of F = -ln p(x, z) the covariance of q(z) = N(z*, .) is (-d2 ln p)^-1; elsewhere
the inverse need not be a covariance.
"""

from jaxtyping import Float
from torch import Tensor

Square = Float[Tensor, "*problems size size"]


def variance(
    probabilities: Float[Tensor, "*#problems factors edges"],
    gradients: Float[Tensor, "*#problems factors edges size"],
) -> Square:
    """sum over factors of Var[d ln p]: each edge of a factor has a probability and a gradient d ln p."""
    mean = (probabilities[..., None] * gradients).sum(-2, keepdim=True)
    deviation = gradients - mean
    return (probabilities[..., None] * deviation).flatten(-3, -2).mT @ deviation.flatten(-3, -2)
