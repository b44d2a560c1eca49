"""Objectives: likelihoods and their weightings."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Flag, NonNegative

Share = Annotated[float, Field(ge=0, lt=1), NUMBER]
Unit = Annotated[float, Field(ge=0, le=1), NUMBER]


class TwoHeads(Config):
    """What every objective offers whose network states a mean and, beside it, how far the mean is to be trusted."""

    mean_warmup: Share = 0.0
    """Share of the steps, from the first, in which the mean alone learns, by squared error (Sluijterman 2024)."""
    variance_penalty: NonNegative = 0.0
    """Times the predicted variance of the standardised target, added to the loss."""


class Weighted(TwoHeads):
    """An objective whose rows can be weighted."""

    beta: Unit = 0.0
    """Every row's loss times its predicted squared scale to the power of beta, as a constant (Seitzer 2022): 0 leaves
    the likelihood as it is, 1 gives the mean the gradient of a squared error."""


class GaussianNLL(Weighted):
    """-log N(y; mean, 1 / precision), averaged over rows, in nats; the network states mean and log precision."""

    kind: Literal["gaussian_nll"] = "gaussian_nll"


class Natural(TwoHeads):
    """The same likelihood in natural parameters: eta1 = precision * mean is free, eta2 = -precision / 2 < 0."""

    kind: Literal["natural"] = "natural"


class Faithful(TwoHeads):
    """The mean learns by squared error alone; the precision by the likelihood, not through the trunk (Stirn 2023)."""

    kind: Literal["faithful"] = "faithful"


class StudentT(Weighted):
    """-log of Student's t: location, log precision and degrees of freedom (above 2, so that a variance exists)."""

    kind: Literal["student_t"] = "student_t"


class LaplaceNLL(Weighted):
    """-log of exp(-|y - location| / scale) / (2 scale)."""

    kind: Literal["laplace"] = "laplace"


class MixtureDensity(TwoHeads):
    """-log of a mixture of Gaussians: its locations, log precisions and weights (Bishop 1994)."""

    kind: Literal["mixture"] = "mixture"
    components: Annotated[int, Field(ge=2), NUMBER] = 3


class CRPS(TwoHeads):
    """Continuous ranked probability score of a Gaussian: proper, and robust where the likelihood is not."""

    kind: Literal["crps"] = "crps"


class Homoscedastic(Config):
    """-log N(y; mean, 1 / precision) with one learned precision for all rows: the baseline."""

    kind: Literal["homoscedastic"] = "homoscedastic"


class RunningVariance(Config):
    """Squared error; one variance for all rows that follows the squared residuals and teaches the mean nothing."""

    kind: Literal["running_variance"] = "running_variance"


class CrossEntropy(Config):
    """-log p(class), averaged over rows or tokens, in nats."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Share = 0.0
    """Share of the target's probability that is spread over all classes alike while learning (Szegedy 2016);
    validation measures -log p(class) itself."""


class AdaptiveSoftmax(Config):
    """-log p(next token) by an adaptive softmax, which computes rare tokens in clusters (Grave et al. 2017)."""

    kind: Literal["adaptive_softmax"] = "adaptive_softmax"
    cutoffs: Annotated[tuple[Count, ...], Field(min_length=1)] = (2000, 10_000)
    """The most common tokens before the first are in the head, those between two in one cluster."""
    shrink: Count = 1
    """Each cluster reads its tokens from so many times fewer channels than the one before."""

    @model_validator(mode="after")
    def _cutoffs_rise(self) -> Self:
        if any(low >= high for low, high in pairwise(self.cutoffs)):
            raise ValueError(f"objective.cutoffs: {list(self.cutoffs)} should rise; sort them")
        return self


class FreeEnergy(Config):
    """Free energy of an image, averaged over pixels, in nats; of model.kind generative, laws and precisions are those
    of `learning`."""

    kind: Literal["free_energy"] = "free_energy"


class ExpectedFreeEnergy(Config):
    """-(pragmatic + information + novelty) of what an agent expects, in nats; a term that is off counts nothing."""

    kind: Literal["expected_free_energy"] = "expected_free_energy"
    preferences: Literal["observations", "states"] = "observations"
    """observations: risk is KL[q(o) || p~(o)], information I(s; o). states: risk is KL[q(s) || p~(s)], information
    H[q(s)] - E H[p(o | s)]."""
    pragmatic: Flag = True
    """Expected log preference."""
    information: Flag = True
    """About the state."""
    novelty: Flag = True
    """Information about what is learned; nothing of a world that is known."""


class AllocationElbo(Config):
    """-log p(class | tokens) + complexity KL[allocation || all alike], in nats; validation measures the first term."""

    kind: Literal["allocation_elbo"] = "allocation_elbo"
    complexity: NonNegative = 0.01
    """Factor of the divergence: 1 is the ELBO, less lets the allocation go further for what it gains."""
    precision_loss: NonNegative = 1.0
    """Factor of (tau e^2 - ln tau) / 2, which teaches the precision by which model.allocation.kind refine stops: e is
    the root mean square of what a patch's tokens leave out of a pixel. 0: it stays where it starts."""


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
ClassObjective = CrossEntropy | AdaptiveSoftmax
Objective = Annotated[
    RegressionObjective | ClassObjective | FreeEnergy | ExpectedFreeEnergy | AllocationElbo,
    Field(discriminator="kind"),
]
