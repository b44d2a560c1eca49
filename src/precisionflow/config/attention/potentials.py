"""Potentials: how well a key explains a query."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Flag

InitialPrecision = Annotated[float, Field(ge=1e-6, le=1e6), NUMBER]
"""Well inside the limits that precisions stay within, e^-20 to e^20: beyond them one cannot learn."""
Temperature = Annotated[float, Field(ge=1e-6, le=1e6), NUMBER]
"""Beyond, edges are certain or all alike, and neither they nor the temperature can learn."""


class DotProduct(Config):
    """log potential = <q, k> / sqrt(width of a head)."""

    kind: Literal["dot_product"] = "dot_product"


class DotProductKeyBias(Config):
    """log potential = <q, k> / sqrt(width of a head) + b(k): every key states a bias, a linear map of its token."""

    kind: Literal["dot_product_key_bias"] = "dot_product_key_bias"


class GaussianIsotropic(Config):
    """log potential = log N(q; k, I / precision): one learned precision for every head."""

    kind: Literal["gaussian_isotropic"] = "gaussian_isotropic"
    initial_precision: InitialPrecision | None = None
    """Precision before training; none: 1 / sqrt(width of a head), the scale of the dot product."""


class StatedPrecision(Config):
    """A Gaussian potential whose precision tokens state: log precision = W x + b of every head and channel."""

    initial_precision: InitialPrecision | None = None
    """Precision of a pair and channel before training; none: 1 / sqrt(width of a head), the scale of the dot
    product."""
    rank: Annotated[int, Field(ge=1, le=2**16), NUMBER] | None = None
    """Rank of W, learned as a product of two; none: the width, and one matrix."""
    levels: Annotated[int, Field(ge=3, le=2**24 + 1), NUMBER] | None = None
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
    components: Annotated[int, Field(ge=2, le=8), NUMBER] = 2
    initial_precision: InitialPrecision | None = None
    """Geometric mean of the components' before training; none: 1 / sqrt(width of a head), the scale of the dot
    product."""


class StudentTIsotropic(Config):
    """log potential = log t(q; k, I / precision, degrees of freedom): both learned for every head; far keys differ less
    than under a Gaussian."""

    kind: Literal["student_t_isotropic"] = "student_t_isotropic"
    initial_precision: InitialPrecision | None = None
    """Precision before training; none: 1 / sqrt(width of a head), the scale of the dot product."""
    initial_degrees_of_freedom: Annotated[float, Field(ge=1 + 1e-6, le=1e6), NUMBER] = 4.0
    """Before training; above 1, where the distribution has a mean."""


class LaplaceByChannel(Config):
    """log potential = -sqrt(precision) sum_c |q_c - k_c|: one learned precision for every head."""

    kind: Literal["laplace_by_channel"] = "laplace_by_channel"
    initial_precision: InitialPrecision | None = None
    """Precision before training; none: 1 / width of a head."""


class LaplaceElliptical(Config):
    """log potential = -sqrt(precision) ||q - k||, rounded off at the key: one learned precision for every head."""

    kind: Literal["laplace_elliptical"] = "laplace_elliptical"
    initial_precision: InitialPrecision | None = None
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
