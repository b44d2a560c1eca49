"""Functions of modules with their weights looked up once: a look costs as much as a sum over one token's channels."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def bare(module: Any) -> Callable[..., Tensor]:
    """What the `module` computes without its hooks; the weights must not be replaced while the function is used."""
    match module:
        case nn.Identity():
            return _same
        case nn.Linear() if type(module).forward is nn.Linear.forward:
            weight, bias, linear = module.weight, module.bias, functional.linear
            return lambda x: linear(x, weight, bias)
        case nn.Embedding():
            return partial(torch.embedding, module.weight)
        case nn.RMSNorm(normalized_shape=(width,)):
            return rms_norm(width, weight=module.weight, eps=module.eps)
        case _:
            return module.forward  # type: ignore[no-any-return]


def rms_norm(
    width: int, *, weight: Tensor | None = None, eps: float | None = None
) -> Callable[[Tensor], Tensor]:
    """x / sqrt(mean x^2 + eps) over the last axis, times the weight.

    In float32 on a CPU as x / hypot(|x|, sqrt(width eps)) times sqrt(width) weight: four kernels, torch's own a dozen.
    """
    root = math.sqrt(width)
    scaled = root if weight is None else root * weight
    floor = torch.tensor(root * math.sqrt(torch.finfo(torch.float32).eps if eps is None else eps))

    def normed(x: Tensor) -> Tensor:
        if x.dtype != torch.float32 or x.device.type != "cpu":
            whole = torch.rms_norm(x, (width,), eps=eps)
            return whole if weight is None else (whole * weight).to(x.dtype)
        return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), floor) * scaled

    return normed


def _same(x: Tensor) -> Tensor:
    return x
