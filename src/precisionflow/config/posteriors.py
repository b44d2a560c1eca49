"""Posteriors: what is believed about the weights after training."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.likelihoods import (
    ClassObjective,
    CrossEntropy,
    GaussianNLL,
    Natural,
    RegressionObjective,
)


class Point(Config):
    """The trained weights, taken as certain."""

    likelihoods: ClassVar = (*get_args(RegressionObjective), *get_args(ClassObjective))
    """Objectives that it fits."""
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    """Engines that can train it."""
    weighs_rows: ClassVar = True
    """Whether rows can count more and less."""
    voices: ClassVar = 1
    """Networks whose predictions are pooled."""
    kind: Literal["point"] = "point"


class Ensemble(Config):
    """Networks that differ in initial weights, order of batches and, with `folds`, rows (Lakshminarayanan 2017)."""

    likelihoods: ClassVar = (*get_args(RegressionObjective), CrossEntropy)
    engines: ClassVar = (TorchEngine, BatchedEngine)
    weighs_rows: ClassVar = True
    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[int, Field(ge=2), NUMBER] = 5
    folds: Annotated[int, Field(ge=2), NUMBER] | None = None
    """Of engine batched. Training and validation rows are pooled and cut into so many parts; every member leaves out
    one for its early stopping, so that each row is predicted by members that never saw it; with twice as many members
    the rows are cut anew for the second half. With evaluation.recalibration training rows alone are cut: recalibrations
    are fitted on validation rows that no member saw. None: all share the validation rows."""
    spread: Literal["stated", "fitted"] = "stated"
    """fitted: one factor on the spread of all predictions about their means, from the rows that members left out."""

    @property
    def voices(self) -> int:
        """Networks whose predictions are pooled."""
        return self.members

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


class MonteCarloDropout(Config):
    """Dropout stays on while predicting (Gal & Ghahramani 2016); needs model.dropout."""

    likelihoods: ClassVar = (*get_args(RegressionObjective), CrossEntropy)
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    weighs_rows: ClassVar = True
    kind: Literal["mc_dropout"] = "mc_dropout"
    samples: Annotated[int, Field(ge=2), NUMBER] = 50

    @property
    def voices(self) -> int:
        """Networks whose predictions are pooled."""
        return self.samples


class LaplaceApproximation(Config):
    """A Gaussian over weights around the optimum, two prior precisions by marginal likelihood (Immer 2023)."""

    likelihoods: ClassVar = (GaussianNLL, Natural, CrossEntropy)
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    weighs_rows: ClassVar = False
    voices: ClassVar = 100
    """Draws of the logits of a classifier."""
    kind: Literal["laplace_approximation"] = "laplace_approximation"
    weights: Literal["all", "last_layer"] = "last_layer"
    """all: one full matrix, for at most 5000 weights; last_layer: those of the heads, of a transformer those of its
    readout's linear map."""


Posterior = Annotated[
    Point | Ensemble | MonteCarloDropout | LaplaceApproximation, Field(discriminator="kind")
]
"""What is believed about the weights after training."""
