"""Student's t: location, log precision and degrees of freedom, above 2 so that a variance exists."""

import torch
from torch.nn import functional

from precisionflow.models.likelihoods.density import Density, Heads, Raw, limited
from precisionflow.models.likelihoods.mixture import Mixture

LOWEST_DEGREES = 2.1
"""Student's t has a variance above 2 degrees of freedom."""


class StudentT(Density):
    """-log of Student's t; raw outputs (location, log precision, r), 2.1 + softplus(r + 3) degrees of freedom."""

    heads = Heads(1, 2)

    def predictive(self, raw: Raw) -> Mixture:
        location, log_precision, degrees = raw.chunk(3, dim=-1)
        degrees = LOWEST_DEGREES + functional.softplus(degrees + 3)
        return Mixture("student_t", location, limited(log_precision), torch.zeros_like(location), degrees)
