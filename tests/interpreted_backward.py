"""Triton's interpreter runs the backward pass of scores; run as a program it prints its errors as JSON.

A process of its own, as Triton reads TRITON_INTERPRET when it is imported.
"""

import json
import os
import sys
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import AuxOutput

from precisionflow.config import attention as config
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Score, summed, triton_backward
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.sites import Sites

TOKENS, WIDTH = 64, 16
POTENTIALS = (
    config.Attention(potential=config.GaussianIsotropic()),
    config.Attention(potential=config.DotProductKeyBias(), temperature=2.0),
    config.Attention(potential=config.StudentTIsotropic(), temperature=2.0),
    config.Attention(potential=config.LaplaceElliptical()),
    config.Attention(potential=config.GaussianMixture(), temperature=2.0),
)


def attended(score: Score, values: Tensor, prior: LogPrior, **_: object) -> tuple[Tensor, Any]:
    """The mean and the logarithm of the sum of a score, from its definition."""
    product = score.queries @ score.keys.transpose(-1, -2)
    own = tuple(term[..., :, None] for term in score.of_query)
    other = tuple(term[..., None, :] for term in score.of_key)
    log = score.value(product, own, other)
    log = log + prior.matrix(*log.shape[-2:], device=log.device, dtype=log.dtype)
    return log.softmax(-1) @ values, AuxOutput(lse=log.logsumexp(-1), max_scores=None)


def errors(described: config.Attention, *, causal: bool) -> list[float]:
    """|found - expected| / |expected| of the gradients of query side, key side and values."""
    torch.manual_seed(0)
    module = potential(described, QueriesAndKeys(WIDTH, heads=1))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    sides = module(torch.randn(1, TOKENS, WIDTH), Sites(torch.arange(TOKENS)))
    inputs = [side.detach().requires_grad_() for side in sides]
    inputs.append(torch.randn(1, 1, TOKENS, WIDTH, requires_grad=True))
    prior, score = LogPrior(causal=causal), module.lowering.score(*inputs[:2])
    assert summed.fits(score, inputs[2], prior)
    found = summed.expectation(attended, score, inputs[2], prior)
    expected = module.lowering.expectation(*inputs, prior)
    weights = torch.randn_like(found)
    pairs = zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    )
    return [float((mine - its).norm() / its.norm()) for mine, its in pairs]


if __name__ == "__main__":
    triton_backward.ROWS, triton_backward.COLUMNS = 32, 16
    summed.BLOCK = TOKENS
    found = {
        f"{described.potential.kind}, {'causal' if causal else 'full'}": errors(described, causal=causal)
        for described in POTENTIALS
        for causal in (False, True)
        if causal or described.potential.kind in ("gaussian_isotropic", "gaussian_mixture")
    }
    json.dump(found, sys.stdout)
