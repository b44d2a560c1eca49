"""Assignment of error laws to layers."""

import functools
import operator
from collections.abc import Sequence
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding
from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.laws import Law
from precisionflow.inference.predictive_coding.laws.gaussian import Gaussian


class Laws(nn.Module):
    """The laws of all layers; layers may share one."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, laws: Sequence[Any], of_layer: Sequence[int]) -> None:
        """`laws` are modules with the interface `Law`; layer i has the law `laws[of_layer[i]]`."""
        super().__init__()
        self.laws = nn.ModuleList(laws)
        self.of_layer = tuple(of_layer)

    def __getitem__(self, layer: int) -> Law:
        return self.laws[self.of_layer[layer]]  # type: ignore[return-value]

    def energy(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """Sum over laws of the energy of their layers' errors."""
        parts = [law.energy(of) for law, of in self._shared_out(errors)]
        return functools.reduce(operator.add, parts)

    def log_normaliser(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """Sum over laws of their normalisers: with the energy, -log p(errors)."""
        parts = [law.log_normaliser(of) for law, of in self._shared_out(errors)]
        return functools.reduce(operator.add, parts)

    def _shared_out(self, errors: Sequence[Tensor]) -> list[tuple[Any, list[Tensor]]]:
        return [
            (law, [error for error, of in zip(errors, self.of_layer, strict=True) if of == index])
            for index, law in enumerate(self.laws)
        ]


def laws(config: PredictiveCoding, *, layers: int) -> Laws:
    """The laws of a configuration: one Gaussian for all layers."""
    return Laws([Gaussian(config.precision)], [0] * layers)
