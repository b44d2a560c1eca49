"""Triton's interpreter runs the kernels of scores; run as a program it prints its errors as JSON.

A process of its own, as Triton reads TRITON_INTERPRET when it is imported.
"""

import json
import os
import sys
import warnings

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor, nn

from precisionflow.config import attention as config
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import agreement, summed
from precisionflow.models.attention.lowerings.kernels import gradients as of_gradients
from precisionflow.models.attention.lowerings.kernels import mean as of_mean
from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Blocks
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.assembled import prior as prior_of
from precisionflow.models.attention.sites import Sites

BATCH, HEADS, TOKENS, WIDTH = 1, 1, 64, 16
FULL, DOT = config.Full(), config.DotProduct()
RELATIVE, ABSOLUTE = config.Relative(largest=5), config.Absolute(places=TOKENS)
FORMS = {
    "isotropic": config.Attention(potential=config.GaussianIsotropic(), prior=FULL),
    "bias": config.Attention(potential=config.DotProductKeyBias(), prior=FULL, temperature=2.0),
    "student": config.Attention(potential=config.StudentTIsotropic(), prior=FULL, temperature=2.0),
    "laplace": config.Attention(potential=config.LaplaceElliptical(), prior=FULL),
    "mixture": config.Attention(potential=config.GaussianMixture(), prior=FULL),
    "tempered mixture": config.Attention(potential=config.GaussianMixture(), prior=FULL, temperature=2.0),
    "relative": config.Attention(potential=DOT, prior=RELATIVE),
    "absolute": config.Attention(potential=config.GaussianIsotropic(), prior=ABSOLUTE),
    "geometric": config.Attention(potential=DOT, prior=config.Geometric(alpha=1.0, beta=4.0)),
    "both": config.Attention(potential=DOT, prior=config.Product(of=(RELATIVE, ABSOLUTE))),
}
BOTH_WAYS = ("isotropic", "laplace", "mixture", "relative")
"""Forms that are also looked at without a causal prior beside theirs."""


def made(described: config.Attention, *, causal: bool) -> tuple[nn.Module, list[Tensor], LogPrior]:
    """A potential, its sides and values, and a prior, with random numbers."""
    torch.manual_seed(0)
    module = potential(described, QueriesAndKeys(HEADS * WIDTH, heads=HEADS))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    sides = module(torch.randn(BATCH, TOKENS, HEADS * WIDTH), Sites(torch.arange(TOKENS)))
    inputs = [side.detach().requires_grad_() for side in sides]
    inputs.append(torch.randn(BATCH, HEADS, TOKENS, WIDTH, requires_grad=True))
    at = Sites(torch.arange(TOKENS), None, range(TOKENS))
    of_edges = prior_of(described.prior, heads=HEADS)
    for parameter in of_edges.parameters():
        nn.init.normal_(parameter)
    return module, inputs, of_edges.log(at, at) * LogPrior(causal=causal)


def errors(described: config.Attention, *, causal: bool) -> list[float]:
    """|found - expected| / |expected| of the mean and of gradients: both sides, values, what a prior learns."""
    module, inputs, prior = made(described, causal=causal)
    score = module.lowering.score(*inputs[:2])
    assert summed.fits(score, inputs[2], prior)
    found = summed.expectation(score, inputs[2], prior)
    expected = module.lowering.expectation(*inputs, prior)
    inputs += prior.learned
    weights = torch.randn_like(found)
    ours = torch.autograd.grad((found * weights).sum(), inputs)
    right = torch.autograd.grad((expected * weights).sum(), inputs)
    if score.level:
        assert not ours[1][..., -1].any()
        right[1][..., -1] = 0.0
    return [relative(found, expected), *(relative(*pair) for pair in zip(ours, right, strict=True))]


def agreements(described: config.Attention, *, causal: bool) -> list[bool]:
    """Whether the kernels agree with their definition; and with a mean, or with gradients, that are wrong."""
    module, inputs, prior = made(described, causal=causal)
    score = module.lowering.score(*inputs[:2])
    whole = of_mean.mean_of, of_gradients.gradients
    found = []
    for mean_of, gradients in (
        whole,
        (lambda given: (1.3 * whole[0](given)[0], whole[0](given)[1]), whole[1]),
        (
            whole[0],
            lambda *given, **rest: [of if of is None else 1.3 * of for of in whole[1](*given, **rest)],
        ),
        (None, None),
    ):
        of_mean.mean_of, of_gradients.gradients = mean_of, gradients
        agreement._FOUND.clear()
        found.append(agreement.agree(score, inputs[2], prior))
    of_mean.mean_of, of_gradients.gradients = whole
    return found


def relative(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).norm() / expected.norm()).detach())


if __name__ == "__main__":
    BLOCKS.update(dict.fromkeys(BLOCKS, Blocks(32, 16, 4, 1)))
    summed.BLOCK = TOKENS
    warnings.simplefilter("ignore")
    found = {
        f"{name}, {'causal' if causal else 'full'}": errors(described, causal=causal)
        for name, described in FORMS.items()
        for causal in (False, True)
        if causal or name in BOTH_WAYS
    }
    agreed = [agreements(FORMS[name], causal=True) for name in ("student", "both")]
    json.dump({"errors": found, "agreements": agreed}, sys.stdout)
