"""Values that attention averages, one file each: functions of the tokens that the edges of a query lead to.

A token's own value is a function of the token alone. What it offers to those that attend to it may also depend on the
tokens that it attends to itself. Sides are apart as those of a potential are: a cache keeps what was offered.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.heads import HeadMaps
from precisionflow.models.attention.sites import Sites

Tokens = Float[Tensor, "batch tokens channels"]
Own = Float[Tensor, "batch heads tokens width"]
Before = Float[Tensor, "batch heads earlier offered"]
Offered = Float[Tensor, "batch heads tokens offered"]
ToAll = Float[Tensor, "batch heads keys offered"]
Mixed = Float[Tensor, "batch heads queries mixed"]
Weights = Float[Tensor, "batch heads queries keys"]


@runtime_checkable
class Value(Protocol):
    """Interface of a value to attention."""

    def __call__(self, y: Tokens, at: Sites) -> Own:
        """The value of every token by itself."""
        ...

    def offered(self, own: Own, posterior: Posterior, before: Before | None = None) -> Offered:
        """What the tokens offer; `posterior` has them as queries, and as keys those that offer `before`, then them."""
        ...

    def mean(self, own: Own, posterior: Posterior, at: Sites) -> Mixed:
        """The value's mean over the edges of tokens that attend to each other; nothing is kept of what they offer."""
        ...

    def begin(self, maps: HeadMaps) -> Callable[[Tokens, Sites], Own]:
        """The same, of tokens whose texts grow; it asks `maps` for its own map."""
        ...

    def expectation(self, posterior: Posterior, offered: ToAll, at: Sites) -> Mixed:
        """The value's mean over the edges of each query; the queries stand `at` these sites."""
        ...

    def averaged_by(self, posterior: Posterior) -> Posterior:
        """The posterior that the result is a mean by, of the one at the beginning: that of retrieval's last step."""
        ...

    def weights(self, posterior: Posterior) -> Weights:
        """W of mean = W own, whose own value retrieval's keys are; `posterior` is the one that it is a mean by."""
        ...
