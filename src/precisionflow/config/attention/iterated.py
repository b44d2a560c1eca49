"""Iterated attention of latent nodes: what the slots of an image descend, and which edges are summed out."""

from typing import Annotated, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Config

Layer = Annotated[int, Field(ge=1, le=2**10), NUMBER]


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
