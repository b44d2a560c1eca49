"""Precisions amortised over layers: one map from tokens to precisions for the attention of all of them."""

from collections.abc import Iterable

from torch import nn

from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.potentials.centred import PrecisionOfTokens


def share_precisions(layers: Iterable[nn.Module]) -> None:
    """Every attention in the layers states its precisions by the maps of the first: log l = W x + b, x its own tokens.

    The gradient of a map is the sum of those that the layers would give their own.
    """
    first, *others = (part for layer in layers for part in layer.modules() if isinstance(part, Attention))
    named = first.potential.named_modules()
    maps = {name: part for name, part in named if isinstance(part, PrecisionOfTokens)}
    for other in others:
        for name, part in maps.items():
            other.potential.set_submodule(name, part)
