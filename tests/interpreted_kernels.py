"""Triton's interpreter runs the kernels of scores; run as a program it prints its errors as JSON.

A process of its own, as Triton reads TRITON_INTERPRET when it is imported.
"""

import json
import os
import sys
import warnings

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
from torch import Tensor, nn
from triton.runtime.interpreter import InterpreterBuilder

from precisionflow.config import attention as config
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import agreement, summed
from precisionflow.models.attention.lowerings.kernels import gradients as of_gradients
from precisionflow.models.attention.lowerings.kernels import mean as of_mean
from precisionflow.models.attention.lowerings.kernels import sides as of_sides
from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Blocks
from precisionflow.models.attention.lowerings.kernels.sides import Numbers, apart, together
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.assembled import prior as prior_of
from precisionflow.models.attention.sites import Sites

TOKENS, WIDTH = 64, 16
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
MANY = ("student", "geometric", "both")
"""Forms of two sequences and two heads, with values that are a view."""


def made(
    described: config.Attention, *, causal: bool, many: int = 1
) -> tuple[nn.Module, list[Tensor], LogPrior]:
    """A potential, its sides and values, and a prior, with random numbers; `many` sequences and heads."""
    torch.manual_seed(0)
    module = potential(described, QueriesAndKeys(many * WIDTH, heads=many))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    sides = module(torch.randn(many, TOKENS, many * WIDTH), Sites(torch.arange(TOKENS)))
    inputs = [side.detach().requires_grad_() for side in sides]
    inputs.append(torch.randn(many, TOKENS, many, WIDTH).transpose(1, 2).requires_grad_())
    at = Sites(torch.arange(TOKENS), None, range(TOKENS))
    of_edges = prior_of(described.prior, heads=many)
    for parameter in of_edges.parameters():
        nn.init.normal_(parameter)
    return module, inputs, of_edges.log(at, at) * LogPrior(causal=causal)


def errors(described: config.Attention, *, causal: bool, many: int = 1) -> list[float]:
    """|found - expected| / |expected| of the mean and of gradients: both sides, values, what a prior learns."""
    module, inputs, prior = made(described, causal=causal, many=many)
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


def apart_or_together(described: config.Attention) -> bool:
    """Whether the mean and gradients of every head of two sequences are those of the head alone, to the last bit."""
    module, inputs, prior = made(described, causal=True, many=2)
    found = summed.expectation(module.lowering.score(*inputs[:2]), inputs[2], prior)
    weights = torch.randn_like(found)
    whole = found, *torch.autograd.grad((found * weights).sum(), inputs)
    same = []
    for one in ((slice(b, b + 1), slice(h, h + 1)) for b in range(2) for h in range(2)):
        alone = [of[one].detach().requires_grad_() for of in inputs]
        mean = summed.expectation(module.lowering.score(*alone[:2]), alone[2], prior)
        ours = mean, *torch.autograd.grad((mean * weights[one]).sum(), alone)
        same += [torch.equal(mine, of[one]) for mine, of in zip(ours, whole, strict=True)]
    return all(same)


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
        with torch.inference_mode():
            found.append(agreement.agree(score, inputs[2], prior))
    of_mean.mean_of, of_gradients.gradients = whole
    return found


def looked_at(*described: config.Attention) -> list[tuple[int, bool]]:
    """Entries of tables, and whether they get a gradient, that agreement of the first tokens is looked at with."""
    whole, seen = of_gradients.gradients, []

    def noted(given, *rest, of_table: bool = True, **named):
        seen.append((given.table.shape[-1], of_table))
        return whole(given, *rest, of_table=of_table, **named)

    agreement._FOUND.clear()
    agreement.TOKENS, agreement.NEAR, of_gradients.gradients = TOKENS // 2, 8, noted
    for one in (*described, *described):
        module, inputs, prior = made(one, causal=True)
        assert agreement.agree(module.lowering.score(*inputs[:2]), inputs[2], prior)
    of_gradients.gradients = whole
    return seen


def parts_error(numbers: Numbers) -> float:
    """Largest error of products of numbers from their parts in bfloat16, and of their gradients, over the products."""
    generator, layout = torch.Generator().manual_seed(0), (0, numbers.pairs + numbers.level)
    shape = torch.Size((1, 1, TOKENS, WIDTH + layout[1]))
    own, other = (torch.randn(shape, generator=generator) for _ in range(2))
    if numbers.level:
        other[..., -1] = 1.0
    (vectors, single, mine), (_, _, its) = (
        apart(side, layout, numbers, dtype=torch.bfloat16, queries=side is own) for side in (own, other)
    )
    pull = torch.randn(1, 1, TOKENS, TOKENS, generator=generator)
    a, b = own[..., WIDTH:].double(), other[..., WIDTH:].double()
    errors = [worst(mine.double() @ its.double().mT, a @ b.mT, a.abs() @ b.abs().mT)]
    for of_parts, right, scale, queries in (
        (pull @ its.float(), pull.double() @ b, pull.abs().double() @ b.abs(), True),
        (pull.mT @ mine.float(), pull.double().mT @ a, pull.abs().double().mT @ a.abs(), False),
    ):
        of = [vectors.float(), of_parts, single]
        found = together(of, shape, layout, numbers, dtype=torch.float32, queries=queries)[..., WIDTH:]
        count = numbers.pairs + (numbers.level and queries)
        errors.append(worst(found[..., :count].double(), right[..., :count], scale[..., :count]))
    return max(errors)


def worst(found: Tensor, expected: Tensor, scale: Tensor) -> float:
    return float(((found - expected).abs() / scale).max())


def not_numbers(described: config.Attention) -> list[int]:
    """Queries that get no number, of the mean, where one key is none: those behind it."""
    module, inputs, prior = made(described, causal=True)
    with torch.no_grad():
        inputs[1][:, :, TOKENS // 4, 0] = float("nan")
        found = summed.expectation(module.lowering.score(*inputs[:2]), inputs[2], prior)
    return found.isnan().any(-1).flatten().nonzero().flatten().tolist()


def relative(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).norm() / expected.norm()).detach())


if __name__ == "__main__":
    BLOCKS.update(dict.fromkeys(BLOCKS, Blocks(32, 16, 4, 1)))
    summed.BLOCK, of_sides.ROWS = TOKENS, 32
    warnings.simplefilter("ignore")
    # a GPU's maximum of a number and of none is the number, the interpreter's is none
    InterpreterBuilder.create_maxnumf = lambda self, a, b: self.binary_op(a, b, np.fmax)
    found = {
        f"{name}, {'causal' if causal else 'full'}": errors(described, causal=causal, many=1 + (name in MANY))
        for name, described in FORMS.items()
        for causal in (False, True)
        if causal or name in BOTH_WAYS
    }
    agreed = [agreements(FORMS[name], causal=True) for name in ("student", "both")]
    parts = [parts_error(Numbers(0, 2, level=False)), parts_error(Numbers(0, 1, level=True))]
    lost = [not_numbers(FORMS[name]) for name in ("student", "laplace", "mixture", "tempered mixture")]
    wide = config.Attention(potential=DOT, prior=config.Relative(largest=TOKENS // 2))
    looked = looked_at(FORMS["relative"], FORMS["geometric"])
    with torch.no_grad():
        looked += looked_at(wide)
    alone = [apart_or_together(FORMS[name]) for name in ("mixture", "tempered mixture")]
    named = {"errors": found, "agreements": agreed, "parts": parts, "lost": lost, "looked": looked}
    named["apart"] = alone
    json.dump(named, sys.stdout)
