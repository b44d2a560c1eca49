"""What is minimised: the loss of each sample from the network's output and the target."""

import math
from typing import Any, assert_never

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from precisionflow.config.objective import CrossEntropy, GaussianNLL, Objective
from precisionflow.models.heads import GaussianParameters
from precisionflow.models.numerics import at_least_float32
from precisionflow.models.predictive_coding import Losses


def gaussian_nll(output: GaussianParameters, target: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """-log N(y; mean, 1 / precision) = (precision (y - mean)^2 - log precision + log 2 pi) / 2, in nats."""
    mean, log_precision = output
    return 0.5 * (log_precision.exp() * (target - mean).square() - log_precision + math.log(2 * math.pi))


def cross_entropy(
    logits: Float[Tensor, "batch tokens vocabulary"], target: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    """-log p(target) under the softmax of the logits, in nats."""
    return functional.cross_entropy(
        at_least_float32(logits).flatten(0, 1), target.flatten(), reduction="none"
    ).view_as(target)


def losses(part: Objective) -> Losses:
    """The loss function of a configuration."""
    chosen: Any
    match part:
        case GaussianNLL():
            chosen = gaussian_nll
        case CrossEntropy():
            chosen = cross_entropy
        case _:
            assert_never(part)
    return chosen  # type: ignore[no-any-return]
