"""The Laplace likelihood."""

from precisionflow.models.likelihoods.density import Density


class Laplace(Density):
    """-log of exp(-|y - location| / scale) / (2 scale), scale^2 = 1 / precision."""

    family = "laplace"
