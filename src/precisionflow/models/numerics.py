"""Number formats and sums: the least precision of likelihoods and precisions, sums over what counts."""

import contextlib
from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor

AS_IT_IS = contextlib.nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """bfloat16 to float32, float32 and float64 as they are: likelihoods and precisions are never computed in less."""
    return x if x.dtype.itemsize >= torch.float32.itemsize else x.float()


def in_dtype_of(x: Tensor, other: Tensor) -> Tensor:
    """x in the dtype of the other; of the same dtype x itself, without a call that costs as much as a sum."""
    return x if x.dtype == other.dtype else x.to(other.dtype)


def outside_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Inside the block tensors of the device are computed in their own dtypes."""
    if not torch.is_autocast_enabled(device.type):
        return AS_IT_IS
    return torch.autocast(device_type=device.type, enabled=False)


def counted_sum(
    losses: Float[Tensor, "*targets"], counts: Float[Tensor, "*targets"] | None
) -> Float[Tensor, ""]:
    """sum_i counts_i losses_i, of the losses themselves without counts; what counts 0 may be anything."""
    if counts is None:
        return losses.sum()
    return torch.where(counts > 0, counts * losses, 0.0).sum()
