"""Filters of the readings of a moving target."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Positive
from precisionflow.config.engine import TorchEngine
from precisionflow.config.learning import Backpropagation
from precisionflow.config.likelihoods import GaussianNLL


class Filter(Config):
    """What a filter believes about the landing after the last reading; how the target moves is known."""

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"objective": GaussianNLL(), "learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["filter"] = "filter"
    by: Literal["augmented", "generalised", "kalman"] = "augmented"
    """kalman: both noises are white. generalised: descent of the free energy in generalised coordinates (Friston et al.
    2010). augmented: Kalman filter whose state has both noises and their derivatives, and a white error beside."""
    order: Annotated[int, Field(ge=2, le=8), NUMBER] = 4
    """generalised: highest derivative of the position. augmented: coordinates of each noise."""
    embedding: Annotated[int, Field(ge=1, le=8), NUMBER] = 3
    """Highest derivative of the readings, from one more of them than that; generalised alone takes some."""
    smoothness: Positive | None = None
    """Seconds, assumed of both noises; none: those of the source. kalman assumes 0."""
    learned: Literal["precisions", "precisions_and_smoothness", "nothing"] = "precisions"
    """By gradient, beside the rate of generalised: precisions of readings and motion, from those of a reading error of
    standard deviation 1 with a tenth of white error. nothing: the source's own, at the rate 1 / smoothness."""

    @model_validator(mode="after")
    def _readings_have_a_place(self) -> Self:
        if self.by == "generalised" and self.embedding > self.order:
            raise ValueError(
                f"model.embedding {self.embedding} is above model.order {self.order}; lower it, since a derivative of "
                "the readings is one of the position"
            )
        return self
