"""Attention: a potential, a prior over edges, a value."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Flag, Positive, Whole


class DotProduct(Config):
    """log potential = <q, k> / sqrt(width of a head)."""

    kind: Literal["dot_product"] = "dot_product"


class DotProductKeyBias(Config):
    """log potential = <q, k> / sqrt(width of a head) + b(k): every key states a bias, a linear map of its token."""

    kind: Literal["dot_product_key_bias"] = "dot_product_key_bias"


class GaussianIsotropic(Config):
    """log potential = log N(q; k, I / precision): one learned precision for every head."""

    kind: Literal["gaussian_isotropic"] = "gaussian_isotropic"
    initial_precision: Positive | None = None
    """Precision before training; none: 1 / sqrt(width of a head), the scale of the dot product."""


class StatedPrecision(Config):
    """A Gaussian potential whose precision tokens state: log precision = W x + b of every head and channel."""

    initial_precision: Positive | None = None
    """Precision of a pair and channel before training; none: 1 / sqrt(width of a head), the scale of the dot
    product."""
    rank: Count | None = None
    """Rank of W, learned as a product of two; none: the width, and one matrix."""
    levels: Annotated[int, Field(ge=3), NUMBER] | None = None
    """Log precisions are rounded to so many levels, an odd number, evenly spaced from 1 / 64 to 64 times the initial
    precision; gradients pass as if they were not rounded. None: they are continuous."""
    shared: Flag = False
    """One map W and b for the attention of all layers, each of its own tokens; else each layer has its own."""

    @model_validator(mode="after")
    def _the_initial_precision_is_a_level(self) -> Self:
        if self.levels is not None and self.levels % 2 == 0:
            raise ValueError(
                f"model.attention.potential.levels {self.levels} is even, and the initial precision is the one in the "
                f"middle; take {self.levels + 1}"
            )
        return self


class GaussianPerKey(StatedPrecision):
    """log potential = log N(q; k, diag(1 / precision(k))): every key states how far it is to be trusted."""

    kind: Literal["gaussian_per_key"] = "gaussian_per_key"


class GaussianPerQuery(StatedPrecision):
    """log potential = log N(q; k, diag(1 / precision(q))): every query states how exactly it is to be met."""

    kind: Literal["gaussian_per_query"] = "gaussian_per_query"


class GaussianSeparable(StatedPrecision):
    """log potential = log N(q; k, diag(1 / (precision(q) precision(k)))): both state a factor of the precision."""

    kind: Literal["gaussian_separable"] = "gaussian_separable"


class GaussianMixture(Config):
    """log potential = log of a mixture of Gaussians beside the key: weights, shifts and precisions of every head."""

    kind: Literal["gaussian_mixture"] = "gaussian_mixture"
    components: Annotated[int, Field(ge=2), NUMBER] = 2
    initial_precision: Positive | None = None
    """Geometric mean of the components' before training; none: 1 / sqrt(width of a head), the scale of the dot
    product."""


class StudentTIsotropic(Config):
    """log potential = log t(q; k, I / precision, degrees of freedom): both learned for every head; far keys differ less
    than under a Gaussian."""

    kind: Literal["student_t_isotropic"] = "student_t_isotropic"
    initial_precision: Positive | None = None
    """Precision before training; none: 1 / sqrt(width of a head), the scale of the dot product."""
    initial_degrees_of_freedom: Annotated[float, Field(gt=1, allow_inf_nan=False), NUMBER] = 4.0
    """Before training; above 1, where the distribution has a mean."""


class LaplaceByChannel(Config):
    """log potential = -sqrt(precision) sum_c |q_c - k_c|: one learned precision for every head."""

    kind: Literal["laplace_by_channel"] = "laplace_by_channel"
    initial_precision: Positive | None = None
    """Precision before training; none: 1 / width of a head."""


class LaplaceElliptical(Config):
    """log potential = -sqrt(precision) ||q - k||, rounded off at the key: one learned precision for every head."""

    kind: Literal["laplace_elliptical"] = "laplace_elliptical"
    initial_precision: Positive | None = None
    """Precision before training; none: 2."""


class PairPrecision(Config):
    """log potential = log precision of the pair, from a hidden layer of query and key: weights are its normalised
    precisions."""

    kind: Literal["pair_precision"] = "pair_precision"


Potential = Annotated[
    DotProduct
    | DotProductKeyBias
    | GaussianIsotropic
    | GaussianPerKey
    | GaussianPerQuery
    | GaussianSeparable
    | GaussianMixture
    | StudentTIsotropic
    | LaplaceByChannel
    | LaplaceElliptical
    | PairPrecision,
    Field(discriminator="kind"),
]


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
    before: Whole
    """Tokens that it sees before itself."""
    after: Whole = 0
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
    size: Count = 1
    """Positions in a row that one end of an edge stands for: the edges are those of a block mask."""

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
    largest: Count = 128
    """Offset that larger ones count as, on either side."""


class Decay(EdgePrior):
    """An edge is the less probable the farther apart its tokens stand, by a fixed slope of every head."""

    kind: Literal["decay"] = "decay"
    slopes: tuple[Positive, ...] | None = None
    """Fall of the log prior a token, for each head; none: 2^(-8 h / heads) of head h = 1, 2, ..."""


class Absolute(EdgePrior):
    """Categorical over the position of the key, learned for every head; alike before training."""

    kind: Literal["absolute"] = "absolute"
    places: Count = 64
    """Positions that are told apart; later ones count as the last."""


class Geometric(EdgePrior):
    """A token attends to earlier ones and itself, their distance geometric; its parameter q ~ Beta(beta, alpha).

    q is the probability that an edge passes a token; the distance has the mean beta / alpha where q has its own.
    """

    kind: Literal["geometric"] = "geometric"
    alpha: Positive = 1.0
    beta: Positive = 16.0

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


def factors_of(prior: Prior) -> tuple[OnePrior, ...]:
    """The priors that a prior is the product of."""
    match prior:
        case Product(of=of):
            return of
        case _:
            return (prior,)


class OneOfKeys(Config):
    """The edges of a query are one choice among its keys: their probabilities sum to 1 (softmax)."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    """Potentials that they go with: all."""
    priors: ClassVar[tuple[type[Config], ...]] = (Config,)
    """Priors that they go with: all."""
    kind: Literal["one_of_keys"] = "one_of_keys"


class Independent(Config):
    """Every edge exists or not by itself: probabilities of their own (sigmoid)."""

    potentials: ClassVar[tuple[type[Config], ...]] = (DotProduct,)
    """Those that leave out no constant of a query: it decides how many edges there are."""
    priors: ClassVar[tuple[type[Config], ...]] = (Config,)
    kind: Literal["independent"] = "independent"
    expected: Positive = 1.0
    """Edges of a query before training, where the log potentials are 0; the prior odds are learned for every head."""


class Expanding(Config):
    """One choice among the keys of a window, which grows while farther keys may matter; the prior is geometric."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    priors: ClassVar[tuple[type[Config], ...]] = (Geometric,)
    """Those whose parameter can be inferred."""
    kind: Literal["expanding"] = "expanding"
    updates: Count = 3
    """Mean-field updates of the posterior over distances and of its parameter."""
    step: Count = 8
    """Keys that a query looks at before it asks whether that is enough."""
    tolerance: Annotated[float, Field(ge=0, lt=1), NUMBER] = 1e-3
    """Posterior mass of the keys outside the window where it stops to grow; 0: all keys are looked at."""


class Neighbour(Config):
    """A linear map of the token that is attended to."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    """Potentials that it goes with: all."""
    posteriors: ClassVar[tuple[type[Config], ...]] = (OneOfKeys, Independent, Expanding)
    """Kinds of edges that it goes with."""
    kind: Literal["neighbour"] = "neighbour"


class Multihop(Config):
    """The sum of a linear map of the tokens that lie 1, 2, ... `hops` edges away: (P + P^2 + ... + P^hops) V x."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    posteriors: ClassVar[tuple[type[Config], ...]] = (OneOfKeys, Independent, Expanding)
    kind: Literal["multihop"] = "multihop"
    hops: Count = 2


class Hopfield(Config):
    """The key that retrieval ends at: the query moves to the mean of the keys under its own posterior, again and again.

    A pattern is its own value, so that there is no map V; the map that mixes the heads stands for it.
    """

    potentials: ClassVar[tuple[type[Config], ...]] = (DotProduct,)
    """Those whose free energy the steps descend."""
    posteriors: ClassVar[tuple[type[Config], ...]] = (OneOfKeys,)
    kind: Literal["hopfield"] = "hopfield"
    iterations: Count = 2
    """Steps, for every query the same number."""


Value = Annotated[Neighbour | Multihop | Hopfield, Field(discriminator="kind")]


class Attention(Config):
    """Attention as structural inference: a potential, a prior over edges, a value."""

    potential: Potential = DotProduct()
    temperature: Positive | None = None
    """Divides the log potentials of every head, not the prior: where it starts, to be learned; none: 1, not learned."""
    prior: Prior = Causal()
    edges: Annotated[OneOfKeys | Independent | Expanding, Field(discriminator="kind")] = OneOfKeys()
    value: Value = Neighbour()
