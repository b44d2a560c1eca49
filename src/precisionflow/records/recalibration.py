"""evaluation/recalibration.json: what each recalibration of a cell was fitted to, enough to serve it."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from precisionflow.records.card import Card

Probability = Annotated[float, Field(ge=0, le=1)]


def _check_as_many(**columns: tuple[float, ...]) -> None:
    (first, ones), (second, others) = columns.items()
    if len(ones) != len(others):
        raise ValueError(f"{len(ones)} numbers in {first}, {len(others)} in {second}")


class SpreadFit(Card):
    """One factor on the spread of every prediction."""

    method: Literal["variance_scaling"] = "variance_scaling"
    factor: PositiveFloat


class MapFit(Card):
    """Knots of a monotone map of probabilities: predicted -> observed, as standard normal scores."""

    method: Literal["quantile_map"] = "quantile_map"
    forecast: tuple[float, ...]
    observed: tuple[float, ...]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        _check_as_many(forecast=self.forecast, observed=self.observed)
        return self


class FitByLevel(Card):
    """Quantile of the calibration scores at each level that was judged."""

    method: str
    levels: tuple[Probability, ...]
    quantiles: tuple[float, ...]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        _check_as_many(levels=self.levels, quantiles=self.quantiles)
        return self

    def quantile(self, level: float) -> float:
        """That of a level; ValueError for a level that was not judged."""
        known = dict(zip(self.levels, self.quantiles, strict=True))
        if level not in known:
            raise ValueError(
                f"level {level:g}: {self.method} was fitted at {', '.join(f'{each:g}' for each in known)}; give one "
                "of these, or add the level to evaluation.levels and evaluate again"
            )
        return known[level]


class ConformalFit(FitByLevel):
    """Scores of a number's distance from its prediction."""

    method: Literal["conformal_split", "conformal_normalised", "conformal_quantile"]


class SetFit(FitByLevel):
    """Scores of the true classes."""

    method: Literal["aps", "raps"]


class TemperatureFit(Card):
    """One temperature for the logits of all rows."""

    method: Literal["temperature"] = "temperature"
    factor: PositiveFloat


TableFit = SpreadFit | MapFit | ConformalFit
ClassFit = TemperatureFit | SetFit
Fit = TableFit | ClassFit


class RecalibrationCard(Card):
    """evaluation/recalibration.json."""

    model: str
    """Key of the trained cell that was recalibrated."""
    fits: tuple[Annotated[Fit, Field(discriminator="method")], ...]
