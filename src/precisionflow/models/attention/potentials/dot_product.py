"""The dot product, scaled by the width of a head."""

import math
from typing import ClassVar

from precisionflow.models.attention.heads import Heads
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.sides import AsTheyAre


class DotProduct(AsTheyAre):
    """log potential = <q_i, k_j> / sqrt(d) (Vaswani et al. 2017, equation 1)."""

    lowering: ClassVar = InnerProduct()
    wider: ClassVar = False

    @staticmethod
    def scaled(queries: Heads) -> Lowered:
        """The query side of queries that are given."""
        return queries / math.sqrt(queries.shape[-1])

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(self.scaled, (queries,))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(lambda heads: heads, (keys,))
