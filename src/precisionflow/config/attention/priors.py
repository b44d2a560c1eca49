"""Priors over edges."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Whole

MOST_BLOCKS = 2**13
"""Blocks of positions that a graph tells apart: its mask, blocks by blocks, is then 64 MiB."""
FARTHEST = 2**20
"""Tokens that a prior tells apart, or looks back, at most: more than any context that fits a memory."""
Places = Annotated[int, Field(ge=1, le=FARTHEST), NUMBER]
Reach = Annotated[int, Field(ge=0, le=FARTHEST), NUMBER]
Slope = Annotated[float, Field(gt=0, le=1e30), NUMBER]
"""Its products with distances are numbers of float32."""
Hyper = Annotated[float, Field(gt=0, le=1e8), NUMBER]
"""Differences of logarithms of its gamma function are known to 1e-6."""


class EdgePrior(Config):
    """What every prior over edges says of itself."""

    @property
    def causal(self) -> bool:
        """Whether no token attends to a later one."""
        return False

    def possible(self, query: int, key: int) -> bool:  # noqa: ARG002 - of these two positions
        """Whether a query at one position may have an edge from a key at another."""
        return True


class Causal(EdgePrior):
    """A token attends to itself and to earlier tokens, all alike a priori."""

    kind: Literal["causal"] = "causal"

    @property
    def causal(self) -> bool:
        return True

    def possible(self, query: int, key: int) -> bool:
        return key <= query


class Full(EdgePrior):
    """A token attends to every token, all alike a priori."""

    kind: Literal["full"] = "full"


class Window(EdgePrior):
    """A token attends to near tokens, all alike a priori; without later ones the window is causal."""

    kind: Literal["window"] = "window"
    before: Reach
    """Tokens that it sees before itself."""
    after: Reach = 0
    """Tokens that it sees behind itself; of a centred window as many as before."""

    @property
    def causal(self) -> bool:
        return self.after == 0

    def possible(self, query: int, key: int) -> bool:
        return -self.after <= query - key <= self.before


class Graph(EdgePrior):
    """A token attends along the edges of a sparse graph, all alike a priori."""

    kind: Literal["graph"] = "graph"
    edges: Annotated[tuple[tuple[Whole, Whole], ...], Field(min_length=1)]
    """[query, key] by position, such as [[0, 0], [1, 0]]: the token at 1 attends to the token at 0."""
    size: Places = 1
    """Positions in a row that one end of an edge stands for: the edges are those of a block mask."""

    @model_validator(mode="after")
    def _its_mask_fits(self) -> Self:
        farthest = max(self.edges, key=max)
        if max(farthest) >= MOST_BLOCKS:
            raise ValueError(
                f"model.attention.prior.edges: {list(farthest)} is past the {MOST_BLOCKS} blocks that a graph tells "
                "apart; leave it out, or give blocks of a larger model.attention.prior.size"
            )
        return self

    @property
    def causal(self) -> bool:
        return all(key < query or (key == query and self.size == 1) for query, key in self.edges)

    def possible(self, query: int, key: int) -> bool:
        return (query // self.size, key // self.size) in self.edges

    def keys_of(self, query: int) -> set[int]:
        """Positions that a query at a position has an edge from."""
        blocks = [there for here, there in self.edges if here == query // self.size]
        return {block * self.size + place for block in blocks for place in range(self.size)}


class Relative(EdgePrior):
    """Categorical over the offset of query and key, learned for every head; alike before training."""

    kind: Literal["relative"] = "relative"
    largest: Places = 128
    """Offset that larger ones count as, on either side."""


class Decay(EdgePrior):
    """An edge is the less probable the farther apart its tokens stand, by a fixed slope of every head."""

    kind: Literal["decay"] = "decay"
    slopes: tuple[Slope, ...] | None = None
    """Fall of the log prior a token, for each head; none: 2^(-8 h / heads) of head h = 1, 2, ..."""


class Absolute(EdgePrior):
    """Categorical over the position of the key, learned for every head; alike before training."""

    kind: Literal["absolute"] = "absolute"
    places: Places = 64
    """Positions that are told apart; later ones count as the last."""


class Geometric(EdgePrior):
    """A token attends to earlier ones and itself, their distance geometric; its parameter q ~ Beta(beta, alpha).

    q is the probability that an edge passes a token; the distance has the mean beta / alpha where q has its own.
    """

    kind: Literal["geometric"] = "geometric"
    alpha: Hyper = 1.0
    beta: Hyper = 16.0

    @property
    def causal(self) -> bool:
        return True

    def possible(self, query: int, key: int) -> bool:
        return key <= query


OnePrior = Annotated[
    Causal | Full | Window | Graph | Relative | Decay | Absolute | Geometric, Field(discriminator="kind")
]


class Product(EdgePrior):
    """The product of several priors: an edge exists where it exists in all of them."""

    kind: Literal["product"] = "product"
    of: Annotated[tuple[OnePrior, ...], Field(min_length=1)]

    @property
    def causal(self) -> bool:
        return any(prior.causal for prior in self.of)

    def possible(self, query: int, key: int) -> bool:
        return all(prior.possible(query, key) for prior in self.of)


Prior = Annotated[
    Causal | Full | Window | Graph | Relative | Decay | Absolute | Geometric | Product,
    Field(discriminator="kind"),
]


def first_without_a_key(prior: Prior, *, positions: int) -> int | None:
    """The first of so many positions whose token has no edge from any; none: each has one.

    A graph alone can leave a query without a key: all others hold the query's own place.
    """
    graphs = [factor for factor in factors_of(prior) if isinstance(factor, Graph)]
    for query in range(positions) if graphs else ():
        first, *others = ({key for key in graph.keys_of(query) if key < positions} for graph in graphs)
        if not any(prior.possible(query, key) for key in first.intersection(*others)):
            return query
    return None


def factors_of(prior: Prior) -> tuple[OnePrior, ...]:
    """The priors that a prior is the product of."""
    match prior:
        case Product(of=of):
            return of
        case _:
            return (prior,)
