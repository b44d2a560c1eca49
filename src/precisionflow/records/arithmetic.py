"""arithmetic.json beside a model: seconds and errors of its predictions in each arithmetic, on one machine."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from precisionflow.records.card import Card

Arithmetic = Literal["float32", "bfloat16", "tensorrt", "float8", "int8"]


class Timed(Card):
    """Time of a batch, measured in turn with float32."""

    rows: PositiveInt
    median: PositiveFloat
    """Seconds."""
    most: PositiveFloat
    """Seconds that 95 of 100 batches stay below."""
    faster: bool
    """Whether it took 5 % less than float32, by the median of the ratios, and less in 80 of 100 turns."""


class Variant(Card):
    """An arithmetic that the model can be computed in."""

    arithmetic: Arithmetic
    error: NonNegativeFloat
    """That 99 of 100 rows stay below. Of numbers the larger of |change of the mean| / std, its product with the root of
    the expected precision, and |change of ln std|; of classes the total variation distance. 0 for float32."""
    excess_nll: float
    """Mean over rows of log p(target) in float32 less that in this arithmetic, in nats."""
    times: tuple[Timed, ...] = Field(min_length=1)
    """By rising numbers of rows."""

    def timed(self, rows: int) -> Timed:
        """That of the smallest measured batch that is no smaller; beyond all of them the largest."""
        return next((each for each in self.times if each.rows >= rows), self.times[-1])


class ArithmeticCard(Card):
    """What `precisionflow serve --calibrate` measured."""

    model: str
    """Key of the trained cell."""
    machine: str
    """Processor, threads and libraries: times of another machine are of no use."""
    largest: NonNegativeFloat
    """|standardised feature| of the validation rows: a row beyond it is not computed in int8."""
    variants: tuple[Variant, ...] = Field(min_length=1)
    """float32 first."""
