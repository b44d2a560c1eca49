"""The networks: a mean and log-precision network for tables, a causal transformer for text."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import Count, Part, Positive


class DotProduct(Part):
    """log potential = <q, k> / sqrt(width of a head)."""

    kind: Literal["dot_product"] = "dot_product"


class GaussianPerKey(Part):
    """log potential = log N(q; k, diag(1 / precision(k))): every key states how far it is to be trusted."""

    kind: Literal["gaussian_per_key"] = "gaussian_per_key"
    initial_precision: Positive | None = None
    """Precision of every channel before training; none: 1 / sqrt(width of a head), the scale of the dot product."""


class Causal(Part):
    """A token attends to itself and to earlier tokens, all alike a priori."""

    kind: Literal["causal"] = "causal"


class Full(Part):
    """A token attends to every token, all alike a priori."""

    kind: Literal["full"] = "full"


class Neighbour(Part):
    """A linear map of the token that is attended to."""

    kind: Literal["neighbour"] = "neighbour"


class Attention(Part):
    """Attention as structural inference: a potential, a prior over edges, a value."""

    potential: Annotated[DotProduct | GaussianPerKey, Field(discriminator="kind")] = DotProduct()
    prior: Annotated[Causal | Full, Field(discriminator="kind")] = Causal()
    value: Annotated[Neighbour, Field(discriminator="kind")] = Neighbour()


class Transformer(Part):
    """Pre-norm transformer; each residual branch (attention, feed-forward) is one layer."""

    kind: Literal["transformer"] = "transformer"
    blocks: Count = 2
    heads: Count = 4
    width: Count = 64
    attention: Attention = Attention()

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}; change one of them"
            )
        return self


class MeanPrecisionNetwork(Part):
    """Network of a mean and a log precision; `homoscedastic` has one learned precision for all rows."""

    kind: Literal["mean_precision"] = "mean_precision"
    hidden: tuple[Count, ...] = (50,)
    """Widths of the hidden layers."""
    noise: Literal["heteroscedastic", "homoscedastic"] = "heteroscedastic"


Model = Annotated[Transformer | MeanPrecisionNetwork, Field(discriminator="kind")]
