"""Attention: a potential, a prior over edges, a value; or latent nodes."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from precisionflow.config.attention.edges import Expanding, Independent, OneOfKeys
from precisionflow.config.attention.iterated import (
    BlockNodes,
    BlockSlots,
    DotProductNodes,
    DotProductSlots,
    GaussianNodes,
    GaussianSlots,
    Iterated,
    LatentNodes,
    Nodes,
    PredictiveCodingNodes,
    PredictiveCodingSlots,
)
from precisionflow.config.attention.potentials import (
    DotProduct,
    DotProductKeyBias,
    GaussianIsotropic,
    GaussianMixture,
    GaussianPerKey,
    GaussianPerQuery,
    GaussianSeparable,
    LaplaceByChannel,
    LaplaceElliptical,
    PairPrecision,
    Potential,
    StatedPrecision,
    StudentTIsotropic,
    Temperature,
)
from precisionflow.config.attention.priors import (
    Absolute,
    Causal,
    Decay,
    EdgePrior,
    Full,
    Geometric,
    Graph,
    OnePrior,
    Prior,
    Product,
    Relative,
    Window,
    factors_of,
    first_without_a_key,
)
from precisionflow.config.attention.values import Hopfield, Multihop, Neighbour, Value
from precisionflow.config.base import NO_KIND, Config

__all__ = [
    "Absolute",
    "Attention",
    "BlockNodes",
    "BlockSlots",
    "Causal",
    "Decay",
    "DotProduct",
    "DotProductKeyBias",
    "DotProductNodes",
    "DotProductSlots",
    "EdgePrior",
    "Expanding",
    "Full",
    "GaussianIsotropic",
    "GaussianMixture",
    "GaussianNodes",
    "GaussianPerKey",
    "GaussianPerQuery",
    "GaussianSeparable",
    "GaussianSlots",
    "Geometric",
    "Graph",
    "Hopfield",
    "Independent",
    "Iterated",
    "LaplaceByChannel",
    "LaplaceElliptical",
    "LatentNodes",
    "Multihop",
    "Neighbour",
    "Nodes",
    "OneOfKeys",
    "OnePrior",
    "PairPrecision",
    "Potential",
    "PredictiveCodingNodes",
    "PredictiveCodingSlots",
    "Prior",
    "Product",
    "Relative",
    "StatedPrecision",
    "StudentTIsotropic",
    "TokenAttention",
    "Value",
    "Window",
    "factors_of",
    "first_without_a_key",
]


class Attention(Config):
    """Attention as structural inference: a potential, a prior over edges, a value."""

    potential: Potential = DotProduct()
    temperature: Temperature | None = None
    """Divides the log potentials of every head, not the prior: where it starts, to be learned; none: 1, not learned."""
    prior: Prior = Causal()
    edges: Annotated[OneOfKeys | Independent | Expanding, Field(discriminator="kind")] = OneOfKeys()
    value: Value = Neighbour()

    @property
    def causal(self) -> bool:
        """Whether no token attends to a later one."""
        return self.prior.causal


def _kind(part: Any) -> str:
    """Kind of latent nodes; attention along edges between tokens has none."""
    kind = part.get("kind") if isinstance(part, dict) else getattr(part, "kind", None)
    return NO_KIND if kind is None else kind


TokenAttention = Annotated[
    Annotated[Attention, Tag(NO_KIND)]
    | Annotated[GaussianNodes, Tag("gaussian_slots")]
    | Annotated[DotProductNodes, Tag("dot_product_slots")]
    | Annotated[BlockNodes, Tag("block_slots")]
    | Annotated[PredictiveCodingNodes, Tag("predictive_coding")],
    Discriminator(_kind),
]
"""Attention of the tokens of a sequence: along edges between them, or by way of latent nodes, which have a kind."""
