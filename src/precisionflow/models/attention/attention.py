"""The attention module: potential, prior and value, and the choice of each from a configuration."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, assert_never

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import attention as kinds
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.bare import bare
from precisionflow.models.attention.edges import Posterior, one_of_keys
from precisionflow.models.attention.expanding import Expanding
from precisionflow.models.attention.heads import HeadMaps, Origin, QueriesAndKeys, beside
from precisionflow.models.attention.independent import Independent
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Lowering
from precisionflow.models.attention.lowerings.head_by_head import Side, made
from precisionflow.models.attention.memory import Kept, Room, Step
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.assembled import prior
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values.hopfield import Hopfield
from precisionflow.models.attention.values.multihop import Multihop
from precisionflow.models.attention.values.neighbour import Neighbour

Tokens = Float[Tensor, "batch tokens channels"]
Edges = Callable[[Lowering, Side, Side, LogPrior], Posterior]
"""Lowering, query side, key side, log prior -> what is known of the edges."""


class Memory(NamedTuple):
    """What tokens offer to those that attend to them: key side, its origin, value, sites. A cache keeps it."""

    keys: Float[Tensor, "batch heads keys augmented"]
    origin: Origin
    values: Float[Tensor, "batch heads keys offered"]
    at: Sites


class Attention(nn.Module):
    """Multi-head attention: the posterior over edges averages the values, one linear map mixes the heads."""

    group: ClassVar[GroupName] = "attention"

    def __init__(
        self, *, potential: Any, prior: Any, value: Any, mix: nn.Module, edges: Edges = one_of_keys
    ) -> None:
        """`potential` is a `Potential`, `prior` a `Prior`, `value` a `Value`; all are modules."""
        super().__init__()
        self.potential = potential
        self.prior = prior
        self.edges = edges
        self.value = value
        self.mix = mix

    def forward(self, x: Tokens, at: Sites) -> Tokens:
        """Every token attends to the tokens of its own sequence."""
        return self.mix(self.heads(x, at))  # type: ignore[no-any-return]

    def heads(self, x: Tokens, at: Sites) -> Tokens:
        """What each head gives, side by side in their order, before they are mixed."""
        return beside(self.value.mean(self.value(x, at), self.posterior(x, at), at))

    def posterior(self, x: Tokens, at: Sites) -> Posterior:
        """p(edge | x) between the tokens of the same sequences."""
        queries, keys = self.potential(x, at)
        return self._posterior(queries, at, keys, at)

    def begin(self, room: Room) -> Step:
        """Attention that remembers; its prior lets no token attend to a later one. A growing text has no padding."""
        horizon = self.prior.horizon
        keys, offered = Kept(room, horizon=horizon), Kept(room, horizon=horizon)
        maps, log_prior, value, edges = HeadMaps(room), self.prior.log, self.value, self.edges
        sides, own = self.potential.begin(maps), value.begin(maps)
        lowering, mix = self.potential.lowering, bare(self.mix)

        def step(x: Tokens, at: Sites) -> Tokens:
            queries, key = sides(x, at)
            reached = keys.extended(key)
            posterior = edges(lowering, queries, reached, log_prior(at, keys.sites(at)))
            new = value.offered(own(x, at), posterior, offered.seen)
            return mix(beside(value.expectation(posterior, offered.extended(new), at)))

        return step

    def memory(self, y: Tokens, at: Sites) -> Memory:
        """What the tokens `y` offer."""
        queries, keys = map(made, self.potential(y, at))
        offered = self.value.offered(self.value(y, at), self._posterior(queries, at, keys, at))
        return Memory(keys, self.potential.origin(y, at), offered, at)

    def attend(self, x: Tokens, at: Sites, memory: Memory) -> Tokens:
        """The tokens `x` attend to what others offer."""
        queries = self.potential.query(x, at, memory.origin)
        posterior = self._posterior(queries, at, memory.keys, memory.at)
        return self.mix(beside(self.value.expectation(posterior, memory.values, at)))  # type: ignore[no-any-return]

    def _posterior(self, queries: Side, at: Sites, keys: Side, there: Sites) -> Posterior:
        log_prior = self.prior.log(at, there) * padding(at, there)
        return self.edges(self.potential.lowering, queries, keys, log_prior)


def attention(
    config: kinds.Attention,
    *,
    width: int,
    heads: int,
    norm: nn.Module | None = None,
    rotation: nn.Module | None = None,
    mix: nn.Module | None = None,
) -> Attention:
    """Attention as the configuration describes it, of queries and keys with a `norm` and a `rotation`.

    `mix` is the linear map of the heads; none: one with random weights.
    """
    queries_keys = QueriesAndKeys(width, heads=heads, norm=norm, rotation=rotation)
    of_edges = potential(config, queries_keys)
    return Attention(
        potential=of_edges,
        prior=prior(config.prior, heads=heads),
        edges=_edges(config, heads=heads),
        value=_value(config, of_edges, width=width, heads=heads, rotation=rotation),
        mix=mix or nn.Linear(width, width),
    )


def _edges(config: kinds.Attention, *, heads: int) -> Edges:
    match config.edges:
        case kinds.OneOfKeys():
            return one_of_keys
        case kinds.Independent(expected=expected):
            return Independent(heads=heads, expected=expected)
        case kinds.Expanding(updates=updates, step=step, tolerance=tolerance):
            geometric = config.prior
            assert isinstance(geometric, kinds.Geometric)
            hyper = {"alpha": geometric.alpha, "beta": geometric.beta}
            return Expanding(**hyper, updates=updates, step=step, tolerance=tolerance)
        case _:
            assert_never(config.edges)


def _value(
    config: kinds.Attention, of_edges: Any, *, width: int, heads: int, rotation: nn.Module | None
) -> nn.Module:
    match config.value:
        case kinds.Neighbour():
            return Neighbour(width, heads=heads)
        case kinds.Multihop(hops=hops):
            return Multihop(width, heads=heads, hops=hops)
        case kinds.Hopfield(iterations=iterations):
            return Hopfield(of_edges.scaled, heads=heads, iterations=iterations, rotation=rotation)
        case _:
            assert_never(config.value)
