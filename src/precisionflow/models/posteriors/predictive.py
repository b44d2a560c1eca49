"""Interface of every posterior: a predictive distribution of each row."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.mixture import Mixture

Features = Float[Tensor, "rows features"]


@runtime_checkable
class Predictive(Protocol):
    """Standardised features in, distributions of the standardised target out."""

    def predict(self, features: Features) -> Mixture:
        """One mixture for each row."""
        ...
