"""Attentions that `attention_gpu.py` compares with FlashAttention: what is run, one pass of it, and its errors."""

import copy
from typing import NamedTuple

import torch
from attention_forms import Attended, Fused, Hops, Lowered, Make, Retrieval, Shape, There
from device_timing import Work
from torch import Tensor, nn

from precisionflow.config import attention as config

FULL, CAUSAL, DOT = config.Full(), config.Causal(), config.DotProduct()
BAR = 1.3
SHAPE = Shape(batch=8, heads=6, tokens=4096, device="cuda", dtype=torch.bfloat16)
NEGLIGIBLE = 1e-5
"""Norm of a gradient, over the largest of all parameters, below which it is noise in float32 too."""


class Row(NamedTuple):
    """One attention, and the bar of its cost over FlashAttention of the same prior, causal or not."""

    name: str
    make: Make
    described: config.Attention
    bar: float | None = BAR


def of(potential: config.Potential, prior: config.Prior = FULL, **parts: object) -> config.Attention:
    return config.Attention(potential=potential, prior=prior, **parts)


def ring(blocks: int) -> tuple[tuple[int, int], ...]:
    """Every block of tokens attends to itself, to the next, and to that on the other side."""
    return tuple((i, (i + step) % blocks) for i in range(blocks) for step in (0, 1, blocks // 2))


STUDENT, LAPLACE = config.StudentTIsotropic(), config.LaplaceElliptical()
GRAPH = config.Graph(edges=ring(SHAPE.tokens // 128), size=128)
ROWS = (
    Row("Gaussian, isotropic", Lowered, of(config.GaussianIsotropic())),
    Row("Student's t", Lowered, of(STUDENT)),
    Row("Laplace, elliptical", Lowered, of(LAPLACE)),
    Row("mixture of two Gaussians", Lowered, of(config.GaussianMixture())),
    Row("dot product, window of 64", Lowered, of(DOT, config.Window(before=32, after=31))),
    Row("dot product, relative prior", Lowered, of(DOT, config.Relative(largest=64))),
    Row("dot product, decay", Lowered, of(DOT, config.Decay())),
    Row("dot product, graph of blocks", Lowered, of(DOT, GRAPH)),
    Row("dot product, bias of the key", Lowered, of(config.DotProductKeyBias())),
    Row("dot product, absolute prior", Lowered, of(DOT, config.Absolute(places=SHAPE.tokens))),
    Row("dot product, geometric prior", Lowered, of(DOT, config.Geometric(alpha=1.0, beta=100.0))),
    Row("dot product, learned temperature", Lowered, of(DOT, temperature=1.0)),
    Row("Gaussian, isotropic, causal", Lowered, of(config.GaussianIsotropic(), CAUSAL)),
    Row("Student's t, causal", Lowered, of(STUDENT, CAUSAL)),
    Row("Laplace, elliptical, causal", Lowered, of(LAPLACE, CAUSAL)),
    Row("mixture of two Gaussians, causal", Lowered, of(config.GaussianMixture(), CAUSAL)),
    Row("Hopfield step", Retrieval, of(DOT)),
    Row("Gaussian, per query: a product twice as wide", Lowered, of(config.GaussianPerQuery()), None),
    Row("Gaussian, per key: a product twice as wide", Lowered, of(config.GaussianPerKey()), None),
    Row("Gaussian, separable: three times as wide", Lowered, of(config.GaussianSeparable()), None),
    Row("multihop, two hops", Hops, of(DOT, value=config.Multihop(hops=2)), 2 * BAR),
    Row("Laplace, by channel: no inner product", Lowered, of(config.LaplaceByChannel()), None),
    Row("pair precision: no inner product", Lowered, of(config.PairPrecision()), None),
)


class Flash(Fused):
    """FlashAttention, whatever torch would choose."""

    def forward(self) -> Tensor:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return super().forward()


def flash(row: Row) -> nn.Module:
    """What the row is compared with."""
    causal = row.described.prior.kind in ("causal", "geometric")
    return Flash(SHAPE, of(DOT, CAUSAL if causal else FULL)).cuda()


def made(row: Row) -> nn.Module:
    """The form, both sides of its potential compiled as `engine.compile` compiles a layer."""
    module = row.make(SHAPE, row.described).cuda()
    if isinstance(module, Attended):
        module.potential.compile()
    return module


def once(module: nn.Module, gradient: Tensor) -> None:
    """One forward and one backward pass, as `engine.dtype: bfloat16` takes them."""
    with torch.autocast(SHAPE.device, SHAPE.dtype):
        output = module()
    output.backward(gradient.to(output.dtype))


def passes(module: nn.Module, gradient: Tensor) -> Work:
    """Forward and backward passes, which leave no gradients behind."""

    def work() -> None:
        once(module, gradient)
        module.zero_grad()

    return work


def errors(module: nn.Module) -> dict[str, float]:
    """|found - reference| / |reference| of the output, of gradients of tokens, of those of parameters: the worst.

    Of the first sequence alone: the others get a gradient of 0.
    """
    reference = copy.deepcopy(module).float()
    for part in reference.modules():
        if isinstance(part, There):
            part.made = nn.Parameter(part.made.detach()[:1].clone())
    if isinstance(reference, Attended):
        reference.x = reference.x[:1]
    generator = torch.Generator("cuda").manual_seed(1)
    first = torch.randn(1, SHAPE.heads, SHAPE.tokens, SHAPE.width, device="cuda", generator=generator)
    gradient = torch.cat([first, first.new_zeros(SHAPE.batch - 1, *first.shape[1:])])
    outputs = []
    for of_which, given in ((module, gradient), (reference, first)):
        of_which.zero_grad()
        with torch.autocast(SHAPE.device, SHAPE.dtype, enabled=of_which is module):
            output = of_which()
        output.backward(given.to(output.dtype))
        outputs.append(output[:1].detach().float())
    found = {"output": relative(*outputs), "gradients of tokens": 0.0}
    tokens = {id(part.made) for part in module.modules() if isinstance(part, There)}
    gradients = [
        (id(mine) in tokens, mine.grad, its.grad)
        for mine, its in zip(module.parameters(), reference.parameters(), strict=True)
        if mine.grad is not None and its.grad is not None
    ]
    largest = max((float(its.norm()) for of_tokens, _, its in gradients if not of_tokens), default=0.0)
    for of_tokens, mine, its in gradients:
        if of_tokens:
            kind, one = "gradients of tokens", mine[:1]
        elif its.norm() <= NEGLIGIBLE * largest:
            continue
        else:
            kind, one = "gradients of parameters", mine
        found[kind] = max(found.get(kind, 0.0), relative(one.float(), its))
    module.zero_grad()
    return found


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-30))
