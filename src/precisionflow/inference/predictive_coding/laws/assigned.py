"""Assignment of error laws and precisions to layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding
from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.laws import Errors, Stepped
from precisionflow.inference.predictive_coding.laws.gaussian import Gaussian
from precisionflow.inference.predictive_coding.precision import precision

Present = Bool[Tensor, "batch places"]


class LayerLaw(nn.Module):
    """-log p(e) of one layer, its precision stated by the layer's prediction."""

    def __init__(self, law: Any, precision: Any) -> None:
        """`law` is a module with the interface `Law`; `precision` a module of `predictive_coding.precision`."""
        super().__init__()
        self.law = law
        self.precision = precision

    def energy(self, error: Errors, prediction: Errors, present: Present | None = None) -> Float[Tensor, ""]:
        """sum -log p(e; precision) + log p(0; initial precision), over samples and channels, of places present.

        The second term is a constant, without which the energy would be far from the loss beside it.
        """
        precision = self.precision(prediction)
        start = self.law.log_normaliser(torch.full_like(precision, self.precision.initial))
        each = self.law.energy(error, precision) + (self.law.log_normaliser(precision) - start)
        return each.sum() if present is None else torch.where(present[..., None], each, 0.0).sum()

    def stepped(self, error: Errors, gradient: Errors, prediction: Errors, *, step_size: float) -> Stepped:
        """See `Law.stepped`."""
        return self.law.stepped(error, gradient, self.precision(prediction), step_size=step_size)  # type: ignore[no-any-return]


class Laws(nn.Module):
    """The laws of all layers, in their order."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, layers: Sequence[LayerLaw]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def __getitem__(self, layer: int) -> LayerLaw:
        return self.layers[layer]  # type: ignore[return-value]


def laws(config: PredictiveCoding, *, states: Sequence[tuple[int, ...]]) -> Laws:
    """The laws of a configuration; `states` are the shapes of the layers' states of one sample, at most."""
    return Laws([LayerLaw(Gaussian(), precision(config.precision, state=state)) for state in states])
