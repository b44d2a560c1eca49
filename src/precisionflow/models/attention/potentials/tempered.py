"""The tempered likelihood: any potential at a learned temperature."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import HeadMaps, Heads, Origin
from precisionflow.models.attention.lowerings import Lowering
from precisionflow.models.attention.lowerings.head_by_head import Side, Unlowered
from precisionflow.models.attention.potentials import Lowered, OfHeads, SidesUnderWay, Tokens
from precisionflow.models.attention.potentials.centred import AboveBound
from precisionflow.models.attention.sites import Sites


class Tempered(nn.Module):
    """log potential / t, t > 0 learned for every head: the posterior p(x | edge)^(1 / t) p(edge), up to its sum.

    The prior keeps its weight (a fractional likelihood, Bissiri et al. 2016).
    """

    def __init__(self, potential: Any, *, heads: int, initial: float) -> None:
        """`potential` is a `Potential`."""
        super().__init__()
        self.potential = potential
        self.temperature = AboveBound(heads, lowest=0.0, initial=initial)

    @property
    def lowering(self) -> Lowering:
        return self.potential.lowering.of_tempered()  # type: ignore[no-any-return]

    def distribution(self) -> dict[str, OfHeads]:
        return {"temperature": self.temperature().flatten()}

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return self.potential.origin(y, at)  # type: ignore[no-any-return]

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._tempered(self.potential.query(x, at, origin))

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self.potential.key(y, at, origin)  # type: ignore[no-any-return]

    def forward(self, x: Tokens, at: Sites, origin: Origin | None = None) -> tuple[Side, Side]:
        query, key = self.potential(x, at, origin)
        if isinstance(query, Unlowered):
            return query.then(self._at, self.temperature()), key
        return self._tempered(query), key

    def begin(self, maps: HeadMaps) -> SidesUnderWay:
        both = self.potential.begin(maps)

        def sides(x: Tokens, at: Sites) -> tuple[Lowered, Lowered]:
            queries, keys = both(x, at)
            return self._tempered(queries), keys

        return sides

    def scaled(self, queries: Heads) -> Lowered:
        """The query side of queries that are given, of a potential that has one."""
        return self._tempered(self.potential.scaled(queries))

    def _tempered(self, queries: Lowered) -> Lowered:
        return self._at(queries, self.temperature())

    def _at(self, queries: Lowered, temperature: Float[Tensor, "heads 1 1"]) -> Lowered:
        return self.potential.lowering.tempered(  # type: ignore[no-any-return]
            queries, (1 / temperature).to(queries.dtype)
        )
