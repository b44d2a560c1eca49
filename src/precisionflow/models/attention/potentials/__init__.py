"""Edge potentials log p(x | edge i -> j), one file each: a query side, a key side, and how they are lowered.

The query side of a token and the key side of another are made apart, each from its tokens and their sites, so that a
cache keeps what the key side gave. Called as a module it gives the two sides of the same tokens at once.

Queries and keys are normed and turned by their positions before a potential lowers them. Both sides of a distance are
measured from one origin, the first key as it is then: exact, since a distance does not change when both
sides move, and without it float32 loses what is small beside an offset that queries and keys have in common. The
first key is seen by every query, so that no later token changes a bit of what earlier ones get.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.heads import HeadMaps, Origin
from precisionflow.models.attention.lowerings import Lowering
from precisionflow.models.attention.lowerings.head_by_head import Side
from precisionflow.models.attention.sites import Sites

Tokens = Float[Tensor, "batch tokens channels"]
Lowered = Float[Tensor, "batch heads tokens _"]
"""One side; each has the width that its lowering asks for."""
OfHeads = Float[Tensor, "heads"]

SidesUnderWay = Callable[[Tokens, Sites], tuple[Lowered, Lowered]]
"""Called with the tokens that follow those of the last call, it gives both sides, from the origin of the first call."""


@runtime_checkable
class Potential(Protocol):
    """Interface of a potential to attention."""

    lowering: Lowering

    def origin(self, y: Tokens, at: Sites) -> Origin:
        """What both sides are measured from, where `y` are the tokens of the key side."""
        ...

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        """The query side of tokens."""
        ...

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        """The key side of tokens."""
        ...

    def __call__(self, x: Tokens, at: Sites, origin: Origin | None = None) -> tuple[Side, Side]:
        """Query side and key side of the same tokens; without an origin they are the first ones.

        Those of a long sequence are not made yet.
        """
        ...

    def begin(self, maps: HeadMaps) -> SidesUnderWay:
        """The potential before the first token of a batch of texts; it asks `maps` for those of its own."""
        ...
