"""What is learned: `regression` on tables, `characters` on text."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import Config, Count, Fraction
from precisionflow.config.sources import PydocTopics, ScikitLearnTable, TableSource, TextFile, TinyShakespeare


class Regression(Config):
    """Predict a number with its uncertainty from a row of numbers."""

    metrics: ClassVar = (
        "nll",
        "crps",
        "rmse",
        "pit_error",
        "rmsce",
        "ence",
        "ause",
        "sharpness",
        "validation_loss",
    )
    """What evaluation measures, beside coverage, width and score of every interval."""
    kind: Literal["regression"] = "regression"
    source: TableSource = ScikitLearnTable()
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""


class Characters(Config):
    """Predict the next character of a text."""

    metrics: ClassVar = (
        "nll",
        "bits_per_character",
        "ece",
        "ece_equal_mass",
        "mce",
        "class_wise_ece",
        "brier",
        "brier_reliability",
        "brier_resolution",
        "brier_uncertainty",
        "accuracy",
        "aurc",
        "validation_loss",
    )
    """What evaluation measures."""
    kind: Literal["characters"] = "characters"
    source: Annotated[PydocTopics | TextFile | TinyShakespeare, Field(discriminator="kind")] = PydocTopics()
    context: Count = 64
    """Characters that the model sees at once."""
    validation_fraction: Fraction = 0.05
    """Share of the text, by position after the training part."""
    test_fraction: Fraction = 0.05
    """Share of the text, by position at its end."""

    @model_validator(mode="after")
    def _leaves_training_text(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"task.validation_fraction + task.test_fraction is {self.validation_fraction + self.test_fraction:g}; "
                "keep it below 1, the rest is the training text"
            )
        return self


Task = Annotated[Regression | Characters, Field(discriminator="kind")]
