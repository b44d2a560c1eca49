"""Arithmetics that GPUs have: products in float8, TensorRT. No GPU was at hand: both are untried on one."""

import copy
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from precisionflow.models.posteriors.dropout import Dropout
from precisionflow.models.posteriors.point import Point

Posterior = TypeVar("Posterior", bound=Point | Dropout)

EIGHT = torch.float8_e4m3fn
FIRST_FLOAT8 = (8, 9)
"""Compute capability from which tensor cores multiply float8."""
EDGE = 16
"""Their matrices have edges of multiples of it."""


class Float8Linear(nn.Module):
    """W x + b, its product in float8 with sums in float32.

    W has one scale, every row x its own, by which its largest number becomes the largest of float8 (448): what stands
    beside a row in a batch does not change it.
    """

    def __init__(self, of: nn.Linear) -> None:
        super().__init__()
        self.width = of.out_features
        self.weight: Tensor
        self.scale: Tensor
        rows, columns = of.weight.shape
        whole = pad(of.weight.detach(), (0, -columns % EDGE, 0, -rows % EDGE))
        scale = _scale(whole.abs().amax())
        self.register_buffer("scale", scale)
        self.register_buffer("weight", (whole / scale).to(EIGHT))
        self.bias = of.bias

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2).float()
        scale = _scale(rows.abs().amax(dim=-1, keepdim=True))
        given = pad((rows / scale), (0, self.weight.shape[1] - rows.shape[1])).to(EIGHT)
        one = torch.ones_like(self.scale)
        product = torch._scaled_mm(
            given, self.weight.T, scale_a=one, scale_b=self.scale, out_dtype=torch.float32
        )
        out = scale * product[:, : self.width]
        return (out if self.bias is None else out + self.bias).unflatten(0, x.shape[:-1]).to(x.dtype)


def _scale(largest: Tensor) -> Tensor:
    """Of what has this largest number; 1 of zeros."""
    return torch.where(largest > 0, largest.float() / torch.finfo(EIGHT).max, 1.0)


def in_float8(model: Posterior) -> Posterior:
    """The posterior with its network's linear layers in float8."""
    found = copy.deepcopy(model)
    for module in [*found.model.modules()]:
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, Float8Linear(child))
    return found


def by_tensorrt(model: Posterior) -> Posterior:
    """The posterior with its network compiled by TensorRT in float16, at the first batch, for any number of rows."""
    import torch_tensorrt  # type: ignore[import-not-found]  # noqa: F401 - makes itself known to torch.compile

    found = copy.deepcopy(model)
    options: dict[str, Any] = {"enabled_precisions": {torch.float16}}
    found.model = torch.compile(found.model, backend="tensorrt", dynamic=True, options=options)  # type: ignore[assignment]
    return found


def has_float8() -> bool:
    """Whether a GPU of NVIDIA is there that multiplies float8."""
    return (
        torch.cuda.is_available()
        and not torch.version.hip
        and torch.cuda.get_device_capability() >= FIRST_FLOAT8
    )


def has_tensorrt() -> bool:
    """Whether a GPU is there, and the package torch-tensorrt."""
    return torch.cuda.is_available() and not torch.version.hip and find_spec("torch_tensorrt") is not None
