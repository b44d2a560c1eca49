"""Attention: a potential, a prior over edges, a value."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import Config, Count, Positive


class DotProduct(Config):
    """log potential = <q, k> / sqrt(width of a head)."""

    kind: Literal["dot_product"] = "dot_product"


class GaussianIsotropic(Config):
    """log potential = log N(q; k, I / precision): one learned precision for every head."""

    kind: Literal["gaussian_isotropic"] = "gaussian_isotropic"
    initial_precision: Positive | None = None
    """Precision before training; none: 1 / sqrt(width of a head), the scale of the dot product."""


class GaussianPerKey(Config):
    """log potential = log N(q; k, diag(1 / precision(k))): every key states how far it is to be trusted."""

    kind: Literal["gaussian_per_key"] = "gaussian_per_key"
    initial_precision: Positive | None = None
    """Precision of every channel before training; none: 1 / sqrt(width of a head), the scale of the dot product."""


class Causal(Config):
    """A token attends to itself and to earlier tokens, all alike a priori."""

    causal: ClassVar = True
    """Whether no token attends to a later one."""
    kind: Literal["causal"] = "causal"


class Full(Config):
    """A token attends to every token, all alike a priori."""

    causal: ClassVar = False
    kind: Literal["full"] = "full"


Prior = Annotated[Causal | Full, Field(discriminator="kind")]


class Neighbour(Config):
    """A linear map of the token that is attended to."""

    kind: Literal["neighbour"] = "neighbour"


class Multihop(Config):
    """The sum of a linear map of the tokens that lie 1, 2, ... `hops` edges away: (P + P^2 + ... + P^hops) V x."""

    kind: Literal["multihop"] = "multihop"
    hops: Count = 2


Value = Annotated[Neighbour | Multihop, Field(discriminator="kind")]


class Attention(Config):
    """Attention as structural inference: a potential, a prior over edges, a value."""

    potential: Annotated[DotProduct | GaussianIsotropic | GaussianPerKey, Field(discriminator="kind")] = (
        DotProduct()
    )
    prior: Prior = Causal()
    value: Value = Neighbour()
