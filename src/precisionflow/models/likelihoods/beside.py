"""Logits of a class, and beside them those of further columns, from which a network learns too (Caruana 1997)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.records.schemas import NOT_COUNTED

Losses = Callable[[Tensor, Tensor], Tensor]


class Beside(NamedTuple):
    """What a network states of some places while it learns."""

    logits: Float[Tensor, "*places classes"]
    auxiliary: Sequence[Float[Tensor, "*places _others"]]
    """One of each further column."""
    factors: Sequence[float]
    """Of the columns' losses."""

    def losses(self, target: Int[Tensor, "*places columns"], each: Losses) -> Float[Tensor, "*places"]:
        """each(logits, class) + sum over columns of factor * each(logits of the column, its class).

        The first of the target's columns is the class; a further one adds nothing where it is NOT_COUNTED.
        """
        total = each(self.logits, target[..., 0])
        for place, (logits, factor) in enumerate(zip(self.auxiliary, self.factors, strict=True), start=1):
            told = target[..., place]
            total = total + factor * torch.where(told == NOT_COUNTED, 0.0, each(logits, told.clamp_min(0)))
        return total
