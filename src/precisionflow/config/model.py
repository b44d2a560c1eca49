"""The networks: fully connected ones for tables, a causal transformer for text."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Count, Part, Positive


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


class Point(Part):
    """The trained weights, taken as certain."""

    kind: Literal["point"] = "point"


class Ensemble(Part):
    """Networks that differ in initial weights, order of batches and, with `folds`, rows (Lakshminarayanan 2017)."""

    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[int, Field(ge=2), NUMBER] = 5
    folds: Annotated[int, Field(ge=2), NUMBER] | None = None
    """Training and validation rows are pooled and cut into so many parts; every member leaves out one for its early
    stopping, so that each row is predicted by members that never saw it; with twice as many members the rows are cut
    anew for the second half. None: all share the validation rows."""
    spread: Literal["stated", "fitted"] = "stated"
    """fitted: one factor on the spread of all predictions about their means, from the rows that members left out."""

    @model_validator(mode="after")
    def _every_row_is_left_out(self) -> Self:
        if self.folds and self.members % self.folds:
            raise ValueError(
                f"model.posterior.members {self.members} is not a multiple of model.posterior.folds {self.folds}; "
                "every part is left out by the same number of members"
            )
        if self.spread == "fitted" and self.members < 2 * (self.folds or self.members):
            raise ValueError(
                "model.posterior.spread fitted needs rows that two members left out; "
                f"give model.posterior.folds, {self.members // 2} at most for {self.members} members"
            )
        return self


class MonteCarloDropout(Part):
    """Dropout stays on while predicting (Gal & Ghahramani 2016); needs model.dropout."""

    kind: Literal["mc_dropout"] = "mc_dropout"
    samples: Annotated[int, Field(ge=2), NUMBER] = 50


class LaplaceApproximation(Part):
    """A Gaussian over weights around the optimum, two prior precisions by marginal likelihood (Immer 2023)."""

    kind: Literal["laplace_approximation"] = "laplace_approximation"
    weights: Literal["all", "last_layer"] = "last_layer"
    """all: one full matrix, for at most 5000 weights; last_layer: those of the heads."""


Posterior = Annotated[
    Point | Ensemble | MonteCarloDropout | LaplaceApproximation, Field(discriminator="kind")
]
"""What is believed about the weights after training."""


class MLP(Part):
    """Fully connected network; the objective says which parameters its heads state."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (50,)
    """Widths of the hidden layers."""
    activation: Literal["silu", "relu", "tanh"] = "silu"
    layer_norm: bool = False
    """Before each activation."""
    dropout: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    """Share of each hidden layer's outputs that is set to 0 while training."""
    separate_heads: bool = False
    """Each head has a hidden layer of half the last width of its own."""
    inputs: Literal["standardised", "normal_scores"] = "standardised"
    """normal_scores: beside each feature stands the normal quantile of its rank among the training rows."""
    posterior: Posterior = Point()

    @model_validator(mode="after")
    def _dropout_can_be_sampled(self) -> Self:
        if isinstance(self.posterior, MonteCarloDropout) and not self.dropout:
            raise ValueError(
                "model.posterior.kind mc_dropout needs model.dropout above 0; give it, such as 0.1"
            )
        return self


class TAGI(Part):
    """Gaussian beliefs over all weights, learned in closed form, the noise too (Goulet 2021, Deka 2024)."""

    kind: Literal["tagi_v"] = "tagi_v"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (50,)
    """Widths of the hidden layers, rectified linear units."""


Model = Annotated[Transformer | MLP | TAGI, Field(discriminator="kind")]
