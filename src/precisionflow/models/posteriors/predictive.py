"""Interface of every posterior: a predictive distribution of each row."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.layered import Mask

Features = Float[Tensor, "rows features"]


@runtime_checkable
class Likelihood(Protocol):
    """What a posterior asks of a likelihood: a `Density` states mixtures, `Categorical` voices."""

    def predictive(self, raw: Tensor) -> Any:
        """What the raw outputs of one network state."""
        ...

    def pooled(self, parts: Sequence[Any]) -> Any:
        """What several networks state together, all of equal weight."""
        ...


@runtime_checkable
class Predictive(Protocol):
    """Standardised features in, distributions of the standardised target or of the class out; or tokens in."""

    def predict(self, inputs: Tensor, mask: Mask | None = None) -> Mixture | Voices:
        """One distribution for each row, text or token; `mask` is True at the real tokens of texts."""
        ...
