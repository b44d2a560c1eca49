"""Number formats: the least precision of likelihoods and precisions."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """bfloat16 to float32, float32 and float64 as they are: likelihoods and precisions are never computed in less."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
