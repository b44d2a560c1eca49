"""The transformer over the vectors of a row of numbers."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.networks import Transformer
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.networks.layered import Layered, Mask, Where
from precisionflow.models.networks.readout import Readout
from precisionflow.models.networks.transformer import NORMS, dropout_of, positions_of, residual_layers

Channels = Float[Tensor, "batch tokens channels"]


class VectorEmbedding(nn.Module):
    """A linear map of each vector, and what `positions` make of it."""

    group: ClassVar[GroupName] = "embedding"

    def __init__(self, channels: int, width: int, *, positions: nn.Module, dropout: nn.Module) -> None:
        super().__init__()
        self.vectors = nn.Linear(channels, width)
        self.positions = positions
        self.dropout = dropout

    def forward(self, vectors: Float[Tensor, "batch tokens numbers"], at: Sites) -> Channels:
        return self.dropout(self.positions(self.vectors(vectors), at))  # type: ignore[no-any-return]


class LastReadout(nn.Module):
    """What the heads state of the last token."""

    group: ClassVar[GroupName] = "readout"

    def __init__(self, norm: nn.Module, width: int, heads: Heads) -> None:
        super().__init__()
        self.norm = norm
        self.heads = Readout(width, heads)

    def forward(self, x: Channels, at: Sites) -> Float[Tensor, "batch outputs"]:  # noqa: ARG002
        return self.heads(self.norm(x[:, -1]))  # type: ignore[no-any-return]


class VectorNetwork(Layered):
    """A network of rows that are sequences: every layer and the readout are told where the vectors stand."""

    def where(self, inputs: Tensor, mask: Mask | None) -> Where:
        places = self.enter(inputs).shape[1]
        return (Sites(torch.arange(places, device=inputs.device), mask, range(places)),)


def vector_transformer(config: Transformer, *, places: int, features: int, heads: Heads) -> VectorNetwork:
    """inputs: Float "rows features", the vectors of a row one after the other; output: what the heads state."""
    embedding = VectorEmbedding(
        features // places,
        config.width,
        positions=positions_of(config, places),
        dropout=dropout_of(config, layer=0),
    )
    readout = LastReadout(NORMS[config.norm](config.width), config.width, heads)
    layers = [embedding, *residual_layers(config)]
    states = [(places, config.width)] * len(layers)
    return VectorNetwork(
        layers, readout, states=states, layer_kinds=config.layer_kinds, inputs=nn.Unflatten(-1, (places, -1))
    )
