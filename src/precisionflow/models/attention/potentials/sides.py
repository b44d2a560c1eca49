"""Query side and key side of tokens, made apart or at once."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from precisionflow.models.attention.heads import HeadMaps, Heads, Origin, QueriesAndKeys
from precisionflow.models.attention.lowerings.blockwise import KEPT
from precisionflow.models.attention.lowerings.head_by_head import Side, Unlowered
from precisionflow.models.attention.potentials import Lowered, SidesUnderWay, Tokens
from precisionflow.models.attention.sites import Sites


class Sides(nn.Module, ABC):
    """A potential that measures queries and keys from an origin and lowers what it measured."""

    wider: ClassVar = True
    """Whether its sides are wider than queries and keys."""

    def __init__(self, queries_keys: QueriesAndKeys) -> None:
        super().__init__()
        self.queries_keys = queries_keys

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return self._origin(self.queries_keys(y[:, :1], at.first(1), "key"))

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._query_side(self.queries_keys(x, at, "query"), origin, x).made()

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._key_side(self.queries_keys(y, at, "key"), origin, y).made()

    def forward(self, x: Tokens, at: Sites, origin: Origin | None = None) -> tuple[Side, Side]:
        queries, keys = self.queries_keys(x, at).chunk(2, dim=1)
        origin = self._origin(keys) if origin is None else origin
        query, key = self._query_side(queries, origin, x), self._key_side(keys, origin, x)
        return (query, key) if self.wider and _long(queries, keys) else (query.made(), key.made())

    def begin(self, maps: HeadMaps) -> SidesUnderWay:
        both = self.queries_keys.begin(maps)
        origin: Origin | None = None

        def sides(x: Tokens, at: Sites) -> tuple[Lowered, Lowered]:
            nonlocal origin
            queries, keys = both(x, at).chunk(2, dim=1)
            origin = self._origin(keys) if origin is None else origin
            return self._query_side(queries, origin, x).made(), self._key_side(keys, origin, x).made()

        return sides

    def _query_side(self, queries: Heads, origin: Origin, x: Tokens) -> Unlowered:
        return self._measured(self._queries(queries, x), origin)

    def _key_side(self, keys: Heads, origin: Origin, y: Tokens) -> Unlowered:
        return self._measured(self._keys(keys, y), origin)

    @abstractmethod
    def _origin(self, keys: Heads) -> Origin:
        """The origin of keys that begin with the first one."""

    @abstractmethod
    def _measured(self, side: Unlowered, origin: Origin) -> Unlowered:
        """The side of the same queries or keys, measured from the origin."""

    @abstractmethod
    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:
        """The query side of the tokens `x`, of queries that are measured."""

    @abstractmethod
    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:
        """The key side of the tokens `y`, of keys that are measured."""


class AsTheyAre(Sides):
    """Queries and keys of a potential that is no function of their difference: from no origin."""

    def _origin(self, keys: Heads) -> Origin:
        return keys[:, :, :0]

    def _measured(self, side: Unlowered, origin: Origin) -> Unlowered:  # noqa: ARG002
        return side


def _long(queries: Heads, keys: Heads) -> bool:
    """Whether blocks of log potentials are made again in the backward pass on a CPU."""
    return queries.device.type == "cpu" and queries[..., 0].numel() * keys.shape[-2] > KEPT
