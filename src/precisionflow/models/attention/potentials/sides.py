"""Query side and key side of tokens, made apart or at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from precisionflow.models.attention.heads import HeadMaps, Heads, Origin, QueriesAndKeys
from precisionflow.models.attention.lowerings.blockwise import KEPT
from precisionflow.models.attention.potentials import Lowered, SidesUnderWay, Tokens
from precisionflow.models.attention.sites import Sites


class Sides(nn.Module, ABC):
    """A potential that measures queries and keys from an origin and lowers what it measured."""

    def __init__(self, queries_keys: QueriesAndKeys) -> None:
        super().__init__()
        self.queries_keys = queries_keys

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return self._origin(self.queries_keys(y[:, :1], at.first(1), "key"))

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._query_side(self.queries_keys(x, at, "query"), origin, x)

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._key_side(self.queries_keys(y, at, "key"), origin, y)

    def forward(self, x: Tokens, at: Sites, origin: Origin | None = None) -> tuple[Lowered, Lowered]:
        queries, keys = self.queries_keys(x, at).chunk(2, dim=1)
        origin = self._origin(keys) if origin is None else origin
        side = _made_again if _long(queries, keys) else _made
        return side(self._query_side, queries, origin, x), side(self._key_side, keys, origin, x)

    def begin(self, maps: HeadMaps) -> SidesUnderWay:
        both = self.queries_keys.begin(maps)
        origin: Origin | None = None

        def sides(x: Tokens, at: Sites) -> tuple[Lowered, Lowered]:
            nonlocal origin
            queries, keys = both(x, at).chunk(2, dim=1)
            origin = self._origin(keys) if origin is None else origin
            return self._query_side(queries, origin, x), self._key_side(keys, origin, x)

        return sides

    def _query_side(self, queries: Heads, origin: Origin, x: Tokens) -> Lowered:
        return self._queries(self._measured(queries, origin), x)

    def _key_side(self, keys: Heads, origin: Origin, y: Tokens) -> Lowered:
        return self._keys(self._measured(keys, origin), y)

    @abstractmethod
    def _origin(self, keys: Heads) -> Origin:
        """The origin of keys that begin with the first one."""

    @abstractmethod
    def _measured(self, heads: Heads, origin: Origin) -> Heads:
        """Queries or keys from the origin."""

    @abstractmethod
    def _queries(self, queries: Heads, x: Tokens) -> Lowered:
        """The query side of the tokens `x`."""

    @abstractmethod
    def _keys(self, keys: Heads, y: Tokens) -> Lowered:
        """The key side of the tokens `y`."""


class AsTheyAre(Sides):
    """Queries and keys of a potential that is no function of their difference: from no origin."""

    def _origin(self, keys: Heads) -> Origin:
        return keys[:, :, :0]

    def _measured(self, heads: Heads, origin: Origin) -> Heads:  # noqa: ARG002
        return heads


Make = Callable[[Heads, Origin, Tokens], Lowered]


def _long(queries: Heads, keys: Heads) -> bool:
    """Whether blocks of log potentials are made again in the backward pass on a CPU."""
    return queries.device.type == "cpu" and queries[..., 0].numel() * keys.shape[-2] > KEPT


def _made(make: Make, *given: Tensor) -> Lowered:
    return make(*given)


def _made_again(make: Make, *given: Tensor) -> Lowered:
    """The same; its backward pass makes it once more, so that nothing between the heads and a side is kept."""
    return checkpoint(make, *given, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]
