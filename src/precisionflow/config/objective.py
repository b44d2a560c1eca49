"""What is minimised (`objective`) and how the error reaches the weights (`learning`)."""

from typing import Annotated, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Count, NonNegative, Part, Positive

Share = Annotated[float, Field(ge=0, lt=1), NUMBER]
Unit = Annotated[float, Field(ge=0, le=1), NUMBER]


class _TwoHeads(Part):
    """What every objective offers whose network states a mean and, beside it, how far the mean is to be trusted."""

    mean_warmup: Share = 0.0
    """Share of the steps, from the first, in which the mean alone learns, by squared error (Sluijterman 2024)."""
    precision_weight_decay: NonNegative | None = None
    """Weight decay of the head beside the mean; none: training.weight_decay, as for all other weights."""
    variance_penalty: NonNegative = 0.0
    """Times the predicted variance of the standardised target, added to the loss."""


class _Weighted(_TwoHeads):
    """An objective whose rows can be weighted."""

    beta: Unit = 0.0
    """Every row's loss times its predicted squared scale to the power of beta, as a constant (Seitzer 2022): 0 leaves
    the likelihood as it is, 1 gives the mean the gradient of a squared error."""


class GaussianNLL(_Weighted):
    """-log N(y; mean, 1 / precision), averaged over rows, in nats; the network states mean and log precision."""

    kind: Literal["gaussian_nll"] = "gaussian_nll"


class Natural(_TwoHeads):
    """The same likelihood in natural parameters: eta1 = precision * mean is free, eta2 = -precision / 2 < 0."""

    kind: Literal["natural"] = "natural"


class Faithful(_TwoHeads):
    """The mean learns by squared error alone; the precision by the likelihood, not through the trunk (Stirn 2023)."""

    kind: Literal["faithful"] = "faithful"


class StudentT(_Weighted):
    """-log of Student's t: location, log precision and degrees of freedom (above 2, so that a variance exists)."""

    kind: Literal["student_t"] = "student_t"


class LaplaceNLL(_Weighted):
    """-log of exp(-|y - location| / scale) / (2 scale)."""

    kind: Literal["laplace"] = "laplace"


class MixtureDensity(_TwoHeads):
    """-log of a mixture of Gaussians: its locations, log precisions and weights (Bishop 1994)."""

    kind: Literal["mixture"] = "mixture"
    components: Annotated[int, Field(ge=2), NUMBER] = 3


class CRPS(_TwoHeads):
    """Continuous ranked probability score of a Gaussian: proper, and robust where the likelihood is not."""

    kind: Literal["crps"] = "crps"


class Homoscedastic(Part):
    """-log N(y; mean, 1 / precision) with one learned precision for all rows: the baseline."""

    kind: Literal["homoscedastic"] = "homoscedastic"


class RunningVariance(Part):
    """Squared error; one variance for all rows that follows the squared residuals and teaches the mean nothing."""

    kind: Literal["running_variance"] = "running_variance"


class CrossEntropy(Part):
    """-log p(next token), averaged over tokens, in nats."""

    kind: Literal["cross_entropy"] = "cross_entropy"


RegressionObjective = (
    GaussianNLL
    | Natural
    | Faithful
    | StudentT
    | LaplaceNLL
    | MixtureDensity
    | CRPS
    | Homoscedastic
    | RunningVariance
)
Objective = Annotated[RegressionObjective | CrossEntropy, Field(discriminator="kind")]


class Backpropagation(Part):
    """The gradient of the objective through all layers."""

    kind: Literal["backprop"] = "backprop"


class PredictiveCoding(Part):
    """Errors as variables: settle e to lower the energy, then take each layer's local gradient.

    Energy per sample: sum over layers of precision / 2 * ||e_i||^2, plus the objective at the output.
    """

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
