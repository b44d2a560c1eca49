"""Iterated attention: latent nodes, slots of an image or nodes of a sequence, and which edges are summed out."""

from typing import Annotated, Literal

from pydantic import Field

from precisionflow.config.attention.values import Iterations
from precisionflow.config.base import NUMBER, Config

Layer = Annotated[int, Field(ge=1, le=2**10), NUMBER]
NodeCount = Annotated[int, Field(ge=2, le=2**10), NUMBER]


class GaussianSlots(Config):
    """An edge of each observation to one slot, Gaussian about it; one learned precision."""

    kind: Literal["gaussian_slots"] = "gaussian_slots"


class DotProductSlots(Config):
    """An edge of each observation to one slot, by their dot product."""

    kind: Literal["dot_product_slots"] = "dot_product_slots"


class BlockSlots(Config):
    """An edge of each observation to one slot, and one of each block of a slot to one of its learned memory nodes."""

    kind: Literal["block_slots"] = "block_slots"
    blocks: Layer = 4
    """Blocks that a slot is cut into."""
    memories: Layer = 8
    """Memory nodes of a block."""


class PredictiveCodingSlots(Config):
    """An edge of each observation to one slot and of each slot to one cause: their precision-weighted squared errors
    compete. Weights of causes on slots and a precision of either layer are learned."""

    kind: Literal["predictive_coding"] = "predictive_coding"
    causes: Layer = 3
    """Nodes behind the slots."""


Iterated = Annotated[
    GaussianSlots | DotProductSlots | BlockSlots | PredictiveCodingSlots,
    Field(discriminator="kind"),
]


class LatentNodes(Config):
    """Attention to nodes of each head that are inferred of all tokens: each token is of one, and gets what it expects.

    out_i = W sum_k p(k | i) z_k; the kind says how nodes z explain tokens.
    """

    count: NodeCount = 8
    """Nodes of a head."""
    iterations: Iterations = 3
    """Steps of the nodes, for every sequence the same number."""

    @property
    def causal(self) -> bool:
        """Nodes are inferred of the whole sequence."""
        return False


class GaussianNodes(LatentNodes, GaussianSlots):
    """Latent nodes of a sequence; tokens are Gaussian about theirs, one learned precision of every head."""


class DotProductNodes(LatentNodes, DotProductSlots):
    """Latent nodes of a sequence, by their dot products with tokens."""


class BlockNodes(LatentNodes, BlockSlots):
    """Latent nodes of a sequence, by their dot products with tokens; each block of a node is drawn to a memory node."""


class PredictiveCodingNodes(LatentNodes, PredictiveCodingSlots):
    """Latent nodes of a sequence between its tokens and causes: precision-weighted squared errors compete."""


Nodes = GaussianNodes | DotProductNodes | BlockNodes | PredictiveCodingNodes
