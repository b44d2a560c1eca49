"""Lowerings, one file each: how queries and keys become log potentials without a (queries, keys, width) tensor."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.numerics import at_least_float32

Queries = Float[Tensor, "batch heads queries of_query"]
Keys = Float[Tensor, "batch heads keys of_key"]
TemperedQueries = Float[Tensor, "batch heads queries of_tempered"]
Values = Float[Tensor, "batch heads keys width"]
SomeQueries = Float[Tensor, "heads queries of_query"]
SomeKeys = Float[Tensor, "heads keys of_key"]
SomeValues = Float[Tensor, "heads keys width"]
SomeMeans = Float[Tensor, "heads queries width"]
Block = Float[Tensor, "heads queries keys"]
Pull = Callable[[Block, SomeQueries, SomeKeys], None]
"""(gradient of the log potentials, where that of the queries is put, where that of the keys is added): it may write
into the first, not into what was there before, as it may be asked twice."""
PAIRS = 2
"""Most pairs of numbers, of a query and of a key, that kernels of a `Score` are written for."""
Numbers = tuple[Float[Tensor, "batch heads tokens"], ...]
"""Numbers of a token, in float32 at least."""
Layout = tuple[int, int]
"""How many numbers a side has before its vector, and behind it."""


class Score(NamedTuple):
    """log potential = value(<q_i, k_j>, numbers of i, numbers of j): a function of one inner product and few numbers.

    Kernels of a GPU take the inner product in the dtype of the values, all else in float32.
    """

    queries: Queries
    keys: Keys
    of_query: Layout
    of_key: Layout
    value: Callable[[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]
    form: str | None = None
    """What `value` is to kernels that are written for it (`kernels`); none: there is no such."""
    least: float = 0.0
    """The least argument of the form's function."""
    level: bool = False
    """Whether the last number of every key is 1, so that the last one of a query is a number that is added."""

    @property
    def width(self) -> int:
        """Channels of the inner product."""
        return self.keys.shape[-1] - sum(self.of_key)

    def apart(self) -> tuple[tuple[Tensor, Numbers], tuple[Tensor, Numbers]]:
        """Vectors and numbers of the queries, and of the keys; each number a tensor of its own."""
        return _apart(self.queries, *self.of_query), _apart(self.keys, *self.of_key)


def _apart(side: Tensor, front: int, back: int) -> tuple[Tensor, Numbers]:
    width = side.shape[-1]
    places = (*range(front), *range(width - back, width))
    return side[..., front : width - back], tuple(at_least_float32(side[..., c]).clone() for c in places)


@runtime_checkable
class LogPotentials(Protocol):
    """Log potentials between some queries and some keys, heads of all sequences side by side, and their gradient."""

    def __call__(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        """The block, which its caller may write into, and the way back."""
        ...


@runtime_checkable
class Potentials(Protocol):
    """Map from queries and keys to the log potentials."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix of log potentials, up to a constant of each query."""
        ...

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """Posterior mean of the values."""
        ...


@runtime_checkable
class Lowering(Potentials, Protocol):
    """The same of both sides of a potential."""

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        """See `LogPotentials`."""
        ...

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> TemperedQueries:
        """Queries whose log potentials are `power` times as large."""
        ...

    def of_tempered(self) -> "Lowering":
        """The lowering of such queries."""
        ...
