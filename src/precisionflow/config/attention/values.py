"""Values: what is expected under the edges."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.attention.edges import Expanding, Independent, OneOfKeys
from precisionflow.config.attention.potentials import DotProduct
from precisionflow.config.base import NUMBER, Config

Iterations = Annotated[int, Field(ge=1, le=1000), NUMBER]
"""Averages one after the other, each of which the backward pass keeps."""


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
    hops: Iterations = 2


class Hopfield(Config):
    """The key that retrieval ends at: the query moves to the mean of the keys under its own posterior, again and again.

    A pattern is its own value, so that there is no map V; the map that mixes the heads stands for it.
    """

    potentials: ClassVar[tuple[type[Config], ...]] = (DotProduct,)
    """Those whose free energy the steps descend."""
    posteriors: ClassVar[tuple[type[Config], ...]] = (OneOfKeys,)
    kind: Literal["hopfield"] = "hopfield"
    iterations: Iterations = 2
    """Steps, for every query the same number."""


Value = Annotated[Neighbour | Multihop | Hopfield, Field(discriminator="kind")]
