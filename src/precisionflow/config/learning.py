"""Ways of learning: how the error reaches the weights."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import Config, Count, NonNegative, Positive


class Backpropagation(Config):
    """The gradient of the objective through all layers."""

    remedy: ClassVar = "lower training.learning_rate or training.gradient_clip"
    """What helps where it diverges."""
    kind: Literal["backprop"] = "backprop"


class PredictiveCoding(Config):
    """Errors as variables: settle e to lower the energy, then take each layer's local gradient.

    Energy per sample: sum over layers of precision / 2 * ||e_i||^2, plus the objective at the output.
    """

    remedy: ClassVar = "lower learning.step_size, raise learning.precision or lower training.learning_rate"
    kind: Literal["predictive_coding"] = "predictive_coding"
    iterations: Count = 2
    """Most gradient steps on the errors for each batch."""
    step_size: Positive = 0.5
    """In units of the errors' variance, 1 / precision."""
    precision: Positive = 1000.0
    """Inverse variance of every layer's error; low values let errors move the states so far that learning suffers."""
    tolerance: NonNegative = 0.0
    """Stop settling when the energy's relative change falls below this; 0: always take all iterations."""


Learning = Annotated[Backpropagation | PredictiveCoding, Field(discriminator="kind")]
