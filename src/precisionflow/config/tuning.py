"""Tuning: levels of an ablation's axes get the best settings that a study of equal budget finds for each of them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Flag, Label, Seed

End = Annotated[float | None, Field(allow_inf_nan=False), NUMBER]
Choice = bool | int | float | str


class Searched(Config):
    """Values of a searched field: a range of numbers, or a list of choices."""

    low: End = None
    high: End = None
    log: Flag = False
    """Whether numbers are drawn by their logarithms."""
    whole: Flag = False
    """Whether numbers are whole."""
    choices: tuple[Choice, ...] = ()

    @model_validator(mode="after")
    def _is_a_range_or_a_list(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.choices) or (self.choices and (self.low is not None or self.high is not None)):
            raise ValueError("should have either low and high or choices")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(f"low: given {self.low:g}; should be below high, {self.high:g}")
            if self.log and self.low <= 0:
                raise ValueError(f"low: given {self.low:g}; log needs one above 0")
            if self.whole and (self.low % 1 or self.high % 1):
                raise ValueError(f"low, high: given {self.low:g}, {self.high:g}; whole needs whole numbers")
        return self


class Found(Config):
    """The best trial of a study."""

    settings: tuple[str, ...]
    """Such as training.learning_rate=0.01."""
    value: Annotated[float, NUMBER]
    """Its validation loss."""
    trials: Count
    """Trials of the study."""


class Tuning(Config):
    """Before any seed runs, one study for each combination of levels of the tuned axes on each data set.

    All studies have the same number of trials, algorithm and space; a trial trains the first seed on the first split
    and is judged by its lowest validation loss, so that no test row of that split is seen. The other axes are at the
    levels of the design's first variant with these levels. Every variant with these levels is trained with what was
    found.
    """

    axes: Annotated[tuple[Label, ...], Field(min_length=1)]
    """Axes whose levels are tuned alike."""
    trials: Count
    """Trials of each study."""
    parameters: Annotated[dict[str, Searched], Field(min_length=1)]
    """Dotted key -> its values."""
    algorithm: Literal["random", "tpe", "multivariate-tpe", "sobol", "cmaes", "bayesianoptimization"] = "tpe"
    """Of Katib."""
    seed: Seed = 0
    """Of the algorithm's draws."""
    parallel: Count = 1
    """Trials at once."""
    found: dict[str, Found] = {}
    """Study -> its best trial; the run fills it in."""
