"""The categorical likelihood of a class: raw outputs are logits, or the clustered ones of an adaptive softmax."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn import functional

from precisionflow.models.likelihoods.adaptive import ClusteredLogits
from precisionflow.models.numerics import at_least_float32

Logits = Float[Tensor, "*places classes"]
Classes = Int[Tensor, "*places"] | Float[Tensor, "*places"]
Places = Float[Tensor, "*places"]


def cross_entropy(logits: Logits, target: Classes) -> Float[Tensor, "*places"]:
    """-log p(target) under the softmax of the logits, in nats, for each place; whole numbers may stand as floats."""
    flat = at_least_float32(logits).flatten(0, -2)
    return functional.cross_entropy(flat, target.flatten().long(), reduction="none").view_as(target)


def smoothed_cross_entropy(logits: Logits, target: Classes, *, smoothing: float) -> Float[Tensor, "*places"]:
    """(1 - smoothing) times the cross-entropy, and smoothing times the mean over all classes of -log p(class)."""
    log_probabilities = at_least_float32(logits).log_softmax(-1)
    told = log_probabilities.gather(-1, target[..., None])[..., 0]
    return -(1 - smoothing) * told - smoothing * log_probabilities.mean(-1)


class Voices(NamedTuple):
    """p(class) = mean over members of softmax(logits): what one network states, or several of equal weight."""

    logits: Float[Tensor, "*places members classes"]

    def log_probabilities(self) -> Float[Tensor, "*places classes"]:
        """log p(class), in nats."""
        each = self.logits.log_softmax(-1)
        return each.logsumexp(-2) - math.log(each.shape[-2])

    def entropy(self) -> Places:
        """H[mean of the members' probabilities], in nats: all uncertainty."""
        return _entropy(self.log_probabilities())

    def aleatoric(self) -> Places:
        """Mean over members of the entropy of each, in nats: what more data would not take away."""
        return _entropy(self.logits.log_softmax(-1)).mean(-1)

    def epistemic(self) -> Places:
        """Mutual information of class and member, entropy - aleatoric, in nats; 0 of a single network."""
        return (self.entropy() - self.aleatoric()).clamp_min(0)

    def energy(self) -> Places:
        """Mean over members of -log sum_k exp(logit_k) (Liu et al. 2020): higher where a network knows less."""
        return -self.logits.logsumexp(-1).mean(-1)


class Categorical:
    """The likelihood of a class."""

    def predictive(self, raw: Logits) -> Voices:
        """What one network states."""
        return Voices(at_least_float32(raw)[..., None, :])

    def pooled(self, parts: Sequence[Voices]) -> Voices:
        """What several networks state together, all of equal weight."""
        return Voices(torch.cat([part.logits for part in parts], dim=-2))

    def negative_log_likelihood(self, raw: Logits, target: Classes) -> Places:
        """-log p(target) of each place, in nats."""
        return cross_entropy(raw, target)

    def fisher_root(self, raw: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes classes"]:
        """R = sqrt(diag p) (I - 1 p^T): R^T R = diag p - p p^T, the Fisher information in the logits; float64."""
        p = raw.double().softmax(-1)
        eye = torch.eye(p.shape[-1], dtype=torch.float64, device=p.device)
        return p.sqrt()[..., :, None] * (eye - p[..., None, :])


def _entropy(log_probabilities: Float[Tensor, "*places classes"]) -> Places:
    return -torch.special.xlogy(log_probabilities.exp(), log_probabilities.exp()).sum(-1)


def clustered_cross_entropy(output: ClusteredLogits, target: Classes) -> Float[Tensor, "*places"]:
    """The same of an adaptive softmax."""
    return output.negative_log_likelihood(target)


def log_probabilities(output: Any) -> Float64[Tensor, "*places classes"]:
    """log p of every class, in nats."""
    if isinstance(output, ClusteredLogits):
        return output.log_probabilities()
    return output.log_softmax(-1, dtype=torch.float64)  # type: ignore[no-any-return]
