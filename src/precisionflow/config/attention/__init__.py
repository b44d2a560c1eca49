"""Attention: a potential, a prior over edges, a value."""

from typing import Annotated

from pydantic import Field

from precisionflow.config.attention.edges import Expanding, Independent, OneOfKeys
from precisionflow.config.attention.iterated import (
    BlockSlots,
    DotProductSlots,
    GaussianSlots,
    Iterated,
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
from precisionflow.config.base import Config

__all__ = [
    "Absolute",
    "Attention",
    "BlockSlots",
    "Causal",
    "Decay",
    "DotProduct",
    "DotProductKeyBias",
    "DotProductSlots",
    "EdgePrior",
    "Expanding",
    "Full",
    "GaussianIsotropic",
    "GaussianMixture",
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
    "Multihop",
    "Neighbour",
    "OneOfKeys",
    "OnePrior",
    "PairPrecision",
    "Potential",
    "PredictiveCodingSlots",
    "Prior",
    "Product",
    "Relative",
    "StatedPrecision",
    "StudentTIsotropic",
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
