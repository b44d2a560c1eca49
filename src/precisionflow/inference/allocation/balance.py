"""Scores of several scorers as one: each counts by its precision."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.inference.allocation.checks import require_axes

LEAST_SPREAD = 1e-6
"""Standard deviation of a scorer's scores over an image's patches, below which it prefers none."""


class Fused(nn.Module):
    """ln w of a patch from the scores z_f of the scorers f, each a reading of gain_f z_f with the precision tau_f.

    A prior N(0, 1) and readings g_f z_f ~ N(ln w, 1 / tau_f) have the posterior mean sum_f tau_f g_f z_f / (1 + sum_f
    tau_f): scorers that disagree are balanced by how sure each is, and where none is sure all patches count alike.
    Scores are standardised over the patches of an image.
    """

    def __init__(self, scorers: int) -> None:
        super().__init__()
        self.log_precision = nn.Parameter(torch.zeros(scorers))
        self.gain = nn.Parameter(torch.ones(scorers))

    def forward(self, scores: Float[Tensor, "images patches scorers"]) -> Float[Tensor, "images patches"]:
        """ln w; ValueError for another number of scorers."""
        require_axes("scores", scores, "images", "patches", "scorers")
        if scores.shape[-1] != len(self.gain):
            raise ValueError(f"scores: are of {scores.shape[-1]} scorers; give those of {len(self.gain)}")
        precision = self.log_precision.exp()
        return (standardised(scores) @ (precision * self.gain)) / (1 + precision.sum())


def standardised(
    scores: Float[Tensor, "images patches scores"],
) -> Float[Tensor, "images patches scores"]:
    """Mean 0 and standard deviation 1 over the patches of an image; 0 where all are alike."""
    centred = scores - scores.mean(-2, keepdim=True)
    spread = centred.square().mean(-2, keepdim=True)
    differs = spread > LEAST_SPREAD**2
    return torch.where(differs, centred / torch.where(differs, spread, 1).sqrt(), 0)


def precision_loss(
    error: Float[Tensor, "*places"], log_precision: Float[Tensor, "*places"]
) -> Float[Tensor, "*places"]:
    """(tau e^2 - ln tau) / 2, least at tau = 1 / e^2; without -ln tau it would be least at tau = 0 for any error."""
    return functional.gaussian_nll_loss(
        error, torch.zeros_like(error), (-log_precision).exp(), eps=0.0, reduction="none"
    )
