"""What every posterior offers: a predictive distribution of each row."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.likelihoods.mixture import Mixture

Features = Float[Tensor, "rows features"]
Chosen = Int[Tensor, "rows chosen"]
"""Members of an ensemble, of every row as many."""


@runtime_checkable
class Predictive(Protocol):
    """Standardised features in, distributions of the standardised target out."""

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:
        """One mixture a row; of an ensemble, if given, each row's `among` its members alone."""
        ...
