"""The dot product, scaled by the width of a head."""

import math

from torch import nn

from precisionflow.models.attention.heads import Heads, Origin, QueriesAndKeys
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.sites import Sites


class DotProduct(nn.Module):
    """log potential = <q_i, k_j> / sqrt(d) (Vaswani et al. 2017, equation 1)."""

    lowering = InnerProduct()

    def __init__(self, queries_keys: QueriesAndKeys) -> None:
        super().__init__()
        self.queries_keys = queries_keys

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return self.queries_keys(y[:, :0], at.first(0), "key")  # type: ignore[no-any-return]

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:  # noqa: ARG002 - no distance
        return self.scaled(self.queries_keys(x, at, "query"))

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:  # noqa: ARG002
        return self.queries_keys(y, at, "key")  # type: ignore[no-any-return]

    def forward(
        self,
        x: Tokens,
        at: Sites,
        origin: Origin | None = None,  # noqa: ARG002
    ) -> tuple[Lowered, Lowered]:
        queries, keys = self.queries_keys(x, at).chunk(2, dim=1)
        return self.scaled(queries), keys

    @staticmethod
    def scaled(queries: Heads) -> Lowered:
        """The query side of queries that are given."""
        return queries / math.sqrt(queries.shape[-1])
