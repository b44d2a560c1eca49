"""Interface of every posterior: a predictive distribution of each row."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.likelihoods.mixture import Mixture

Features = Float[Tensor, "rows features"]
Chosen = Int[Tensor, "rows chosen"]
"""Indices of members of an ensemble, equally many for every row."""


@runtime_checkable
class Predictive(Protocol):
    """Standardised features in, distributions of the standardised target out."""

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:
        """One mixture for each row; with `among`, that of these members of an ensemble alone."""
        ...
