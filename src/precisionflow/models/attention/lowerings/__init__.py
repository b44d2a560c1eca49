"""Lowerings, one file each: how queries and keys become log potentials without a (queries, keys, width) tensor."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.log_prior import LogPrior

Queries = Float[Tensor, "batch heads queries of_query"]
Keys = Float[Tensor, "batch heads keys of_key"]
Values = Float[Tensor, "batch heads keys width"]
PAIRS = 2
"""Most pairs of numbers, of a query and of a key, that a backward pass of a `Score` is written for."""
Terms = tuple[Float[Tensor, "batch heads tokens"], ...]
"""Numbers of a token, in float32 at least."""


class Score(NamedTuple):
    """log potential = value(<q_i, k_j>, terms of i, terms of j): a function of one inner product and of few numbers.

    Fused kernels of a GPU take the inner product in the dtype of the values, all else in float32.
    """

    queries: Float[Tensor, "batch heads queries width"]
    keys: Float[Tensor, "batch heads keys width"]
    of_query: Terms
    of_key: Terms
    value: Callable[[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]
    form: str | None = None
    """What `value` is to a backward pass that is written for it (`triton_backward`); none: there is no such."""
    least: float = 0.0
    """The least argument of the form's function."""


@runtime_checkable
class Lowering(Protocol):
    """Map from queries and keys to the log potentials."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        """The matrix of log potentials, up to a constant of each query."""
        ...

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> Queries:
        """Queries whose log potentials are `power` times as large."""
        ...

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """Posterior mean of the values."""
        ...
